#include "base/id_map.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace ctl {

Result<std::optional<IdMap>> IdMap::parse(std::string_view text) {
    if (text.empty() || text == "none") return std::optional<IdMap>();
    std::array<std::uint32_t, 3> numbers{};
    const auto parts = split(text, ':');
    bool good = parts.size() == numbers.size();
    for (std::size_t i = 0; good && i < numbers.size(); ++i) {
        const auto [end, problem] = std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), numbers[i]);
        good = problem == std::errc() && end == parts[i].data() + parts[i].size();
    }
    const IdMap map{numbers[0], numbers[1], numbers[2]};
    good =
        good && map.count != 0 && map.container + (map.count - 1) >= map.container && map.host + (map.count - 1) >= map.host;
    if (!good)
        return Error(ErrorCode::invalid, fmt::format("id map {} can't be used", quoted(text)))
            .hint("write CONTAINER:HOST:COUNT, such as 0:100000:65536, or none");
    return std::optional<IdMap>(map);
}

std::optional<std::uint32_t> IdMap::to_host(std::uint32_t id) const {
    if (id < container || id - container >= count) return std::nullopt;
    return host + (id - container);
}

std::optional<std::uint32_t> IdMap::to_container(std::uint32_t id) const {
    if (id < host || id - host >= count) return std::nullopt;
    return container + (id - host);
}

std::string IdMap::line() const { return fmt::format("{} {} {}", container, host, count); }

}  // namespace ctl

#include "drivers/storage/id_map.h"

#include <fcntl.h>
#include <sched.h>

#include <array>
#include <cerrno>
#include <charconv>

#include <fmt/format.h>

#include "base/namespace_holder.h"
#include "base/text.h"

namespace ctl::drivers::storage {

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
        return Error(ErrorCode::invalid, fmt::format("id map {} can't be used", ctl::quoted(text)))
            .hint("write CONTAINER:HOST:COUNT, such as 0:100000:65536, or none");
    return std::optional<IdMap>(map);
}

Result<IdShift> shift_between(const std::optional<IdMap>& from, const std::optional<IdMap>& to) {
    const IdMap known = from ? *from : to.value_or(IdMap{});
    const IdShift shift{from ? from->host : known.container, to ? to->host : known.container, known.count};
    const bool disjoint = shift.from == shift.to || std::uint64_t{shift.from} + shift.count <= shift.to ||
                          std::uint64_t{shift.to} + shift.count <= shift.from;
    if (!disjoint)
        return Error(ErrorCode::unsupported, fmt::format("the id ranges at {} and {} overlap", shift.from, shift.to))
            .hint("choose ranges that share no id, or make the container anew");
    return shift;
}

Result<Fd> make_user_namespace(const IdMap& map) {
    CTL_ASSIGN(const auto holder, NamespaceHolder::start(CLONE_NEWUSER));
    CTL_TRY(holder->map_ids(fmt::format("{} {} {}", map.container, map.host, map.count)));
    const std::string path = holder->proc("ns/user");
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", path));
    return fd;
}

}  // namespace ctl::drivers::storage

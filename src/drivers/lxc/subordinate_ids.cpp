#include "drivers/lxc/subordinate_ids.h"

#include <fmt/format.h>

#include "base/id_map.h"
#include "base/text.h"
#include "drivers/lxc/cgroups.h"

namespace ctl::drivers::lxc {

Status check_subordinate_ids(const std::string& idmap, std::string_view table, std::string_view file) {
    CTL_ASSIGN(const auto map, IdMap::parse(idmap));
    if (!map) return ok();
    const std::int64_t first = map->host;
    const std::int64_t last = first + map->count - 1;
    std::string known;
    for (const auto line : split(table, '\n')) {
        const auto parts = split(trimmed(line), ':');
        if (parts.size() != 3 || (parts[0] != "root" && parts[0] != "0")) continue;
        const auto from = parse_number(parts[1]);
        const auto size = parse_number(parts[2]);
        if (!from || !size) continue;
        if (*from <= first && last < *from + *size) return ok();
        known += fmt::format("{}{} to {}", known.empty() ? "" : ", ", *from, *from + *size - 1);
    }
    if (known.empty()) return ok();
    const bool users = file.ends_with("subuid");
    return Error(ErrorCode::unsupported,
                 fmt::format("it needs the ids {} to {}, but {} gives root only {}", first, last, file, known))
        .hint(fmt::format("usermod --add-sub{} {}-{} root; or set security.idmap.base and security.idmap.size",
                          users ? "uids" : "gids", first, last));
}

}  // namespace ctl::drivers::lxc

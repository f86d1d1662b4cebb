#include "drivers/lxc/subordinate_ids.h"

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/lxc/cgroups.h"

namespace ctl::drivers::lxc {

Status check_subordinate_ids(const std::string& idmap, std::string_view table, std::string_view file) {
    const auto map = split(idmap, ':');
    if (map.size() != 3) return ok();
    const auto first = parse_number(map[1]);
    const auto count = parse_number(map[2]);
    if (!first || !count) return ok();
    std::string known;
    for (const auto line : split(table, '\n')) {
        const auto parts = split(trimmed(line), ':');
        if (parts.size() != 3 || (parts[0] != "root" && parts[0] != "0")) continue;
        const auto from = parse_number(parts[1]);
        const auto size = parse_number(parts[2]);
        if (!from || !size) continue;
        if (*from <= *first && *first + *count <= *from + *size) return ok();
        known += fmt::format("{}{} to {}", known.empty() ? "" : ", ", *from, *from + *size - 1);
    }
    if (known.empty()) return ok();
    const bool users = file.ends_with("subuid");
    return Error(ErrorCode::unsupported, fmt::format("it needs the ids {} to {}, but {} gives root only {}", *first,
                                                     *first + *count - 1, file, known))
        .hint(fmt::format("usermod --add-sub{} {}-{} root; or set security.idmap.base and security.idmap.size",
                          users ? "uids" : "gids", *first, *first + *count - 1));
}

}  // namespace ctl::drivers::lxc

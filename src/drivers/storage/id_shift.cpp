#include "drivers/storage/id_shift.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "base/namespace_holder.h"

namespace ctl::drivers::storage {

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
    CTL_TRY(holder->map_ids(map.line()));
    const std::string path = holder->proc("ns/user");
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", path));
    return fd;
}

}  // namespace ctl::drivers::storage

#include "drivers/storage/dir_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/api/store.h"
#include "drivers/storage/mounts.h"

namespace ctl::drivers::storage {

namespace {

namespace fs = std::filesystem;

/// Below this a pool can't even keep its own records.
constexpr std::uint64_t least_free_bytes = std::uint64_t{16} << 20;
/// Second line of a pool's mark: the directory was not there before.
constexpr std::string_view made_line = "made";

struct PoolMark {
    std::string mark;
    bool made = false;
};

model::ObjectId pool_id(const std::string& name) { return {model::ObjectKind::pool, name}; }

std::string place_of(const std::string& state_dir, const std::string& name) { return state_dir + "/pools/" + name; }

std::string mark_path(const std::string& directory) { return fmt::format("{}/{}", directory, pool_mark_name); }

/// Errors: not_found when the directory carries no mark.
Result<PoolMark> read_pool_mark(const std::string& directory) {
    CTL_ASSIGN(const std::string text, read_file(mark_path(directory), 65536));
    const auto lines = split(text, '\n');
    return PoolMark{std::string(lines[0]), lines.size() > 1 && lines[1] == made_line};
}

Status write_pool_mark(const std::string& directory, const PoolMark& mark) {
    return write_file_atomically(mark_path(directory), fmt::format("{}\n{}\n", mark.mark, mark.made ? made_line : ""), 0600);
}

/// What stands at a pool's place: the directory itself, or where the link points; empty for nothing.
std::string source_at(const std::string& place) {
    std::error_code failed;
    const auto status = fs::symlink_status(place, failed);
    if (fs::is_directory(status)) return place;
    return fs::is_symlink(status) ? fs::read_symlink(place, failed).native() : std::string();
}

bool has_containers(const std::string& directory) {
    struct stat info {};
    return ::lstat((directory + "/containers").c_str(), &info) == 0;
}

/// What stands in a directory that is to become a pool and can't be left there; empty for nothing. A new file system has a
/// lost+found, an interrupted run leaves its half-written mark.
Result<std::string> first_stranger(const std::string& directory) {
    const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return std::string();
    if (!fd) return system_error(errno, fmt::format("open directory {}", ctl::quoted(directory)));
    CTL_ASSIGN(const auto names, directory_names(fd.get()));
    for (const auto& name : names)
        if (name != "lost+found" && name != path_aside(pool_mark_name)) return name;
    return std::string();
}

/// Where a directory of ours is before it has its mark and while it loses it.
std::string beside(const std::string& source) {
    const fs::path path(source.substr(0, source.find_last_not_of('/') + 1));
    return fmt::format("{}/{}{}", path.parent_path().native(), aside_prefix, path.filename().native());
}

Status check_source(const model::Pool& pool) {
    if (pool.driver.value_or("dir") != "dir")
        return Error(ErrorCode::unsupported, fmt::format("storage driver {} is not supported", ctl::quoted(*pool.driver)))
            .hint("use driver: dir");
    if (!pool.source || !pool.source->starts_with('/') || pool.source->find('\0') != std::string::npos)
        return Error(ErrorCode::invalid,
                     fmt::format("source {} is no absolute path", ctl::quoted(pool.source.value_or(""))));
    return ok();
}

/// Errors: conflict when the directory belongs to another pool or keeps things of others.
Status check_unclaimed(const std::string& directory, const std::string& name, const model::ResourceRef& owner) {
    const auto mark = read_pool_mark(directory);
    if (mark) {
        const auto found = read_mark(mark->mark, pool_id(name));
        if (found && *found == owner) return ok();
        return Error(ErrorCode::conflict,
                     fmt::format("directory {} belongs to {}", ctl::quoted(directory), ctl::quoted(mark->mark)));
    }
    if (mark.error().code() != ErrorCode::not_found) return mark.error();
    CTL_ASSIGN(const std::string stranger, first_stranger(directory));
    if (!stranger.empty())
        return Error(ErrorCode::conflict, fmt::format("directory {} is not empty, there is {} in it", ctl::quoted(directory),
                                                      ctl::quoted(stranger)))
            .hint("choose an empty directory as source");
    return ok();
}

/// The directory appears with its mark in it: an interrupted run leaves none that is nobody's.
Status make_source(const std::string& source, const std::string& mark) {
    const std::string aside = beside(source);
    CTL_TRY(make_directories(aside));
    CTL_TRY(write_pool_mark(aside, {mark, true}));
    if (::rename(aside.c_str(), source.c_str()) != 0)
        return system_error(errno, fmt::format("rename {}", ctl::quoted(aside)));
    return ok();
}

Status unlink_if_there(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return ok();
    return system_error(errno, fmt::format("delete {}", ctl::quoted(path)));
}

/// Ends what an interrupted make_source() or drop_source() left.
Status remove_beside(const std::string& source) {
    const std::string aside = beside(source);
    CTL_TRY(unlink_if_there(mark_path(aside)));
    CTL_TRY(unlink_if_there(path_aside(mark_path(aside)).native()));
    if (::rmdir(aside.c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete directory {}", ctl::quoted(aside)));
    return ok();
}

/// The directory goes with its mark; where others have put files into it, or mounted something on it, only the mark goes.
Status drop_source(const std::string& source, const PoolMark& mark) {
    if (mark.made) {
        CTL_ASSIGN(const Fd directory, open_directory(source));
        CTL_ASSIGN(const auto names, directory_names(directory.get()));
        if (names == std::vector{std::string(pool_mark_name)} && ::rename(source.c_str(), beside(source).c_str()) == 0)
            return remove_beside(source);
    }
    return unlink_if_there(mark_path(source));
}

Status point_link(const std::string& place, const std::string& source) {
    std::error_code failed;
    if (fs::read_symlink(place, failed).native() == source) return ok();
    const std::string aside =
        fmt::format("{}/{}{}", fs::path(place).parent_path().native(), aside_prefix, fs::path(place).filename().native());
    ::unlink(aside.c_str());
    if (::symlink(source.c_str(), aside.c_str()) != 0)
        return system_error(errno, fmt::format("link {}", ctl::quoted(aside)));
    if (::rename(aside.c_str(), place.c_str()) != 0)
        return system_error(errno, fmt::format("rename {}", ctl::quoted(aside)));
    return ok();
}

/// Errors: conflict when another pool's directory stands where the link has to go.
Status check_place(const std::string& place, const std::string& source) {
    const std::string there = source_at(place);
    if (there.empty() || there == source || place == source) return ok();
    if (there != place && !read_pool_mark(there)) return ok();
    return Error(ErrorCode::conflict, fmt::format("the pool is already at {}", ctl::quoted(there)))
        .hint("delete the pool first, or keep its source");
}

}  // namespace

std::string containers_dir(const std::string& state_dir, const std::string& pool) {
    return place_of(state_dir, pool) + "/containers";
}

Result<model::HostState> observe_pools(const std::string& state_dir) {
    model::HostState state;
    const Fd directory(::open((state_dir + "/pools").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) return state;
    if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(state_dir + "/pools")));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        if (!is_plain_name(name)) continue;
        const std::string source = source_at(place_of(state_dir, name));
        if (source.empty()) continue;
        model::Entry entry;
        entry.object = model::Pool{"dir", source};
        if (const auto mark = read_pool_mark(source)) {
            if (const auto owner = read_mark(mark->mark, pool_id(name))) {
                entry.mark = has_containers(source) ? model::Mark::complete : model::Mark::begun;
                entry.owner = *owner;
            }
        } else if (!has_containers(source)) {
            continue;
        }
        state.emplace(pool_id(name), std::move(entry));
    }
    return state;
}

Status check_pool(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    CTL_TRY(check_source(pool));
    CTL_TRY(check_place(place_of(state_dir, name), *pool.source));
    fs::path there = *pool.source;
    std::error_code failed;
    while (!fs::exists(there, failed) && there.has_relative_path()) there = there.parent_path();
    if (!fs::is_directory(there, failed))
        return Error(ErrorCode::invalid, fmt::format("{} is no directory", ctl::quoted(there.native())));
    if (::access(there.c_str(), W_OK | X_OK) != 0)
        return system_error(errno, fmt::format("write to directory {}", ctl::quoted(there.native())));
    struct statvfs space {};
    if (::statvfs(there.c_str(), &space) == 0 && std::uint64_t{space.f_bavail} * space.f_frsize < least_free_bytes)
        return Error(ErrorCode::no_space, fmt::format("no space left below {}", ctl::quoted(there.native())));
    return there == fs::path(*pool.source) ? check_unclaimed(*pool.source, name, wanted.owner) : ok();
}

Status create_pool(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    CTL_TRY(check_source(pool));
    const std::string place = place_of(state_dir, name);
    CTL_TRY(check_place(place, *pool.source));
    CTL_TRY(make_directories(state_dir + "/pools"));
    const std::string mark = make_mark(wanted.owner, pool_id(name));
    if (source_at(*pool.source).empty()) CTL_TRY(make_source(*pool.source, mark));
    CTL_TRY(check_unclaimed(*pool.source, name, wanted.owner));
    if (!read_pool_mark(*pool.source)) CTL_TRY(write_pool_mark(*pool.source, {mark, false}));
    CTL_TRY(make_directories(*pool.source + "/containers"));
    return place == *pool.source ? ok() : point_link(place, *pool.source);
}

Status mark_pool(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner) {
    const std::string source = source_at(place_of(state_dir, name));
    CTL_ASSIGN(PoolMark mark, read_pool_mark(source));
    mark.mark = owner == nullptr ? std::string() : make_mark(*owner, pool_id(name));
    return write_pool_mark(source, mark);
}

Status require_pool(const std::string& state_dir, const std::string& name) {
    const auto mark = read_pool_mark(place_of(state_dir, name));
    if (mark && read_mark(mark->mark, pool_id(name))) return ok();
    return Error(ErrorCode::not_found, fmt::format("there is no storage pool {}", ctl::quoted(name)));
}

Status sweep_pool(const std::string& state_dir, const std::string& name) {
    const std::string path = containers_dir(state_dir, name);
    const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return errno == ENOENT ? ok() : system_error(errno, fmt::format("open directory {}", ctl::quoted(path)));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& left : names) {
        if (!left.starts_with(aside_prefix)) continue;
        CTL_TRY(unmount_all(path + "/" + left, WhenBusy::detach));
        CTL_TRY(remove_tree(directory.get(), left));
    }
    return ok();
}

Status remove_pool(const std::string& state_dir, const model::ResourceRef& owner, const std::string& name) {
    const std::string place = place_of(state_dir, name);
    const std::string source = source_at(place);
    if (source.empty()) return remove_beside(place);
    CTL_TRY(remove_beside(source));
    const auto mark = read_pool_mark(source);
    if (!mark && mark.error().code() != ErrorCode::not_found) return mark.error();
    if (mark) {
        const auto found = read_mark(mark->mark, pool_id(name));
        if (!found || *found != owner)
            return Error(ErrorCode::conflict, fmt::format("pool at {} is not ours", ctl::quoted(source)));
        CTL_TRY(sweep_pool(state_dir, name));
        if (::rmdir((source + "/containers").c_str()) != 0 && errno != ENOENT) {
            if (errno != ENOTEMPTY && errno != EEXIST) return system_error(errno, "delete directory containers");
            return Error(ErrorCode::conflict, fmt::format("pool at {} still has volumes", ctl::quoted(source)))
                .hint("delete the containers in it first");
        }
        CTL_TRY(drop_source(source, *mark));
    }
    return place != source ? unlink_if_there(place) : ok();
}

}  // namespace ctl::drivers::storage

#include "drivers/storage/dir_pool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/api/store.h"
#include "drivers/storage/disk.h"
#include "drivers/storage/mounts.h"
#include "drivers/storage/pool_images.h"
#include "drivers/storage/pool_place.h"
#include "drivers/storage/snapshot.h"
#include "drivers/storage/store_pool.h"
#include "drivers/storage/trash.h"
#include "drivers/storage/volume.h"
#include "model/trash.h"

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
    std::string driver = "dir";
    std::string trash{};  ///< as the manifest has it; empty for nothing
};

/// What a pool keeps volumes in.
constexpr std::array<const char*, 2> sections{"containers", "custom"};

std::string mark_path(const std::string& directory) { return fmt::format("{}/{}", directory, pool_mark_name); }

/// Errors: not_found when the directory carries no mark.
Result<PoolMark> read_pool_mark(const std::string& directory) {
    CTL_ASSIGN(const std::string text, read_file(mark_path(directory), 65536));
    const auto lines = split(text, '\n');
    PoolMark mark{std::string(lines[0]), lines.size() > 1 && lines[1] == made_line};
    if (lines.size() > 2 && !lines[2].empty()) mark.driver = lines[2];
    if (lines.size() > 3) mark.trash = lines[3];
    return mark;
}

Status write_pool_mark(const std::string& directory, const PoolMark& mark) {
    return write_file_atomically(
        mark_path(directory),
        fmt::format("{}\n{}\n{}\n{}\n", mark.mark, mark.made ? made_line : "", mark.driver, mark.trash), 0600);
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
/// lost+found, an interrupted run leaves its half-written mark or record.
Result<std::string> first_stranger(const std::string& directory) {
    const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return std::string();
    if (!fd) return system_error(errno, fmt::format("open directory {}", ctl::quoted(directory)));
    CTL_ASSIGN(const auto names, directory_names(fd.get()));
    for (const auto& name : names)
        if (name != "lost+found" && name != path_aside(pool_mark_name) && name != path_aside(store_record_name)) return name;
    return std::string();
}

/// Where a directory of ours is before it has its mark and while it loses it.
std::string beside(const std::string& source) {
    const fs::path path(source.substr(0, source.find_last_not_of('/') + 1));
    return fmt::format("{}/{}{}", path.parent_path().native(), aside_prefix, path.filename().native());
}

std::string driver_of(const model::Pool& pool) { return pool.driver.value_or("dir"); }

Status check_source(const model::Pool& pool) {
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
Status make_source(const std::string& source, const PoolMark& mark) {
    const std::string aside = beside(source);
    CTL_TRY(make_directories(aside));
    CTL_TRY(write_pool_mark(aside, mark));
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
    CTL_TRY(unlink_if_there(path_aside(mark_path(source)).native()));
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

/// A directory that is there becomes the pool's: its mark, and where its volumes go.
Status settle_directory(const std::string& directory, const std::string& name, const model::ResourceRef& owner,
                        const PoolMark& mark) {
    CTL_TRY(check_unclaimed(directory, name, owner));
    auto there = read_pool_mark(directory);
    if (!there) {
        CTL_TRY(write_pool_mark(directory, mark));
    } else if (there->trash != mark.trash) {
        there->trash = mark.trash;
        CTL_TRY(write_pool_mark(directory, *there));
    }
    return make_directories(directory + "/containers");
}

/// A pool of ours whose trees are in a store; nothing where an interrupted run had not begun with the store.
std::optional<model::Entry> observe_store_pool(const std::string& state_dir, const std::string& name, const PoolMark& mark) {
    model::Entry entry;
    auto pool = observe_store(state_dir, name);
    if (!pool && pool.error().code() == ErrorCode::not_found) return std::nullopt;
    if (!pool) {
        // Its record is damaged, which any change there tells.
        pool = model::Pool{};
        pool->driver = mark.driver;
        pool->mounted = false;
    }
    if (!mark.trash.empty()) pool->trash = mark.trash;
    entry.object = *std::move(pool);
    if (const auto owner = read_mark(mark.mark, pool_id(name))) {
        const bool is_whole = is_store_ready(state_dir, name) && has_containers(place_of(state_dir, name));
        entry.mark = is_whole ? model::Mark::complete : model::Mark::begun;
        entry.owner = *owner;
    }
    return entry;
}

/// True for a pool that has, or shall have, a file system of its own.
bool is_on_disk(const std::string& state_dir, const model::Pool& pool, const std::string& name) {
    return driver_of(pool) != "dir" && (has_disk(state_dir, name) || is_disk_source(*pool.source));
}

Status sweep_inside(const Backend& backend, int section, const std::string& volume) {
    const auto directory = open_beneath(section, volume, O_RDONLY | O_DIRECTORY);
    return directory ? sweep_volume(backend, directory->get()) : ok();
}

Status remove_volume_section(const std::string& source, const char* section) {
    const std::string path = fmt::format("{}/{}", source, section);
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return ok();
    if (errno != ENOTEMPTY && errno != EEXIST) return system_error(errno, fmt::format("delete {}", ctl::quoted(path)));
    return Error(ErrorCode::conflict, fmt::format("pool at {} still has volumes", ctl::quoted(source)))
        .hint("delete the containers and volumes in it first");
}

}  // namespace

std::string containers_dir(const std::string& state_dir, const std::string& pool) {
    return place_of(state_dir, pool) + "/containers";
}

std::string custom_dir(const std::string& state_dir, const std::string& pool) {
    return place_of(state_dir, pool) + "/custom";
}

Result<model::HostState> observe_pools(const std::string& state_dir, const std::optional<std::set<std::string>>& only) {
    model::HostState state;
    const auto is_wanted = [&](const std::string& name) { return !only || only->contains(name); };
    CTL_ASSIGN(const auto disks, disk_names(state_dir));
    for (const auto& name : disks) {
        if (!is_wanted(name)) continue;
        auto entry = observe_disk(state_dir, name);
        // A record that can't be read is nobody's: what it stood for is not touched.
        if (!entry) state[pool_id(name)].object = model::Pool{};
        else state.emplace(pool_id(name), std::move(*entry));
    }
    const Fd directory(::open((state_dir + "/pools").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) return state;
    if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(state_dir + "/pools")));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        if (!is_plain_name(name) || !is_wanted(name) || state.contains(pool_id(name))) continue;
        const std::string source = source_at(place_of(state_dir, name));
        if (source.empty()) continue;
        if (const auto mark = read_pool_mark(source); mark && is_store_driver(mark->driver)) {
            if (auto entry = observe_store_pool(state_dir, name, *mark)) state.emplace(pool_id(name), *std::move(entry));
            continue;
        }
        model::Entry entry;
        model::Pool pool;
        pool.source = source;
        pool.driver = "dir";
        if (const auto mark = read_pool_mark(source)) {
            pool.driver = mark->driver;
            if (!mark->trash.empty()) pool.trash = mark->trash;
            if (mark->driver != "dir") pool.mounted = true;
            if (const auto owner = read_mark(mark->mark, pool_id(name))) {
                entry.mark = has_containers(source) ? model::Mark::complete : model::Mark::begun;
                entry.owner = *owner;
            }
        } else if (!has_containers(source)) {
            continue;
        }
        entry.object = std::move(pool);
        state.emplace(pool_id(name), std::move(entry));
    }
    return state;
}

Status check_pool(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    if (is_store_driver(driver_of(pool))) {
        const std::string place = place_of(state_dir, name);
        CTL_TRY(check_place(place, place));
        if (!source_at(place).empty()) CTL_TRY(check_unclaimed(place, name, wanted.owner));
        return check_store(state_dir, pool, name);
    }
    CTL_TRY(check_source(pool));
    CTL_ASSIGN(const Backend* backend, find_backend(driver_of(pool)));
    CTL_TRY(backend->check_host());
    const bool on_disk = is_on_disk(state_dir, pool, name);
    if (on_disk) CTL_TRY(check_disk(state_dir, wanted, name));
    else CTL_TRY(check_place(place_of(state_dir, name), *pool.source));
    fs::path there = *pool.source;
    std::error_code failed;
    while (!fs::exists(there, failed) && there.has_relative_path()) there = there.parent_path();
    if (on_disk && there == fs::path(*pool.source)) return ok();
    if (!fs::is_directory(there, failed))
        return Error(ErrorCode::invalid, fmt::format("{} is no directory", ctl::quoted(there.native())));
    if (::access(there.c_str(), W_OK | X_OK) != 0)
        return system_error(errno, fmt::format("write to directory {}", ctl::quoted(there.native())));
    struct statvfs space {};
    if (::statvfs(there.c_str(), &space) == 0 && std::uint64_t{space.f_bavail} * space.f_frsize < least_free_bytes)
        return Error(ErrorCode::no_space, fmt::format("no space left below {}", ctl::quoted(there.native())));
    if (on_disk || there != fs::path(*pool.source)) return ok();
    CTL_TRY(backend->check_directory(*pool.source));
    return check_unclaimed(*pool.source, name, wanted.owner);
}

Status create_pool(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    const std::string place = place_of(state_dir, name);
    if (pool.trash && !model::is_trash_time(*pool.trash))
        return Error(ErrorCode::invalid, fmt::format("{} is not a time to keep something", ctl::quoted(*pool.trash)));
    const PoolMark mark{make_mark(wanted.owner, pool_id(name)), false, driver_of(pool), pool.trash.value_or("")};
    CTL_TRY(make_directories(state_dir + "/pools"));
    if (is_store_driver(mark.driver)) {
        if (source_at(place).empty()) CTL_TRY(make_source(place, {mark.mark, true, mark.driver, mark.trash}));
        CTL_TRY(settle_directory(place, name, wanted.owner, mark));
        return open_store(state_dir, pool, name);
    }
    CTL_TRY(check_source(pool));
    CTL_ASSIGN(const Backend* backend, find_backend(driver_of(pool)));
    if (is_on_disk(state_dir, pool, name)) {
        CTL_TRY(open_disk(state_dir, wanted, name));
        CTL_TRY(settle_directory(place, name, wanted.owner, mark));
        return settle_disk(state_dir, name);
    }
    CTL_TRY(check_place(place, *pool.source));
    if (source_at(*pool.source).empty()) CTL_TRY(make_source(*pool.source, {mark.mark, true, mark.driver, mark.trash}));
    CTL_TRY(backend->check_directory(*pool.source));
    CTL_TRY(settle_directory(*pool.source, name, wanted.owner, mark));
    return place == *pool.source ? ok() : point_link(place, *pool.source);
}

std::string trash_of_pool(const std::string& state_dir, const std::string& name) {
    const auto mark = read_pool_mark(place_of(state_dir, name));
    return mark ? mark->trash : std::string();
}

Status mark_pool(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner) {
    if (has_disk(state_dir, name)) CTL_TRY(mark_disk(state_dir, name, owner));
    const std::string source = source_at(place_of(state_dir, name));
    CTL_ASSIGN(PoolMark mark, read_pool_mark(source));
    mark.mark = owner == nullptr ? std::string() : make_mark(*owner, pool_id(name));
    return write_pool_mark(source, mark);
}

Result<const Backend*> backend_of(const std::string& state_dir, const std::string& name) {
    const auto mark = read_pool_mark(place_of(state_dir, name));
    if (mark && read_mark(mark->mark, pool_id(name)))
        return is_store_driver(mark->driver) ? store_backend(state_dir, name) : find_backend(mark->driver);
    return Error(ErrorCode::not_found, fmt::format("there is no storage pool {}", ctl::quoted(name)));
}

Result<std::map<model::ObjectId, Error>> sweep_pool(const std::string& state_dir, const std::string& name,
                                                    const Backend& backend) {
    std::map<model::ObjectId, Error> troubles;
    for (const bool custom : {false, true}) {
        VolumePlace place{state_dir, name, "", custom};
        const std::string path = place.parent();
        const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory && errno == ENOENT) continue;
        if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(path)));
        CTL_ASSIGN(const auto names, directory_names(directory.get()));
        for (const auto& left : names) {
            const bool is_aside = left.starts_with(aside_prefix);
            Status swept = is_aside ? remove_volume_directory(backend, directory.get(), path, left)
                                    : sweep_inside(backend, directory.get(), left);
            place.name = is_aside ? left.substr(aside_prefix.size()) : left;
            if (!swept) troubles.emplace(place.id(), std::move(swept).error());
        }
    }
    if (const auto top = open_directory(place_of(state_dir, name))) backend.tidy(top->get());
    return troubles;
}

Status remove_pool(const std::string& state_dir, const model::ResourceRef& owner, const std::string& name) {
    const std::string place = place_of(state_dir, name);
    const bool on_disk = has_disk(state_dir, name);
    if (on_disk) CTL_TRY(reopen_disk(state_dir, name));
    const std::string source = on_disk ? place : source_at(place);
    if (source.empty()) return remove_beside(place);
    CTL_TRY(remove_beside(source));
    const auto mark = read_pool_mark(source);
    if (!mark && mark.error().code() != ErrorCode::not_found) return mark.error();
    if (mark) {
        const auto found = read_mark(mark->mark, pool_id(name));
        if (!found || *found != owner)
            return Error(ErrorCode::conflict, fmt::format("pool at {} is not ours", ctl::quoted(source)));
        const auto backend = backend_of(state_dir, name);
        // One that was begun and has no store yet has no volumes either.
        if (!backend && backend.error().code() != ErrorCode::not_found) return backend.error();
        if (backend) {
            CTL_ASSIGN(const auto troubles, sweep_pool(state_dir, name, **backend));
            if (!troubles.empty()) return troubles.begin()->second;
        }
        if (backend) CTL_TRY(empty_trash(state_dir, name, **backend));
        for (const auto* section : sections) CTL_TRY(remove_volume_section(source, section));
        if (backend) CTL_TRY(remove_images(state_dir, name, **backend));
        // What was in the trash may have been the last to need an image's tree.
        CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
        CTL_TRY(remove_unused_trees(state_dir));
        if (is_store_driver(mark->driver)) CTL_TRY(remove_store(state_dir, name));
        if (!on_disk) CTL_TRY(drop_source(source, *mark));
    }
    if (on_disk && !mark && !is_disk_lost(state_dir, name))
        return Error(ErrorCode::conflict, fmt::format("pool at {} doesn't carry its mark", ctl::quoted(source)))
            .hint("look what is mounted there");
    if (on_disk) return remove_disk(state_dir, name);
    return place != source ? unlink_if_there(place) : ok();
}

}  // namespace ctl::drivers::storage

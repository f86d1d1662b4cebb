#include "drivers/storage/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "base/tree_written.h"
#include "drivers/storage/clone.h"
#include "drivers/storage/dir_pool.h"
#include "drivers/storage/id_shift.h"
#include "drivers/storage/trash.h"

namespace ctl::drivers::storage {

namespace {

constexpr const char* section = "snapshots";
constexpr const char* record_name = "snapshot";
constexpr const char* tree_name = "data";

/// In a volume's directory: the tree that is to take the place of the writable one, and afterwards that one.
std::string restored_name() { return fmt::format("{}restored", aside_prefix); }

struct SnapshotRecord {
    std::string made;        ///< when, RFC 3339 in UTC
    std::string expires;     ///< when it is to be deleted; empty: never
    std::string disk_idmap;  ///< whose ids its tree has: the volume's of then
};

constexpr std::array<std::pair<std::string_view, std::string SnapshotRecord::*>, 3> record_lines{
    {{"made", &SnapshotRecord::made}, {"expires", &SnapshotRecord::expires}, {"disk_idmap", &SnapshotRecord::disk_idmap}}};

Result<SnapshotRecord> read_record(const std::string& path) {
    CTL_ASSIGN(const std::string text, read_file(fmt::format("{}/{}", path, record_name), 65536));
    SnapshotRecord record;
    for (const auto line : split(text, '\n'))
        for (const auto& [key, member] : record_lines)
            if (line.starts_with(key) && line.substr(key.size()).starts_with('='))
                record.*member = line.substr(key.size() + 1);
    if (record.made.empty() || record.disk_idmap.empty())
        return Error(ErrorCode::invalid, fmt::format("{} is damaged", ctl::quoted(path)));
    return record;
}

Status write_record(const std::string& path, const SnapshotRecord& record) {
    std::string text;
    for (const auto& [key, member] : record_lines) {
        if ((record.*member).find('\n') != std::string::npos)
            return Error(ErrorCode::invalid, fmt::format("{} has a line end in it", ctl::quoted(record.*member)));
        text += fmt::format("{}={}\n", key, record.*member);
    }
    return write_file_atomically(fmt::format("{}/{}", path, record_name), text, 0600);
}

/// A directory that need not be there; its descriptor is then none.
Result<Fd> open_if_there(int parent, const std::string& name) {
    auto opened = open_beneath(parent, name, O_RDONLY | O_DIRECTORY);
    if (!opened && opened.error().code() == ErrorCode::not_found) return Fd();
    return opened;
}

Status remove_directory(const Backend& backend, int parent, const std::string& name) {
    CTL_ASSIGN(const Fd directory, open_if_there(parent, name));
    if (directory) CTL_TRY(backend.remove_tree(directory.get(), tree_name));
    return remove_tree(parent, name);
}

/// A copy of the tree under a name that is free.
Status copy_writable_tree(const Backend& backend, const Tree& tree, int parent, const std::string& name,
                          const WrittenTreeOptions& options) {
    if (backend.clones_trees()) {
        CTL_TRY(backend.clone_tree(tree, parent, name));
        if (!options.shift) return ok();
        CTL_ASSIGN(const Tree copy, backend.open_tree(parent, name));
        return shift_tree(copy.directory.get(), *options.shift);
    }
    CTL_ASSIGN(const auto size, backend.limit_of_tree(tree));
    CTL_TRY(backend.make_tree(parent, name, size.value_or(0)));
    CTL_ASSIGN(const Tree copy, backend.open_tree(parent, name));
    CTL_TRY(copy_written_tree(tree.directory.get(), copy.directory.get(), options));
    return ::syncfs(copy.directory.get()) == 0 ? ok() : Status(system_error(errno, "sync"));
}

Status fill_snapshot(const SnapshotPlace& place, const Backend& backend, const VolumeRecord& volume, int directory,
                     const SnapshotRecord& record, const std::string& path) {
    CTL_ASSIGN(const Tree tree, open_writable_tree(backend, place.volume.path(), volume));
    WrittenTreeOptions options;
    options.live = true;
    CTL_TRY(copy_writable_tree(backend, tree, directory, tree_name, options));
    CTL_ASSIGN(const Tree copy, backend.open_tree(directory, tree_name));
    CTL_TRY(backend.seal_tree(copy));
    return write_record(path, record);
}

Status make_snapshot(const SnapshotPlace& place, const Backend& backend, const VolumeRecord& volume, int parent,
                     const SnapshotRecord& record) {
    const std::string aside = fmt::format("{}{}", aside_prefix, place.name);
    CTL_TRY(remove_directory(backend, parent, aside));
    auto made = [&]() -> Status {
        if (::mkdirat(parent, aside.c_str(), 0700) != 0)
            return system_error(errno, fmt::format("make directory {}", ctl::quoted(aside)));
        CTL_ASSIGN(const Fd directory, open_beneath(parent, aside, O_RDONLY | O_DIRECTORY));
        CTL_TRY(fill_snapshot(place, backend, volume, directory.get(), record, place.parent() + "/" + aside));
        if (::renameat2(parent, aside.c_str(), parent, place.name.c_str(), RENAME_NOREPLACE) != 0)
            return system_error(errno, fmt::format("rename {}", ctl::quoted(aside)));
        return ok();
    }();
    if (!made) static_cast<void>(remove_directory(backend, parent, aside).has_value());
    return made;
}

SnapshotRecord record_of(const model::Snapshot& snapshot, const VolumeRecord& volume) {
    return {snapshot.made.value_or(""), snapshot.expires.value_or(""), volume.disk_idmap};
}

/// What the ids of the snapshot have to become, for the volume's map may have changed since.
Result<std::optional<IdShift>> shift_since(const SnapshotRecord& snapshot, const VolumeRecord& volume) {
    if (snapshot.disk_idmap == volume.disk_idmap) return std::optional<IdShift>();
    CTL_ASSIGN(const auto from, IdMap::parse(snapshot.disk_idmap));
    CTL_ASSIGN(const auto to, IdMap::parse(volume.disk_idmap));
    CTL_ASSIGN(const IdShift shift, shift_between(from, to));
    return std::optional(shift);
}

/// The new tree is built beside the old one and the two change places in one step: after a crash it is either.
Status put_back(const SnapshotPlace& place, const Backend& backend, const SnapshotRecord& record,
                const VolumeRecord& volume) {
    const std::string path = place.volume.path();
    const std::string name = writable_tree(volume);
    WrittenTreeOptions options;
    CTL_ASSIGN(options.shift, shift_since(record, volume));
    CTL_ASSIGN(const Fd directory, open_directory(path));
    CTL_ASSIGN(const Fd snapshot, open_directory(place.path()));
    CTL_ASSIGN(const Tree kept, backend.open_tree(snapshot.get(), tree_name));
    CTL_TRY(backend.remove_tree(directory.get(), restored_name()));
    CTL_TRY(copy_writable_tree(backend, kept, directory.get(), restored_name(), options));
    {
        CTL_ASSIGN(const Tree old, backend.open_tree(directory.get(), name));
        CTL_ASSIGN(const Tree restored, backend.open_tree(directory.get(), restored_name()));
        CTL_ASSIGN(const auto limit, backend.limit_of_tree(old));
        if (limit) CTL_TRY(backend.limit_tree(restored, *limit));
    }
    if (::renameat2(directory.get(), restored_name().c_str(), directory.get(), name.c_str(), RENAME_EXCHANGE) != 0)
        return system_error(errno, fmt::format("put {} back", ctl::quoted(name)));
    // On the disk before the old tree goes, which may be elsewhere than the names are.
    if (::fsync(directory.get()) != 0) return system_error(errno, fmt::format("write {}", ctl::quoted(name)));
    return backend.remove_tree(directory.get(), restored_name());
}

}  // namespace

Result<SnapshotPlace> SnapshotPlace::parse(const std::string& state_dir, const std::string& id) {
    const std::size_t at = id.rfind('@');
    if (at == std::string::npos || !is_plain_name(id.substr(at + 1)))
        return Error(ErrorCode::invalid, fmt::format("{} names no snapshot", ctl::quoted(id)))
            .hint("write POOL/NAME@SNAPSHOT");
    CTL_ASSIGN(auto volume, VolumePlace::parse(state_dir, id.substr(0, at)));
    return SnapshotPlace{std::move(volume), id.substr(at + 1)};
}

std::string SnapshotPlace::parent() const { return fmt::format("{}/{}", volume.path(), section); }

Status observe_snapshots(const VolumePlace& volume, const model::Entry& entry, model::HostState& state) {
    SnapshotPlace place{volume, ""};
    const Fd directory(::open(place.parent().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return ok();
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        if (!is_plain_name(name)) continue;
        place.name = name;
        model::Entry found;
        model::Snapshot snapshot;
        if (const auto record = read_record(place.path())) {
            snapshot.made = record->made;
            if (!record->expires.empty()) snapshot.expires = record->expires;
            found.mark = entry.mark;
            found.owner = entry.owner;
        }
        found.object = std::move(snapshot);
        state.emplace(place.id(), std::move(found));
    }
    return ok();
}

Status create_snapshot(const SnapshotPlace& place, const model::Entry& wanted) {
    const auto& snapshot = std::get<model::Snapshot>(wanted.object);
    CTL_ASSIGN(const VolumeRecord volume, read_own_record(place.volume, wanted.owner));
    CTL_ASSIGN(const Backend* backend, backend_of(place.volume.state_dir, place.volume.pool));
    if (!volume.shifting_to.empty())
        return Error(ErrorCode::conflict, "the volume's ids are half changed").hint("run ctl apply first");
    if (const auto there = read_record(place.path())) {
        if (there->made == snapshot.made) return update_snapshot(place, wanted);
        return Error(ErrorCode::conflict, fmt::format("there is a snapshot {} already", ctl::quoted(place.name)));
    }
    if (::mkdir(place.parent().c_str(), 0700) != 0 && errno != EEXIST)
        return system_error(errno, fmt::format("make directory {}", ctl::quoted(place.parent())));
    CTL_ASSIGN(const Fd parent, open_directory(place.parent()));
    return make_snapshot(place, *backend, volume, parent.get(), record_of(snapshot, volume));
}

Status update_snapshot(const SnapshotPlace& place, const model::Entry& wanted) {
    CTL_ASSIGN(const VolumeRecord volume, read_own_record(place.volume, wanted.owner));
    static_cast<void>(volume);
    CTL_ASSIGN(SnapshotRecord record, read_record(place.path()));
    record.expires = std::get<model::Snapshot>(wanted.object).expires.value_or("");
    return write_record(place.path(), record);
}

Status remove_snapshot(const SnapshotPlace& place, const model::ResourceRef& owner) {
    if (is_trash(place)) return remove_trash(place, owner);
    const Fd parent(::open(place.parent().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!parent) return errno == ENOENT ? ok() : Status(system_error(errno, "open the volume's snapshots"));
    CTL_ASSIGN(const VolumeRecord volume, read_own_record(place.volume, owner));
    static_cast<void>(volume);
    CTL_ASSIGN(const Backend* backend, backend_of(place.volume.state_dir, place.volume.pool));
    const std::string aside = fmt::format("{}{}", aside_prefix, place.name);
    CTL_TRY(remove_directory(*backend, parent.get(), aside));
    if (::renameat(parent.get(), place.name.c_str(), parent.get(), aside.c_str()) != 0)
        return errno == ENOENT ? ok() : Status(system_error(errno, fmt::format("move {} aside", ctl::quoted(place.name))));
    return remove_directory(*backend, parent.get(), aside);
}

Status restore_snapshot(const SnapshotPlace& place, const model::Entry& wanted, UserNamespaces& namespaces) {
    if (is_trash(place)) return restore_trash(place, wanted, namespaces);
    auto record = read_record(place.path());
    if (!record)
        return Error(ErrorCode::not_found, fmt::format("there is no snapshot {}", ctl::quoted(place.name)))
            .caused_by(std::move(record).error());
    CTL_ASSIGN(const Backend* backend, backend_of(place.volume.state_dir, place.volume.pool));
    model::Entry unmounted = wanted;
    std::get<model::Volume>(unmounted.object).mounted = false;
    CTL_TRY(update_volume(place.volume, unmounted, namespaces));
    CTL_ASSIGN(const VolumeRecord volume, read_own_record(place.volume, wanted.owner));
    auto done = put_back(place, *backend, *record, volume);
    if (!done) {
        // The volume holds what it held: it is to be as usable as before.
        static_cast<void>(update_volume(place.volume, wanted, namespaces).has_value());
        return done;
    }
    return update_volume(place.volume, wanted, namespaces);
}

Status remove_snapshots(const Backend& backend, int volume) {
    CTL_ASSIGN(const Fd snapshots, open_if_there(volume, section));
    if (!snapshots) return ok();
    CTL_ASSIGN(const auto names, directory_names(snapshots.get()));
    for (const auto& name : names) CTL_TRY(remove_directory(backend, snapshots.get(), name));
    return ok();
}

Status sweep_volume(const Backend& backend, int volume) {
    CTL_TRY(backend.remove_tree(volume, restored_name()));
    CTL_ASSIGN(const Fd snapshots, open_if_there(volume, section));
    if (!snapshots) return ok();
    CTL_ASSIGN(const auto names, directory_names(snapshots.get()));
    for (const auto& name : names)
        if (name.starts_with(aside_prefix)) CTL_TRY(remove_directory(backend, snapshots.get(), name));
    return ok();
}

}  // namespace ctl::drivers::storage

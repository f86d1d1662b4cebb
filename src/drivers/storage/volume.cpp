#include "drivers/storage/volume.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/storage/clone.h"
#include "drivers/storage/dir_pool.h"
#include "drivers/storage/id_shift.h"
#include "drivers/storage/mounts.h"
#include "drivers/storage/snapshot.h"
#include "drivers/storage/trash.h"
#include "model/trash.h"

namespace ctl::drivers::storage {

namespace {

/// Enough for any sensible number of maps, few enough not to fill the table of descriptors.
constexpr std::size_t most_namespaces = 32;

std::string record_path(const std::string& path) { return fmt::format("{}/{}", path, volume_record_name); }

Result<VolumeRecord> read_record(const std::string& path) {
    CTL_ASSIGN(const std::string text, read_file(record_path(path), 65536));
    return parse_volume_record(text);
}

Status write_record(const std::string& path, const VolumeRecord& record) {
    return write_file_atomically(record_path(path), to_json(record), 0600);
}

/// Nobody but root and the container's own root gets through here to set-id programs in the tree.
Status close_to_others(const std::string& path, const std::string& idmap) {
    CTL_ASSIGN(const auto map, IdMap::parse(idmap));
    if (::chown(path.c_str(), map ? map->host : 0, 0) != 0)
        return system_error(errno, fmt::format("change owner of {}", ctl::quoted(path)));
    if (::chmod(path.c_str(), 0100) != 0) return system_error(errno, fmt::format("change mode of {}", ctl::quoted(path)));
    return ok();
}

Result<bool> exists(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT) return false;
    return system_error(errno, fmt::format("stat {}", ctl::quoted(path)));
}

std::string idmap_of(const model::Volume& volume) { return volume.idmap.value_or("none"); }

std::string aside_path(const VolumePlace& place) { return fmt::format("{}/{}{}", place.parent(), aside_prefix, place.name); }

Status remove_aside(const VolumePlace& place, const Backend& backend) {
    CTL_ASSIGN(const Fd parent, open_directory(place.parent()));
    return remove_volume_directory(backend, parent.get(), place.parent(), fmt::format("{}{}", aside_prefix, place.name));
}

Status choose_image(const VolumePlace& place, const Backend& backend, const model::Volume& volume, VolumeRecord& record) {
    if (!volume.image || !is_plain_name(*volume.image))
        return Error(ErrorCode::invalid,
                     fmt::format("volume has no usable image: {}", ctl::quoted(volume.image.value_or(""))));
    auto image = read_image_record(place.state_dir, *volume.image);
    if (!image)
        return Error(ErrorCode::not_found, fmt::format("there is no image {}", ctl::quoted(*volume.image)))
            .caused_by(std::move(image).error());
    record.image = *volume.image;
    record.fingerprint = image->fingerprint;
    record.method = backend.clones_trees()         ? "clone"
                    : backend.makes_file_systems() ? "copy"
                                                   : preferred_method(place, *volume.image);
    return ok();
}

/// The directory under its aside name with its record in it: from here on the image's tree is known to be needed.
Result<VolumeRecord> begin_aside(const VolumePlace& place, const Backend& backend, const std::string& aside,
                                 const model::Entry& wanted) {
    const auto& volume = std::get<model::Volume>(wanted.object);
    CTL_TRY(remove_aside(place, backend));
    if (::mkdir(aside.c_str(), 0700) != 0) return system_error(errno, fmt::format("make directory {}", ctl::quoted(aside)));
    CTL_ASSIGN(const Fd lock, lock_image_store(place.state_dir));
    VolumeRecord record;
    record.mark = make_mark(wanted.owner, place.id());
    record.idmap = idmap_of(volume);
    record.method = "empty";
    if (!place.custom) CTL_TRY(choose_image(place, backend, volume, record));
    // Not for ever: what is under an aside name after a crash of the machine is thrown away.
    const std::string path = record_path(aside);
    const std::string text = to_json(record);
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return system_error(errno, fmt::format("create {}", ctl::quoted(path)));
    // Fewer bytes than there are is a disk that got full.
    errno = ENOSPC;
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return system_error(errno, fmt::format("write {}", ctl::quoted(path)));
    return record;
}

/// The directory filled by the cheapest method that works, and the mount for its rootfs/.
Result<Fd> fill_aside(const VolumePlace& place, const Backend& backend, const std::string& aside, VolumeRecord& record,
                      UserNamespaces& namespaces) {
    auto mount = fill_volume(place, backend, aside, record, namespaces);
    if (!mount && record.method == "overlay" && mount.error().code() == ErrorCode::unsupported) {
        CTL_ASSIGN(const Fd directory, open_directory(aside));
        for (const auto* part : {"upper", "work", "lower"}) CTL_TRY(remove_tree(directory.get(), part));
        record.method = "copy";
        mount = fill_volume(place, backend, aside, record, namespaces);
    }
    if (!mount) return std::move(mount).error();
    CTL_TRY(write_record(aside, record));
    CTL_TRY(close_to_others(aside, record.idmap));
    return mount;
}

Status set_size(const Backend& backend, const std::string& path, const VolumeRecord& record, std::int64_t bytes) {
    CTL_ASSIGN(const Tree tree, open_writable_tree(backend, path, record));
    return backend.limit_tree(tree, bytes);
}

Status make_volume(const VolumePlace& place, const Backend& backend, const std::string& aside, const model::Entry& wanted,
                   UserNamespaces& namespaces) {
    const auto& volume = std::get<model::Volume>(wanted.object);
    CTL_ASSIGN(VolumeRecord record, begin_aside(place, backend, aside, wanted));
    CTL_ASSIGN(const Fd mount, fill_aside(place, backend, aside, record, namespaces));
    if (volume.size) CTL_TRY(set_size(backend, aside, record, *volume.size));
    if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, place.path().c_str(), RENAME_NOREPLACE) != 0)
        return system_error(errno, fmt::format("rename {}", ctl::quoted(aside)));
    return volume.mounted.value_or(true) ? attach(mount, place.path() + "/rootfs") : ok();
}

bool is_ready(int directory, const VolumeRecord& record) {
    return record.shifting_to.empty() && is_mounted(directory, "rootfs", record.method == "overlay");
}

/// Ends a shift of ids that `record.shifting_to` announces.
Status finish_shift(const VolumePlace& place, const Backend& backend, VolumeRecord& record) {
    if (record.shifting_to.empty()) return ok();
    CTL_ASSIGN(const auto from, IdMap::parse(record.disk_idmap));
    CTL_ASSIGN(const auto to, IdMap::parse(record.shifting_to));
    CTL_ASSIGN(const IdShift shift, shift_between(from, to));
    CTL_ASSIGN(const Tree tree, open_writable_tree(backend, place.path(), record));
    CTL_TRY(shift_tree(tree.directory.get(), shift));
    record.disk_idmap = record.shifting_to;
    record.shifting_to.clear();
    return write_record(place.path(), record);
}

/// Whose ids the writable tree has to have on disk to be seen with `idmap`.
Result<std::string> disk_idmap_for(const VolumePlace& place, const Backend& backend, VolumeRecord record,
                                   const std::string& idmap, UserNamespaces& namespaces) {
    if (record.method == "overlay") return idmap;
    if (record.disk_idmap != "none") return idmap;
    record.idmap = idmap;
    const auto mount = make_root_mount(place, backend, place.path(), record, namespaces);
    if (!mount && mount.error().code() != ErrorCode::unsupported) return mount.error();
    return mount ? record.disk_idmap : idmap;
}

Status change_idmap(const VolumePlace& place, const Backend& backend, VolumeRecord& record, const std::string& idmap,
                    UserNamespaces& namespaces) {
    CTL_TRY(finish_shift(place, backend, record));
    if (record.idmap == idmap) return close_to_others(place.path(), idmap);
    CTL_ASSIGN(const auto from, IdMap::parse(record.disk_idmap));
    CTL_ASSIGN(const auto to, IdMap::parse(idmap));
    CTL_ASSIGN(const IdShift checked, shift_between(from, to));
    static_cast<void>(checked);
    CTL_TRY(unmount_all(place.path(), WhenBusy::fail));
    CTL_ASSIGN(const std::string disk_idmap, disk_idmap_for(place, backend, record, idmap, namespaces));
    record.idmap = idmap;
    if (record.disk_idmap != disk_idmap) record.shifting_to = disk_idmap;
    CTL_TRY(write_record(place.path(), record));
    CTL_TRY(finish_shift(place, backend, record));
    return close_to_others(place.path(), idmap);
}

/// What looking at the volumes of a pool needs.
struct PoolView {
    const Backend* backend = nullptr;  ///< null when the pool has none
    std::optional<TreeLimits> limits;  ///< asked for once
};

std::optional<std::int64_t> size_of(int directory, const VolumeRecord& record, const PoolView& pool) {
    if (pool.backend == nullptr) return std::nullopt;
    const std::string name = writable_tree(record);
    if (pool.limits) {
        const auto found = pool.limits->find(pool.backend->volume_at(directory, name));
        return found == pool.limits->end() ? std::nullopt : std::optional(found->second);
    }
    const auto tree = pool.backend->open_tree(directory, name);
    if (!tree) return std::nullopt;
    const auto size = pool.backend->limit_of_tree(*tree);
    return size ? *size : std::nullopt;
}

model::Entry observe_volume(int directory, const VolumePlace& place, const PoolView& pool) {
    model::Entry entry;
    model::Volume volume;
    const auto record = read_record(place.path());
    const Fd own(::openat(directory, place.name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (record && own) {
        if (!place.custom) volume.image = record->image;
        volume.idmap = record->idmap;
        volume.size = size_of(own.get(), *record, pool);
        volume.mounted = is_ready(own.get(), *record);
        if (const auto owner = read_mark(record->mark, place.id())) {
            entry.mark = model::Mark::complete;
            entry.owner = *owner;
        }
    }
    entry.object = volume;
    return entry;
}

Status observe_section(const VolumePlace& any, const PoolView& pool, model::HostState& state) {
    const std::string path = any.parent();
    const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory)
        return errno == ENOENT || errno == ENOTDIR ? ok() : system_error(errno, fmt::format("open {}", ctl::quoted(path)));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        VolumePlace place = any;
        place.name = name;
        if (!is_plain_name(name)) continue;
        model::Entry entry = observe_volume(directory.get(), place, pool);
        CTL_TRY(observe_snapshots(place, entry, state));
        state.emplace(place.id(), std::move(entry));
    }
    return ok();
}

}  // namespace

Result<std::shared_ptr<const Fd>> UserNamespaces::get(const std::string& idmap) {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(idmap); found != known_.end()) return found->second;
    CTL_ASSIGN(const auto map, IdMap::parse(idmap));
    if (!map) return Error(ErrorCode::internal, "a user namespace was asked for without an id map");
    CTL_ASSIGN(Fd made, make_user_namespace(*map));
    if (known_.size() >= most_namespaces) known_.clear();
    return known_.emplace(idmap, std::make_shared<const Fd>(std::move(made))).first->second;
}

Result<VolumePlace> VolumePlace::parse(const std::string& state_dir, const std::string& id) {
    const auto parts = split(id, '/');
    const bool custom = parts.size() == 3 && parts[1] == "custom";
    if ((!custom && parts.size() != 2) || !is_plain_name(parts.front()) || !is_plain_name(parts.back()))
        return Error(ErrorCode::invalid, fmt::format("{} names no volume", ctl::quoted(id)))
            .hint("write POOL/NAME or POOL/custom/NAME");
    return VolumePlace{state_dir, std::string(parts.front()), std::string(parts.back()), custom};
}

std::string VolumePlace::parent() const { return custom ? custom_dir(state_dir, pool) : containers_dir(state_dir, pool); }

Result<VolumeRecord> read_own_record(const VolumePlace& place, const model::ResourceRef& owner) {
    auto record = read_record(place.path());
    if (record) {
        const auto found = read_mark(record->mark, place.id());
        if (found && *found == owner) return record;
    } else if (record.error().code() != ErrorCode::not_found && record.error().code() != ErrorCode::invalid) {
        return std::move(record).error();
    }
    return Error(ErrorCode::conflict, fmt::format("directory {} is not ours", ctl::quoted(place.path())));
}

Status observe_volumes(const std::string& state_dir, const std::string& pool, model::HostState& state) {
    const auto backend = backend_of(state_dir, pool);
    PoolView view{backend ? *backend : nullptr, std::nullopt};
    if (view.backend != nullptr) {
        // Sizes are unknown where the tools fail, and asking for each would fail as well.
        auto limits = view.backend->limits();
        view.limits = limits ? std::move(*limits) : TreeLimits();
    }
    for (const bool custom : {false, true}) CTL_TRY(observe_section({state_dir, pool, "", custom}, view, state));
    return observe_trash(state_dir, pool, state);
}

Status create_volume(const VolumePlace& place, const model::Entry& wanted, UserNamespaces& namespaces) {
    CTL_ASSIGN(const Backend* backend, backend_of(place.state_dir, place.pool));
    CTL_ASSIGN(const bool there, exists(place.path()));
    if (there) return update_volume(place, wanted, namespaces);
    if (place.custom) CTL_TRY(make_directories(place.parent()));
    auto made = make_volume(place, *backend, aside_path(place), wanted, namespaces);
    if (made) return ok();
    CTL_TRY(remove_aside(place, *backend));
    return made;
}

Status update_volume(const VolumePlace& place, const model::Entry& wanted, UserNamespaces& namespaces) {
    const auto& volume = std::get<model::Volume>(wanted.object);
    CTL_ASSIGN(VolumeRecord record, read_own_record(place, wanted.owner));
    CTL_ASSIGN(const Backend* backend, backend_of(place.state_dir, place.pool));
    if (volume.image && *volume.image != record.image)
        return Error(ErrorCode::conflict, fmt::format("the volume is a clone of {}, not of {}", ctl::quoted(record.image),
                                                      ctl::quoted(*volume.image)))
            .hint("delete the container first");
    if (volume.idmap) CTL_TRY(change_idmap(place, *backend, record, *volume.idmap, namespaces));
    CTL_TRY(finish_shift(place, *backend, record));
    if (volume.size) CTL_TRY(set_size(*backend, place.path(), record, *volume.size));
    if (!volume.mounted) return ok();
    CTL_ASSIGN(const Fd directory, open_directory(place.path()));
    if (is_ready(directory.get(), record) == *volume.mounted) return ok();
    CTL_TRY(unmount_all(place.path(), WhenBusy::fail));
    if (!*volume.mounted) return ok();
    CTL_ASSIGN(const Fd mount, make_root_mount(place, *backend, place.path(), record, namespaces));
    return attach(mount, place.path() + "/rootfs");
}

Status remove_volume(const VolumePlace& place, const model::ResourceRef& owner) {
    CTL_ASSIGN(const bool there, exists(place.path()));
    if (!there) return ok();
    CTL_ASSIGN(const VolumeRecord record, read_own_record(place, owner));
    CTL_ASSIGN(const Backend* backend, backend_of(place.state_dir, place.pool));
    CTL_TRY(unmount_all(place.path(), WhenBusy::detach));
    if (model::trash_time(trash_of_pool(place.state_dir, place.pool))) return move_to_trash(place);
    // Under the aside name it is gone for everybody, and an interrupted removal is ended by the next run.
    CTL_TRY(remove_aside(place, *backend));
    if (::rename(place.path().c_str(), aside_path(place).c_str()) != 0)
        return system_error(errno, fmt::format("move {} aside", ctl::quoted(place.path())));
    return remove_aside(place, *backend);
}

Status remove_volume_directory(const Backend& backend, int parent, const std::string& path, const std::string& name) {
    CTL_TRY(unmount_all(fmt::format("{}/{}", path, name), WhenBusy::detach));
    if (const auto directory = open_beneath(parent, name, O_RDONLY | O_DIRECTORY)) {
        CTL_TRY(sweep_volume(backend, directory->get()));
        CTL_TRY(remove_snapshots(backend, directory->get()));
        CTL_TRY(backend.remove_tree(directory->get(), "data"));
    }
    return remove_tree(parent, name);
}

Status mark_volume(const VolumePlace& place, const model::ResourceRef* owner) {
    CTL_ASSIGN(VolumeRecord record, read_record(place.path()));
    record.mark = owner == nullptr ? std::string() : make_mark(*owner, place.id());
    return write_record(place.path(), record);
}

}  // namespace ctl::drivers::storage

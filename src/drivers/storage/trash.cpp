#include "drivers/storage/trash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <functional>
#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/storage/dir_pool.h"
#include "model/snapshot_name.h"
#include "model/trash.h"

namespace ctl::drivers::storage {

namespace {

constexpr const char* time_layout = "%Y%m%d-%H%M%S";
/// Of volumes of one name that are deleted in one second.
constexpr int most_in_a_second = 100;

std::string name_in_trash(const SnapshotPlace& place) {
    return fmt::format("{}.{}@{}", place.volume.custom ? "custom" : "containers", place.volume.name, place.name);
}

/// The reverse; nothing for what no volume was moved to.
std::optional<SnapshotPlace> place_in_trash(const std::string& state_dir, const std::string& pool, const std::string& name) {
    const std::size_t dot = name.find('.');
    const std::size_t at = name.rfind('@');
    if (dot == std::string::npos || at == std::string::npos || at < dot) return std::nullopt;
    const bool custom = name.substr(0, dot) == "custom";
    SnapshotPlace place{{state_dir, pool, name.substr(dot + 1, at - dot - 1), custom}, name.substr(at + 1)};
    if (!is_plain_name(place.volume.name) || !is_trash(place) || name_in_trash(place) != name) return std::nullopt;
    return place;
}

std::optional<std::time_t> deleted_at(const std::string& snapshot) {
    std::tm parts{};
    if (::strptime(snapshot.c_str() + model::deleted_prefix.size(), time_layout, &parts) == nullptr) return std::nullopt;
    return ::timegm(&parts);
}

std::string text_of(std::time_t when, const char* layout) {
    std::tm parts{};
    ::gmtime_r(&when, &parts);
    char text[64];
    return {text, std::strftime(text, sizeof text, layout, &parts)};
}

/// Nothing there is a descriptor of none.
Result<Fd> open_trash(const std::string& state_dir, const std::string& pool) {
    Fd trash(::open(trash_dir(state_dir, pool).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!trash && errno != ENOENT) return system_error(errno, fmt::format("open the trash of pool {}", ctl::quoted(pool)));
    return trash;
}

Result<VolumeRecord> record_of(const SnapshotPlace& place) {
    const std::string path = fmt::format("{}/{}/{}", trash_dir(place.volume.state_dir, place.volume.pool),
                                         name_in_trash(place), volume_record_name);
    CTL_ASSIGN(const std::string text, read_file(path, 65536));
    return parse_volume_record(text);
}

/// Errors: not_found; conflict when it is somebody else's.
Result<VolumeRecord> own_record_of(const SnapshotPlace& place, const model::ResourceRef& owner) {
    auto record = record_of(place);
    if (!record) {
        if (record.error().code() != ErrorCode::not_found) return record;
        return Error(ErrorCode::not_found, fmt::format("there is no {} in the trash", ctl::quoted(place.name)));
    }
    const auto found = read_mark(record->mark, place.volume.id());
    if (found && *found == owner) return record;
    return Error(ErrorCode::conflict, fmt::format("{} in the trash is not ours", ctl::quoted(name_in_trash(place))));
}

/// Moves what stands at `name` in `parent` to a name in the trash that says when this is.
Status move_as_deleted_now(const VolumePlace& volume, int parent, const std::string& name, int trash) {
    const std::string now = text_of(std::time(nullptr), time_layout);
    for (int number = 1; number <= most_in_a_second; ++number) {
        SnapshotPlace place{volume, fmt::format("{}{}", model::deleted_prefix, now)};
        if (number > 1) place.name += fmt::format(".{}", number);
        if (::renameat2(parent, name.c_str(), trash, name_in_trash(place).c_str(), RENAME_NOREPLACE) == 0) return ok();
        if (errno != EEXIST) break;
    }
    return system_error(errno, fmt::format("move {} to the trash", ctl::quoted(volume.name)));
}

/// Under an aside name it is gone for everybody, and an interrupted removal is ended by the next run.
Status remove_one(const Backend& backend, const std::string& path, int trash, const std::string& name) {
    std::string aside = name;
    if (!name.starts_with(aside_prefix)) {
        aside = fmt::format("{}{}", aside_prefix, name);
        if (::renameat(trash, name.c_str(), trash, aside.c_str()) != 0)
            return errno == ENOENT ? ok() : Status(system_error(errno, fmt::format("move {} aside", ctl::quoted(name))));
    }
    return remove_volume_directory(backend, trash, path, aside);
}

/// Deletes those that `is_over`.
Status remove_if(const std::string& state_dir, const std::string& pool, const Backend& backend,
                 const std::function<bool(const std::string&)>& is_over) {
    CTL_ASSIGN(const Fd trash, open_trash(state_dir, pool));
    if (!trash) return ok();
    const std::string path = trash_dir(state_dir, pool);
    CTL_ASSIGN(const auto names, directory_names(trash.get()));
    Status first = ok();
    for (const auto& name : names) {
        if (!name.starts_with(aside_prefix) && !is_over(name)) continue;
        if (auto removed = remove_one(backend, path, trash.get(), name); !removed && first) first = std::move(removed);
    }
    return first;
}

}  // namespace

std::string trash_dir(const std::string& state_dir, const std::string& pool) {
    return fmt::format("{}/pools/{}/{}", state_dir, pool, pool_trash_name);
}

bool is_trash(const SnapshotPlace& place) {
    return place.name.starts_with(model::deleted_prefix) && deleted_at(place.name).has_value();
}

Status observe_trash(const std::string& state_dir, const std::string& pool, model::HostState& state) {
    CTL_ASSIGN(const Fd trash, open_trash(state_dir, pool));
    if (!trash) return ok();
    CTL_ASSIGN(const auto names, directory_names(trash.get()));
    const auto kept = model::trash_time(trash_of_pool(state_dir, pool));
    for (const auto& name : names) {
        const auto place = place_in_trash(state_dir, pool, name);
        if (!place) continue;
        const std::time_t deleted = *deleted_at(place->name);
        model::Snapshot snapshot;
        snapshot.made = text_of(deleted, "%Y-%m-%dT%H:%M:%SZ");
        snapshot.expires = text_of(kept ? kept->after(deleted) : deleted, "%Y-%m-%dT%H:%M:%SZ");
        model::Entry entry;
        if (const auto record = record_of(*place)) {
            if (const auto owner = read_mark(record->mark, place->volume.id())) {
                entry.mark = model::Mark::complete;
                entry.owner = *owner;
            }
        }
        entry.object = std::move(snapshot);
        state.emplace(place->id(), std::move(entry));
    }
    return ok();
}

Status move_to_trash(const VolumePlace& place) {
    CTL_TRY(make_directories(trash_dir(place.state_dir, place.pool)));
    CTL_ASSIGN(const Fd trash, open_trash(place.state_dir, place.pool));
    CTL_ASSIGN(const Fd parent, open_directory(place.parent()));
    return move_as_deleted_now(place, parent.get(), place.name, trash.get());
}

Status remove_trash(const SnapshotPlace& place, const model::ResourceRef& owner) {
    if (auto record = own_record_of(place, owner); !record)
        return record.error().code() == ErrorCode::not_found ? ok() : Status(std::move(record).error());
    CTL_ASSIGN(const Backend* backend, backend_of(place.volume.state_dir, place.volume.pool));
    const std::string name = name_in_trash(place);
    return remove_if(place.volume.state_dir, place.volume.pool, *backend,
                     [&](const std::string& candidate) { return candidate == name; });
}

Status restore_trash(const SnapshotPlace& place, const model::Entry& wanted, UserNamespaces& namespaces) {
    const VolumePlace& volume = place.volume;
    CTL_ASSIGN(const VolumeRecord kept, own_record_of(place, wanted.owner));
    CTL_ASSIGN(const Fd trash, open_trash(volume.state_dir, volume.pool));
    CTL_ASSIGN(const Fd parent, open_directory(volume.parent()));
    const std::string name = name_in_trash(place);
    if (::faccessat(parent.get(), volume.name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        if (::renameat2(trash.get(), name.c_str(), parent.get(), volume.name.c_str(), RENAME_NOREPLACE) != 0)
            return system_error(errno, fmt::format("move {} out of the trash", ctl::quoted(volume.name)));
        return update_volume(volume, wanted, namespaces);
    }
    CTL_ASSIGN(const VolumeRecord now, read_own_record(volume, wanted.owner));
    if (now.image != kept.image)
        return Error(ErrorCode::conflict, fmt::format("what was deleted is a clone of {}, the volume is one of {}",
                                                      ctl::quoted(kept.image), ctl::quoted(now.image)))
            .hint("give the container that image in the manifest, and apply it first");
    model::Entry unmounted = wanted;
    std::get<model::Volume>(unmounted.object).mounted = false;
    CTL_TRY(update_volume(volume, unmounted, namespaces));
    if (::renameat2(trash.get(), name.c_str(), parent.get(), volume.name.c_str(), RENAME_EXCHANGE) != 0) {
        const Error failure = system_error(errno, fmt::format("move {} out of the trash", ctl::quoted(volume.name)));
        // The volume holds what it held: it is to be as usable as before.
        static_cast<void>(update_volume(volume, wanted, namespaces).has_value());
        return failure;
    }
    CTL_TRY(move_as_deleted_now(volume, trash.get(), name, trash.get()));
    return update_volume(volume, wanted, namespaces);
}

Status sweep_trash(const std::string& state_dir, const std::string& pool, const Backend& backend) {
    const auto kept = model::trash_time(trash_of_pool(state_dir, pool));
    const std::time_t now = std::time(nullptr);
    return remove_if(state_dir, pool, backend, [&](const std::string& name) {
        const auto place = place_in_trash(state_dir, pool, name);
        return place && (!kept || kept->after(*deleted_at(place->name)) <= now);
    });
}

Status empty_trash(const std::string& state_dir, const std::string& pool, const Backend& backend) {
    CTL_TRY(remove_if(state_dir, pool, backend,
                      [&](const std::string& name) { return place_in_trash(state_dir, pool, name).has_value(); }));
    const std::string path = trash_dir(state_dir, pool);
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return ok();
    return system_error(errno, fmt::format("delete directory {}", ctl::quoted(path)));
}

}  // namespace ctl::drivers::storage

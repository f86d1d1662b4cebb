#include "drivers/storage/driver.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "base/text.h"
#include "diff/restore.h"
#include "drivers/api/store.h"
#include "drivers/storage/dir_pool.h"
#include "drivers/storage/pool_images.h"
#include "drivers/storage/pool_place.h"
#include "drivers/storage/snapshot.h"
#include "drivers/storage/trash.h"
#include "drivers/storage/volume.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::ObjectKind;

/// Changes under way at a time: they mostly wait for the disk and for the kernel to unmount.
constexpr std::size_t most_at_once = 8;

/// What keeps pools and volumes from being worked on.
using Troubles = std::map<model::ObjectId, Error>;

class StorageDriver final : public Driver {
public:
    explicit StorageDriver(std::string state_dir) : state_dir_(std::move(state_dir)) {}

    [[nodiscard]] const DriverInfo& info() const override { return info_; }
    [[nodiscard]] Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override;
    [[nodiscard]] std::vector<Error> preflight(std::span<const Change> changes) override;
    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override;
    [[nodiscard]] std::vector<EventSource> events() override { return {}; }
    [[nodiscard]] bool drain(int) override { return false; }

private:
    Status check_size(const storage::VolumePlace& place, const Change& change);
    Status apply_one(const Change& change);
    Status apply_pool(const Change& change);
    Status apply_volume(const Change& change);
    Status apply_snapshot(const Change& change);
    void sweep_trash(const std::string& pool);
    Troubles sweep(const std::string& pool);
    Troubles sweep(std::span<const Change> changes);

    std::string state_dir_;
    storage::UserNamespaces namespaces_;
    DriverInfo info_{"storage",
                     "storage pools, volumes and their snapshots, in directories, on btrfs, lvm, zfs and ceph",
                     {ObjectKind::pool, ObjectKind::volume, ObjectKind::snapshot}};
};

std::string pool_of(const model::ObjectId& id) { return id.name.substr(0, id.name.find('/')); }

const model::ResourceRef& owner_of(const Change& change) {
    static const model::ResourceRef nobody;
    if (change.desired) return change.desired->owner;
    return change.observed ? change.observed->owner : nobody;
}

Result<model::HostState> StorageDriver::observe(const Interest& interest, std::stop_token) {
    std::optional<std::set<std::string>> only;
    if (!interest.all) {
        only.emplace();
        for (const auto& id : interest.ids) only->insert(pool_of(id));
    }
    CTL_ASSIGN(model::HostState found, storage::observe_pools(state_dir_, only));
    std::set<std::string> pools;
    for (const auto& [id, entry] : found) pools.insert(id.name);
    if (!interest.all) {
        std::set<std::string> named;
        for (const auto& id : interest.ids)
            if (id.kind != ObjectKind::pool) named.insert(pool_of(id));
        std::erase_if(pools, [&](const std::string& pool) { return !named.contains(pool); });
    }
    for (const auto& pool : pools) CTL_TRY(storage::observe_volumes(state_dir_, pool, found));
    if (!interest.all) std::erase_if(found, [&](const auto& item) { return !interest.ids.contains(item.first); });
    return found;
}

Status StorageDriver::check_size(const storage::VolumePlace& place, const Change& change) {
    const auto from = std::get<model::Volume>(change.observed->object).size;
    const auto to = std::get<model::Volume>(change.desired->object).size;
    const auto backend = storage::backend_of(state_dir_, place.pool);
    return backend && from && to ? (*backend)->check_limit(*from, *to) : ok();
}

std::vector<Error> StorageDriver::preflight(std::span<const Change> changes) {
    std::vector<Error> errors;
    for (const auto& change : changes) {
        if (::geteuid() != 0) {
            Error fault(ErrorCode::permission, "storage can only be changed by root");
            errors.push_back(diff::refusal(std::move(fault).hint("run ctl with sudo"), change));
            continue;
        }
        Status outcome = ok();
        if ((change.verb == Verb::create || change.verb == Verb::update) && change.desired) {
            if (change.id.kind == ObjectKind::pool) {
                outcome = storage::check_pool(state_dir_, *change.desired, change.id.name);
            } else if (change.id.kind == ObjectKind::snapshot) {
                if (const auto place = storage::SnapshotPlace::parse(state_dir_, change.id.name); !place)
                    outcome = place.error();
            } else if (const auto place = storage::VolumePlace::parse(state_dir_, change.id.name); !place) {
                outcome = place.error();
            } else if (change.observed) {
                outcome = check_size(*place, change);
            }
        }
        if (!outcome) errors.push_back(diff::refusal(std::move(outcome).error(), change));
    }
    return errors;
}

Status StorageDriver::apply_pool(const Change& change) {
    const std::string& name = change.id.name;
    if (!is_plain_name(name)) return Error(ErrorCode::invalid, fmt::format("{} names no pool", ctl::quoted(name)));
    switch (change.verb) {
        case Verb::create:
        case Verb::update:
            CTL_TRY(storage::create_pool(state_dir_, *change.desired, name));
            sweep_trash(name);
            return ok();
        case Verb::adopt: return storage::mark_pool(state_dir_, name, &change.desired->owner);
        case Verb::forget: return storage::mark_pool(state_dir_, name, nullptr);
        case Verb::remove: return storage::remove_pool(state_dir_, owner_of(change), name);
        case Verb::replace:
        case Verb::stop: break;
    }
    return Error(ErrorCode::internal, fmt::format("a pool knows no {}", diff::to_string(change.verb)));
}

Status StorageDriver::apply_volume(const Change& change) {
    CTL_ASSIGN(const auto place, storage::VolumePlace::parse(state_dir_, change.id.name));
    const auto wanted = [&] {
        model::Entry entry = *change.desired;
        for (const auto& field : change.fields)
            if (field.name == "size" && !field.to) std::get<model::Volume>(entry.object).size = 0;
        return entry;
    };
    switch (change.verb) {
        case Verb::create:
            if (const std::string snapshot = diff::restored_snapshot(change); !snapshot.empty())
                return storage::restore_snapshot({place, snapshot}, wanted(), namespaces_);
            return storage::create_volume(place, *change.desired, namespaces_);
        case Verb::update:
            if (const std::string snapshot = diff::restored_snapshot(change); !snapshot.empty())
                return storage::restore_snapshot({place, snapshot}, wanted(), namespaces_);
            return storage::update_volume(place, wanted(), namespaces_);
        case Verb::adopt:
            CTL_TRY(storage::mark_volume(place, &change.desired->owner));
            return storage::update_volume(place, wanted(), namespaces_);
        case Verb::forget: return storage::mark_volume(place, nullptr);
        case Verb::remove: return storage::remove_volume(place, owner_of(change));
        case Verb::replace:
        case Verb::stop: break;
    }
    return Error(ErrorCode::internal, fmt::format("a volume knows no {}", diff::to_string(change.verb)));
}

Status StorageDriver::apply_snapshot(const Change& change) {
    CTL_ASSIGN(const auto place, storage::SnapshotPlace::parse(state_dir_, change.id.name));
    switch (change.verb) {
        case Verb::create: return storage::create_snapshot(place, *change.desired);
        case Verb::update: return storage::update_snapshot(place, *change.desired);
        case Verb::remove: return storage::remove_snapshot(place, owner_of(change));
        // It is marked by its volume.
        case Verb::adopt:
        case Verb::forget: return ok();
        case Verb::replace:
        case Verb::stop: break;
    }
    return Error(ErrorCode::internal, fmt::format("a snapshot knows no {}", diff::to_string(change.verb)));
}

Status StorageDriver::apply_one(const Change& change) {
    if (change.id.kind == ObjectKind::pool) return apply_pool(change);
    return change.id.kind == ObjectKind::snapshot ? apply_snapshot(change) : apply_volume(change);
}

/// A failure costs space only, and the next run tries again.
void StorageDriver::sweep_trash(const std::string& pool) {
    if (const auto backend = storage::backend_of(state_dir_, pool))
        static_cast<void>(storage::sweep_trash(state_dir_, pool, **backend).has_value());
}

Troubles StorageDriver::sweep(const std::string& pool) {
    const auto backend = storage::backend_of(state_dir_, pool);
    if (!backend) return {};
    sweep_trash(pool);
    auto troubles = storage::sweep_pool(state_dir_, pool, **backend);
    if (!troubles) return {{storage::pool_id(pool), std::move(troubles).error()}};
    if (auto removed = storage::remove_unused_images(state_dir_, pool, **backend); !removed)
        troubles->emplace(storage::pool_id(pool), std::move(removed).error());
    return std::move(*troubles);
}

/// Deletes what an interrupted run left in the pools that are worked on now. What can't be deleted in one volume or pool
/// keeps nobody from working on another.
Troubles StorageDriver::sweep(std::span<const Change> changes) {
    std::set<std::string> pools;
    for (const auto& change : changes)
        if (const std::string pool = pool_of(change.id); is_plain_name(pool)) pools.insert(pool);
    Troubles troubles;
    for (const auto& pool : pools) troubles.merge(sweep(pool));
    return troubles;
}

/// The trouble with the change's volume, or else with its pool.
const Error* trouble_with(const Change& change, const Troubles& troubles) {
    const std::string volume = change.id.name.substr(0, change.id.name.rfind('@'));
    auto found = troubles.find({ObjectKind::volume, change.id.kind == ObjectKind::snapshot ? volume : change.id.name});
    if (found == troubles.end()) found = troubles.find(storage::pool_id(pool_of(change.id)));
    return found == troubles.end() ? nullptr : &found->second;
}

void StorageDriver::apply(std::span<const Change> changes, const Report& report, std::stop_token stop) {
    const auto troubles = sweep(changes);
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
        for (std::size_t i = next++; i < changes.size(); i = next++) {
            const Error* trouble = trouble_with(changes[i], troubles);
            if (stop.stop_requested()) report(i, Error(ErrorCode::cancelled, "interrupted before it began"));
            else report(i, trouble == nullptr ? apply_one(changes[i]) : *trouble);
        }
    };
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < std::min(changes.size(), most_at_once); ++i) others.emplace_back(work);
        work();
    }
    const auto is_removal = [](const Change& change) {
        return change.id.kind != ObjectKind::pool && change.verb == Verb::remove;
    };
    if (std::none_of(changes.begin(), changes.end(), is_removal)) return;
    // The last clone of a deleted image takes its tree along. A failure costs space only, and the next removal tries again.
    if (const auto lock = lock_image_store(state_dir_)) static_cast<void>(remove_unused_trees(state_dir_).has_value());
}

}  // namespace

Result<std::unique_ptr<Driver>> make_storage_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<StorageDriver>(context.state_dir));
}

}  // namespace ctl::drivers

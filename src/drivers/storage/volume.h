#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "drivers/api/store.h"
#include "drivers/storage/backend.h"
#include "model/host_state.h"

// A volume in a pool: POOL/containers/NAME, or POOL/custom/NAME for one that no image fills, with
//   volume.json   what it is (drivers/api/store.h)
//   rootfs/       where its files are mounted, ids as the container's map has them on the host
//   upper/ work/  overlay: what differs from the image
//   lower/        overlay: where the image's tree is mounted for a moment with its ids shifted
//   data/         else: the whole tree
//   snapshots/    see snapshot.h

namespace ctl::drivers::storage {

/// User namespaces by id map, made once. Any thread may ask.
class UserNamespaces {
public:
    [[nodiscard]] Result<std::shared_ptr<const Fd>> get(const std::string& idmap);

private:
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<const Fd>> known_;
};

/// A volume's name and the directories it belongs to.
struct VolumePlace {
    std::string state_dir;
    std::string pool;
    std::string name;
    bool custom = false;

    /// From POOL/NAME or POOL/custom/NAME. Errors: invalid.
    [[nodiscard]] static Result<VolumePlace> parse(const std::string& state_dir, const std::string& id);
    [[nodiscard]] std::string parent() const;
    [[nodiscard]] std::string path() const { return parent() + "/" + name; }
    [[nodiscard]] model::ObjectId id() const {
        return {model::ObjectKind::volume, pool + (custom ? "/custom/" : "/") + name};
    }
};

/// All volumes of a pool with their snapshots, deleted ones that are kept, and directories in their place that are not ours.
[[nodiscard]] Status observe_volumes(const std::string& state_dir, const std::string& pool, model::HostState& state);

/// The record of a volume that is ours. Errors: conflict.
[[nodiscard]] Result<VolumeRecord> read_own_record(const VolumePlace& place, const model::ResourceRef& owner);

/// Clones the image, or makes an empty tree without one, and mounts it; brings one that is there already up to date. Errors:
/// not_found without the pool or the image; conflict when the directory is not ours.
[[nodiscard]] Status create_volume(const VolumePlace& place, const model::Entry& wanted, UserNamespaces& namespaces);

/// Id map, size and mount as wanted; a size of 0 takes the limit away. Errors: conflict when it is in use and has to be
/// mounted anew.
[[nodiscard]] Status update_volume(const VolumePlace& place, const model::Entry& wanted, UserNamespaces& namespaces);

/// Unmounts it and moves it to the trash; deletes it, snapshots too, where its pool keeps nothing. Nothing there is success.
[[nodiscard]] Status remove_volume(const VolumePlace& place, const model::ResourceRef& owner);

/// Writes another owner into a volume's mark; nobody when `owner` is null.
[[nodiscard]] Status mark_volume(const VolumePlace& place, const model::ResourceRef* owner);

/// Unmounts and deletes the directory `name` of a volume, whole or not, in `parent`, which is at `path`.
[[nodiscard]] Status remove_volume_directory(const Backend& backend, int parent, const std::string& path,
                                             const std::string& name);

}  // namespace ctl::drivers::storage

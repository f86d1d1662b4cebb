#pragma once

#include <string_view>

// What the tools of storage pools take as a name, and never as an option or a path.

namespace ctl::model {

/// A volume group or thin pool: letters, digits and any of +_.-
[[nodiscard]] bool is_lvm_name(std::string_view text);
/// A zpool or a dataset in one: tank/ctl.
[[nodiscard]] bool is_zfs_name(std::string_view text);
/// An OSD pool, a cluster or a user of ceph.
[[nodiscard]] bool is_ceph_name(std::string_view text);
/// Features of RBD images: layering,exclusive-lock.
[[nodiscard]] bool is_feature_list(std::string_view text);

}  // namespace ctl::model

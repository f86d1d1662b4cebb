#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

// What the image and storage drivers keep on disk and read from each other:
//
//   STATE_DIR/images/NAME/image.json              an image: its mark and the fingerprint of its root filesystem
//   STATE_DIR/images/sha256/FINGERPRINT/rootfs/   root filesystems, shared by all names and clones with that fingerprint;
//                                                 beside it what an image says of itself: see image_metadata.h
//   STATE_DIR/pools/NAME                          a pool: a directory, or a symbolic link to one elsewhere
//   POOL/.ctl-pool                                its mark
//   POOL/containers/NAME/volume.json              a volume: its mark, and from which root filesystem it was cloned
//   POOL/trash/…/volume.json                      a volume that was deleted and is kept for a while
//
// A name that begins with ".ctl-tmp-" is half made or half deleted and of no use to anyone.

namespace ctl::drivers {

inline constexpr std::string_view aside_prefix = ".ctl-tmp-";
inline constexpr std::string_view image_record_name = "image.json";
inline constexpr std::string_view volume_record_name = "volume.json";
inline constexpr std::string_view pool_mark_name = ".ctl-pool";
inline constexpr std::string_view pool_trash_name = "trash";

struct ImageRecord {
    std::string mark;  ///< see make_mark; empty when forgotten
    std::string type;
    std::string source;  ///< empty for none
    std::map<std::string, std::string> options;
    std::string fingerprint;
    std::string made;           ///< when, RFC 3339 in UTC
    std::int64_t size = 0;      ///< bytes of file content
    std::int64_t left_out = 0;  ///< device nodes and sockets that were not taken over
    std::vector<std::string> aliases;
    std::map<std::string, std::string> properties;
    bool shared = false;       ///< `public`
    bool auto_update = false;  ///< followed by the watch loop
    std::int64_t looked = 0;   ///< when its source was looked at last, seconds since 1970
    std::string trouble;       ///< why looking at it failed last time
};

struct VolumeRecord {
    std::string mark;         ///< see make_mark; empty when forgotten
    std::string image;        ///< name it was cloned from
    std::string fingerprint;  ///< of the root filesystem it was cloned from
    std::string idmap;        ///< whose ids are seen at rootfs/
    std::string method;       ///< overlay, reflink, copy, clone or empty
    std::string disk_idmap;   ///< whose ids the writable tree (upper/ or data/) has on disk
    std::string shifting_to;  ///< the writable tree is on its way from disk_idmap to this; else empty
};

[[nodiscard]] Result<ImageRecord> parse_image_record(std::string_view json);
[[nodiscard]] std::string to_json(const ImageRecord& record);
[[nodiscard]] Result<VolumeRecord> parse_volume_record(std::string_view json);
[[nodiscard]] std::string to_json(const VolumeRecord& record);

/// An image's record. Errors: not_found, invalid.
[[nodiscard]] Result<ImageRecord> read_image_record(const std::string& state_dir, const std::string& name);

/// STATE_DIR/images/sha256/FINGERPRINT
[[nodiscard]] std::string image_tree_dir(const std::string& state_dir, std::string_view fingerprint);

/// A name that can be one part of a path: no slash, no control character, no leading dot, at most 200 bytes.
[[nodiscard]] bool is_plain_name(std::string_view name);

/// Keeps others from judging a root filesystem unused between its making and the record that names it. Held while a record
/// is read or written together with what it stands for.
[[nodiscard]] Result<Fd> lock_image_store(const std::string& state_dir);

/// Deletes the root filesystems that no image and no volume of any pool names. Deletes nothing while a pool can't be read:
/// its volumes may need them. The store's lock must be held.
[[nodiscard]] Status remove_unused_trees(const std::string& state_dir);

}  // namespace ctl::drivers

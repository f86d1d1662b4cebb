#include "drivers/storage/clone.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "drivers/storage/id_shift.h"
#include "drivers/storage/mounts.h"
#include "drivers/storage/pool_images.h"

namespace ctl::drivers::storage {

namespace {

Status make_directory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
        return system_error(errno, fmt::format("make directory {}", ctl::quoted(path)));
    return ok();
}

Result<Fd> open_image(const VolumePlace& place, const VolumeRecord& record) {
    auto opened = open_directory(image_tree_dir(place.state_dir, record.fingerprint) + "/rootfs");
    if (!opened)
        return Error(ErrorCode::not_found, fmt::format("the root filesystem of image {} is gone", ctl::quoted(record.image)))
            .caused_by(opened.error());
    return opened;
}

/// The overlay's upper directory is what the container sees as "/": it looks like the image's, with the container's ids.
Status make_upper(const std::string& path, int image, const VolumeRecord& record) {
    CTL_ASSIGN(const auto map, IdMap::parse(record.idmap));
    CTL_ASSIGN(const IdShift shift, shift_between(std::nullopt, map));
    struct stat info {};
    if (::fstat(image, &info) != 0) return system_error(errno, "stat the image's root directory");
    CTL_TRY(make_directory(path + "/upper", 0700));
    CTL_TRY(make_directory(path + "/work", 0700));
    CTL_TRY(make_directory(path + "/lower", 0700));
    CTL_ASSIGN(const Fd upper, open_directory(path + "/upper"));
    const std::array<timespec, 2> times{info.st_atim, info.st_mtim};
    if (::fchown(upper.get(), shift(info.st_uid), shift(info.st_gid)) != 0 ||
        ::fchmod(upper.get(), info.st_mode & 07777) != 0 || ::futimens(upper.get(), times.data()) != 0)
        return system_error(errno, "set up the upper directory");
    return ok();
}

/// An overlay takes its lower layer from a place in the mount tree: the shifted view of the image is attached for as long
/// as the overlay is being made. The overlay then holds a view of its own.
Result<Fd> overlay_with_shifted_image(const std::string& lower, const Fd& view, OverlayParts parts) {
    CTL_TRY(attach(view, lower));
    auto made = [&]() -> Result<Fd> {
        CTL_ASSIGN(const Fd opened, open_directory(lower));
        parts.lower = opened.get();
        return make_overlay(parts);
    }();
    if (::umount2(lower.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) != 0)
        return system_error(errno, fmt::format("unmount {}", ctl::quoted(lower)));
    return made;
}

Result<Fd> make_overlay_mount(const VolumePlace& place, const std::string& path, const VolumeRecord& record,
                              UserNamespaces& namespaces) {
    CTL_ASSIGN(const Fd image, open_image(place, record));
    CTL_ASSIGN(const Fd upper, open_directory(path + "/upper"));
    CTL_ASSIGN(const Fd work, open_directory(path + "/work"));
    const OverlayParts parts{image.get(), upper.get(), work.get()};
    if (record.idmap == "none") return make_overlay(parts);
    CTL_ASSIGN(const auto user_namespace, namespaces.get(record.idmap));
    CTL_ASSIGN(const Fd view, clone_mount(image.get(), user_namespace->get()));
    return overlay_with_shifted_image(path + "/lower", view, parts);
}

/// Bytes of a tree for an image; 0 for none.
std::int64_t size_for_image(const std::string& state_dir, const std::string& image) {
    const auto record = image.empty() ? Error(ErrorCode::not_found, "") : read_image_record(state_dir, image);
    return record ? size_for_content(record->size) : 0;
}

Status sync_file_system(int fd) { return ::syncfs(fd) == 0 ? ok() : Status(system_error(errno, "sync")); }

/// The tree data/ with the ids of the image.
Status make_data(const VolumePlace& place, const Backend& backend, const std::string& path, const VolumeRecord& record) {
    CTL_ASSIGN(const Fd directory, open_directory(path));
    if (record.method == "clone") {
        CTL_ASSIGN(const Fd image, open_image(place, record));
        CTL_ASSIGN(const Tree tree, pool_image(place, backend, record, image.get()));
        return backend.clone_tree(tree, directory.get(), "data");
    }
    CTL_TRY(backend.make_tree(directory.get(), "data", size_for_image(place.state_dir, record.image)));
    CTL_ASSIGN(const Tree tree, backend.open_tree(directory.get(), "data"));
    if (::fchmod(tree.directory.get(), record.image.empty() ? 0711 : 0700) != 0)
        return system_error(errno, "change the mode of data");
    return ok();
}

/// Ids stay those of the image where a mount can shift them, so that another map costs nothing later.
Status fill_data(const VolumePlace& place, const Backend& backend, const std::string& path, VolumeRecord& record,
                 UserNamespaces& namespaces) {
    CTL_TRY(make_data(place, backend, path, record));
    CTL_ASSIGN(const Tree tree, open_writable_tree(backend, path, record));
    const Fd& data = tree.directory;
    record.disk_idmap = "none";
    CopyOptions options;
    if (auto view = make_root_mount(place, backend, path, record, namespaces); !view) {
        if (view.error().code() != ErrorCode::unsupported) return std::move(view).error();
        CTL_ASSIGN(const auto map, IdMap::parse(record.idmap));
        CTL_ASSIGN(options.shift, shift_between(std::nullopt, map));
        record.disk_idmap = record.idmap;
    }
    const bool is_copied = record.method == "reflink" || record.method == "copy";
    if (!is_copied) return options.shift ? shift_tree(data.get(), *options.shift) : ok();
    CTL_ASSIGN(const Fd image, open_image(place, record));
    CTL_ASSIGN(const CopyTotals totals, copy_tree(image.get(), data.get(), options));
    static_cast<void>(totals);
    return sync_file_system(data.get());
}

}  // namespace

std::string writable_tree(const VolumeRecord& record) { return record.method == "overlay" ? "upper" : "data"; }

Result<Tree> open_writable_tree(const Backend& backend, const std::string& path, const VolumeRecord& record) {
    CTL_ASSIGN(const Fd directory, open_directory(path));
    return backend.open_tree(directory.get(), writable_tree(record));
}

std::string preferred_method(const VolumePlace& place, const std::string& image) {
    const std::string sample = fmt::format("{}/images/{}/{}", place.state_dir, image, image_record_name);
    const Fd from(::open(sample.c_str(), O_RDONLY | O_CLOEXEC));
    const Fd to(::open(place.parent().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
    const bool shares = from && to && ::ioctl(to.get(), FICLONE, from.get()) == 0;
    return shares ? "reflink" : "overlay";
}

Result<Fd> fill_volume(const VolumePlace& place, const Backend& backend, const std::string& path, VolumeRecord& record,
                       UserNamespaces& namespaces) {
    CTL_TRY(make_directory(path + "/rootfs", 0755));
    if (record.method == "overlay") {
        CTL_ASSIGN(const Fd image, open_image(place, record));
        CTL_TRY(make_upper(path, image.get(), record));
        record.disk_idmap = record.idmap;
    } else {
        CTL_TRY(fill_data(place, backend, path, record, namespaces));
    }
    return make_root_mount(place, backend, path, record, namespaces);
}

Result<Fd> make_root_mount(const VolumePlace& place, const Backend& backend, const std::string& path,
                           const VolumeRecord& record, UserNamespaces& namespaces) {
    if (record.method == "overlay") return make_overlay_mount(place, path, record, namespaces);
    CTL_ASSIGN(const Fd directory, open_directory(path));
    if (record.idmap == record.disk_idmap) return backend.mount_tree(directory.get(), "data", std::nullopt);
    CTL_ASSIGN(const auto user_namespace, namespaces.get(record.idmap));
    return backend.mount_tree(directory.get(), "data", user_namespace->get());
}

}  // namespace ctl::drivers::storage

#include "drivers/image/build.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/image_metadata.h"
#include "drivers/image/busybox.h"
#include "drivers/image/fingerprint.h"

namespace ctl::drivers::image {

namespace {

/// What a small image takes, and what has to be left for records.
constexpr std::uint64_t least_free_bytes = std::uint64_t{16} << 20;

Result<Built> from_file(const model::Image& image, int aside) {
    if (const auto rootfs = option(image, "rootfs"); !rootfs.empty()) return unpack_two(*image.source, rootfs, aside);
    CTL_ASSIGN(const Built built, unpack_one(*image.source, aside));
    if (::faccessat(aside, image_metadata_name.data(), F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return Error(ErrorCode::invalid, fmt::format("it is no image: it has no {}", image_metadata_name))
            .hint("for a root filesystem alone use type tarball; for an image in two files name the second as rootfs");
    return built;
}

Result<Built> from_directory(const std::string& source, int aside) {
    CTL_ASSIGN(const Fd tree, make_tree(aside, "tree"));
    CTL_ASSIGN(const Fd from, open_directory(source));
    CopyOptions options;
    options.devices = false;
    CTL_ASSIGN(const CopyTotals copied, copy_tree(from.get(), tree.get(), options));
    CTL_TRY(place_tree(tree.get(), aside));
    CTL_ASSIGN(const Fd rootfs, open_beneath(aside, "rootfs", O_RDONLY | O_DIRECTORY));
    CTL_ASSIGN(const std::string fingerprint, tree_fingerprint(rootfs.get()));
    return Built{fingerprint, copied.bytes, copied.devices + copied.sockets};
}

Result<Built> from_busybox(int aside) {
    CTL_ASSIGN(const Fd root, make_tree(aside, "rootfs"));
    CTL_ASSIGN(const std::string fingerprint, build_busybox(root.get()));
    return Built{fingerprint, 0, 0};
}

Result<Built> build(const model::Image& image, int aside, const Workshop& workshop) {
    const std::string& type = *image.type;
    if (type == "busybox") return from_busybox(aside);
    if (type == "directory") return from_directory(*image.source, aside);
    if (type == "url") return build_from_url(image, aside, workshop);
    if (type == "simplestreams") return build_from_server(image, aside, workshop);
    if (type == "debootstrap") return build_by_debootstrap(image, aside, workshop);
    if (type == "container") return build_from_container(image, aside, workshop);
    return type == "file" ? from_file(image, aside) : unpack_one(*image.source, aside);
}

bool is_path(const std::string& text) { return text.starts_with('/') && text.find('\0') == std::string::npos; }

Result<std::uint64_t> size_of_source(const std::string& path, bool directory) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return system_error(errno, fmt::format("find source {}", ctl::quoted(path)));
    if (directory && !S_ISDIR(info.st_mode))
        return Error(ErrorCode::invalid, fmt::format("source {} is no directory", ctl::quoted(path)));
    if (!directory && !S_ISREG(info.st_mode))
        return Error(ErrorCode::invalid, fmt::format("source {} is no regular file", ctl::quoted(path)));
    return directory ? 0 : static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

std::string option(const model::Image& image, const std::string& name) {
    if (!image.options) return {};
    const auto found = image.options->find(name);
    return found != image.options->end() ? found->second : std::string();
}

Status check_source(const model::Image& image) {
    const std::string type = image.type.value_or("");
    if (type == "busybox") return ok();
    if (type == "url" || type == "simplestreams") return check_remote(image);
    if (type == "debootstrap") return check_debootstrap(image);
    if (type == "container") return check_container(image);
    if (type != "tarball" && type != "file" && type != "directory")
        return Error(ErrorCode::unsupported, fmt::format("image type {} is not supported", ctl::quoted(type)))
            .hint("use busybox, tarball, file, directory, url, simplestreams, debootstrap or container");
    for (const auto& path : {image.source.value_or(""), option(image, "rootfs")})
        if (!is_path(path) && !(path.empty() && image.source))
            return Error(ErrorCode::invalid, fmt::format("source {} is no absolute path", ctl::quoted(path)));
    return ok();
}

Result<std::uint64_t> check_ingredients(const model::Image& image) {
    const std::string& type = *image.type;
    if (type == "busybox") CTL_TRY(check_busybox());
    if (type == "debootstrap" && !find_program("debootstrap"))
        return Error(ErrorCode::missing_driver, "debootstrap is not installed").hint("apt-get install debootstrap");
    if (type != "tarball" && type != "file" && type != "directory") return least_free_bytes;
    CTL_ASSIGN(const std::uint64_t first, size_of_source(*image.source, *image.type == "directory"));
    if (const auto rootfs = option(image, "rootfs"); !rootfs.empty()) {
        CTL_ASSIGN(const std::uint64_t second, size_of_source(rootfs, false));
        return least_free_bytes + first + second;
    }
    return least_free_bytes + first;
}

Result<Built> build_image(const model::Image& image, int aside, const Workshop& workshop) {
    auto built = build(image, aside, workshop);
    if (built) return built;
    return std::move(built).error().while_(fmt::format("importing {}", ctl::quoted(image.source.value_or("busybox"))));
}

}  // namespace ctl::drivers::image

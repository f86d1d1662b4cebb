#include "drivers/image/assemble.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/image_metadata.h"
#include "drivers/image/fingerprint.h"
#include "drivers/image/unpack.h"

namespace ctl::drivers::image {

namespace {

/// The first tarball of an image in two has a few small files in it.
constexpr UnpackLimits metadata_limits{.bytes = std::int64_t{64} << 20, .entries = 10'000};

bool has_inside_root(int root, const char* path) {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return static_cast<bool>(Fd(static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how))));
}

bool looks_like_root(int root) {
    for (const auto* path :
         {"sbin/init", "bin/sh", "usr/sbin/init", "usr/bin/sh", "usr/lib/systemd/systemd", "lib/systemd/systemd", "init"})
        if (has_inside_root(root, path)) return true;
    return false;
}

/// An image for another processor fails only when its first program is run, and says "exec format error" then.
Status check_architecture(const std::string& architecture) {
    utsname host{};
    if (::uname(&host) != 0) return system_error(errno, "look for this machine's architecture");
    const std::string_view machine = host.machine;
    const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
        return std::find(names.begin(), names.end(), architecture) != names.end();
    };
    const bool fits = architecture == machine || (machine == "x86_64" && is_one_of({"amd64", "i686", "i386"})) ||
                      (machine == "aarch64" && is_one_of({"arm64", "armv7l", "armhf"})) ||
                      (machine == "ppc64le" && is_one_of({"ppc64el"}));
    if (fits) return ok();
    return Error(ErrorCode::unsupported,
                 fmt::format("the image is for {}, this machine is {}", ctl::quoted(architecture), machine));
}

/// Moves what LXD's images have beside their root filesystem from `tree` to its place in `aside`.
Status take_metadata(int tree, int aside) {
    CTL_ASSIGN(const ImageMetadata metadata, read_image_metadata(tree));
    CTL_TRY(check_architecture(metadata.architecture));
    for (const auto name : {image_metadata_name, image_templates_name})
        if (::renameat(tree, name.data(), aside, name.data()) != 0 && errno != ENOENT)
            return system_error(errno, fmt::format("move {}", name));
    for (const auto& item : metadata.templates)
        if (const auto there = open_beneath(aside, fmt::format("{}/{}", image_templates_name, item.file), O_RDONLY); !there)
            return Error(ErrorCode::invalid, fmt::format("its template {} is not there", ctl::quoted(item.file)))
                .caused_by(there.error());
    return ok();
}

Error no_root() {
    return Error(ErrorCode::invalid, "it holds no root filesystem: neither sbin/init nor bin/sh is in it")
        .hint("pack or name the directory that has bin, etc, usr, … in it");
}

Status move_root(int from, const char* name, int aside) {
    return ::renameat(from, name, aside, "rootfs") == 0 ? ok() : Status(system_error(errno, "rename root filesystem"));
}

}  // namespace

Status place_tree(int tree, int aside) {
    if (looks_like_root(tree)) return move_root(aside, "tree", aside);
    const auto below = open_beneath(tree, "rootfs", O_RDONLY | O_DIRECTORY);
    if (!below || !looks_like_root(below->get())) return no_root();
    CTL_ASSIGN(const auto names, directory_names(tree));
    if (std::find(names.begin(), names.end(), image_metadata_name) != names.end()) CTL_TRY(take_metadata(tree, aside));
    CTL_TRY(move_root(tree, "rootfs", aside));
    return remove_tree(aside, "tree");
}

Result<Fd> make_tree(int aside, const char* name) {
    if (::mkdirat(aside, name, 0755) != 0) return system_error(errno, "make directory");
    return open_beneath(aside, name, O_RDONLY | O_DIRECTORY);
}

Result<Built> unpack_one(const std::string& source, int aside) {
    CTL_ASSIGN(const Fd tree, make_tree(aside, "tree"));
    Fingerprint sum;
    CTL_ASSIGN(const Unpacked unpacked, unpack_file(source, tree.get(), sum));
    CTL_TRY(place_tree(tree.get(), aside));
    return Built{sum.finish(), unpacked.bytes, unpacked.left_out};
}

Result<Built> unpack_two(const std::string& metadata, const std::string& rootfs, int aside) {
    Fingerprint sum;
    CTL_ASSIGN(const Fd tree, make_tree(aside, "tree"));
    CTL_ASSIGN(const Unpacked small, unpack_file(metadata, tree.get(), sum, metadata_limits));
    static_cast<void>(small);
    CTL_TRY(take_metadata(tree.get(), aside));
    CTL_TRY(remove_tree(aside, "tree"));
    CTL_ASSIGN(const Fd root, make_tree(aside, "rootfs"));
    auto unpacked = unpack_file(rootfs, root.get(), sum);
    if (!unpacked) return std::move(unpacked).error().while_(fmt::format("reading {}", ctl::quoted(rootfs)));
    if (!looks_like_root(root.get())) return no_root();
    return Built{sum.finish(), unpacked->bytes, unpacked->left_out};
}

}  // namespace ctl::drivers::image

#include "drivers/image/image.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <filesystem>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/api/store.h"
#include "drivers/image/busybox.h"
#include "drivers/image/fingerprint.h"
#include "drivers/image/unpack.h"

namespace ctl::drivers::image {

namespace {

namespace fs = std::filesystem;

/// What a small image takes, and what has to be left for records.
constexpr std::uint64_t least_free_bytes = std::uint64_t{16} << 20;

model::ObjectId image_id(const std::string& name) { return {model::ObjectKind::image, name}; }

std::string images_dir(const std::string& state_dir) { return state_dir + "/images"; }
std::string trees_dir(const std::string& state_dir) { return state_dir + "/images/sha256"; }
std::string record_path(const std::string& state_dir, const std::string& name) {
    return fmt::format("{}/{}/{}", images_dir(state_dir), name, image_record_name);
}

/// A tree that was built, still under its aside name.
struct Built {
    std::string fingerprint;
    std::int64_t bytes = 0;
    std::int64_t left_out = 0;
};

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

/// Where in a built tree the root filesystem is: the tree itself ("."), or "rootfs" as in LXD's unified tarballs.
Result<std::string> find_root(int tree) {
    if (looks_like_root(tree)) return std::string(".");
    CTL_ASSIGN(const auto names, directory_names(tree));
    bool unified = true;
    for (const auto& name : names) unified = unified && (name == "rootfs" || name == "metadata.yaml" || name == "templates");
    if (unified) {
        const auto below = open_beneath(tree, "rootfs", O_RDONLY | O_DIRECTORY);
        if (below && looks_like_root(below->get())) return std::string("rootfs");
    }
    return Error(ErrorCode::invalid, "it holds no root filesystem: neither sbin/init nor bin/sh is in it")
        .hint("pack or name the directory that has bin, etc, usr, … in it");
}

Result<Built> build_from_tarball(const std::string& source, int tree) {
    auto unpacked = unpack_tarball(source, tree);
    if (!unpacked) return std::move(unpacked).error().while_(fmt::format("importing {}", ctl::quoted(source)));
    return Built{unpacked->fingerprint, unpacked->bytes, unpacked->left_out};
}

Result<Built> build_from_directory(const std::string& source, int tree) {
    CTL_ASSIGN(const Fd from, open_directory(source));
    CopyOptions options;
    options.devices = false;
    auto copied = copy_tree(from.get(), tree, options);
    if (!copied) return std::move(copied).error().while_(fmt::format("importing {}", ctl::quoted(source)));
    return Built{"", copied->bytes, copied->devices + copied->sockets};
}

/// Errors: invalid for an unknown type or a source that is no absolute path.
Status check_fields(const model::Image& image) {
    const std::string type = image.type.value_or("");
    if (type == "busybox") return ok();
    if (type != "tarball" && type != "directory")
        return Error(ErrorCode::unsupported, fmt::format("image type {} is not supported", ctl::quoted(type)))
            .hint("use busybox, tarball or directory");
    if (!image.source || !image.source->starts_with('/') || image.source->find('\0') != std::string::npos)
        return Error(ErrorCode::invalid,
                     fmt::format("source {} is no absolute path", ctl::quoted(image.source.value_or(""))));
    return ok();
}

/// Fills ASIDE/rootfs.
Result<Built> build(const model::Image& image, int aside) {
    if (::mkdirat(aside, "tree", 0755) != 0) return system_error(errno, "make directory");
    CTL_ASSIGN(const Fd tree, open_beneath(aside, "tree", O_RDONLY | O_DIRECTORY));
    Built built;
    if (*image.type == "busybox") {
        CTL_ASSIGN(built.fingerprint, build_busybox(tree.get()));
    } else {
        CTL_ASSIGN(built, *image.type == "tarball" ? build_from_tarball(*image.source, tree.get())
                                                   : build_from_directory(*image.source, tree.get()));
    }
    auto root = find_root(tree.get());
    if (!root)
        return std::move(root).error().while_(fmt::format("importing {}", ctl::quoted(image.source.value_or("busybox"))));
    const std::string found = *root == "." ? "tree" : "tree/" + *root;
    if (::renameat(aside, found.c_str(), aside, "rootfs") != 0) return system_error(errno, "rename root filesystem");
    CTL_TRY(remove_tree(aside, "tree"));
    if (!built.fingerprint.empty()) return built;
    CTL_ASSIGN(const Fd rootfs, open_beneath(aside, "rootfs", O_RDONLY | O_DIRECTORY));
    CTL_ASSIGN(built.fingerprint, tree_fingerprint(rootfs.get()));
    return built;
}

Status check_declared(const model::Image& image, const std::string& fingerprint) {
    if (!image.fingerprint || *image.fingerprint == fingerprint) return ok();
    return Error(ErrorCode::invalid,
                 fmt::format("its fingerprint is {}, but {} was declared", fingerprint, ctl::quoted(*image.fingerprint)))
        .hint("get the right file, or declare the fingerprint it has");
}

Status write_record(const std::string& state_dir, const std::string& name, const ImageRecord& record) {
    CTL_TRY(make_directories(images_dir(state_dir) + "/" + name));
    return write_file_atomically(record_path(state_dir, name), to_json(record), 0600);
}

/// Moves the built tree to the place its fingerprint names, unless one is there, and lets the name point to it.
Status publish(const std::string& state_dir, int trees, const std::string& aside, const std::string& name,
               const ImageRecord& record) {
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    if (::renameat2(trees, aside.c_str(), trees, record.fingerprint.c_str(), RENAME_NOREPLACE) != 0 && errno != EEXIST)
        return system_error(errno, "move the root filesystem to its place");
    CTL_TRY(write_record(state_dir, name, record));
    return remove_tree(trees, aside);
}

Status make_image(const std::string& state_dir, int trees, const std::string& aside, const std::string& name,
                  const model::Entry& wanted) {
    const auto& image = std::get<model::Image>(wanted.object);
    if (::mkdirat(trees, aside.c_str(), 0700) != 0)
        return system_error(errno, fmt::format("make directory {}", ctl::quoted(aside)));
    CTL_ASSIGN(const Fd directory, open_beneath(trees, aside, O_RDONLY | O_DIRECTORY));
    CTL_ASSIGN(const Built built, build(image, directory.get()));
    CTL_TRY(check_declared(image, built.fingerprint));
    // A tree under its fingerprint is taken for whole ever after: its content has to be on disk before its name is.
    if (::syncfs(directory.get()) != 0) return system_error(errno, "sync");
    ImageRecord record;
    record.mark = make_mark(wanted.owner, image_id(name));
    record.type = *image.type;
    record.source = image.source.value_or("");
    record.fingerprint = built.fingerprint;
    record.made = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
    record.size = built.bytes;
    record.left_out = built.left_out;
    return publish(state_dir, trees, aside, name, record);
}

bool is_made_as(const std::string& state_dir, const ImageRecord& record, const model::Image& image) {
    return record.type == image.type.value_or(record.type) && record.source == image.source.value_or(record.source) &&
           record.fingerprint == image.fingerprint.value_or(record.fingerprint) &&
           ::access((image_tree_dir(state_dir, record.fingerprint) + "/rootfs").c_str(), F_OK) == 0;
}

Error not_ours(const std::string& state_dir, const std::string& name) {
    return {ErrorCode::conflict, fmt::format("directory {} is not ours", ctl::quoted(images_dir(state_dir) + "/" + name))};
}

bool is_owned(const ImageRecord& record, const std::string& name, const model::ResourceRef& owner) {
    const auto found = read_mark(record.mark, image_id(name));
    return found && *found == owner;
}

}  // namespace

Status check_image_name(const std::string& name) {
    if (is_plain_name(name) && name != "sha256") return ok();
    return Error(ErrorCode::invalid, fmt::format("{} can't be the name of an image", ctl::quoted(name)));
}

Result<model::HostState> observe_images(const std::string& state_dir) {
    model::HostState state;
    const Fd directory(::open(images_dir(state_dir).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) return state;
    if (!directory) return system_error(errno, fmt::format("open directory {}", ctl::quoted(images_dir(state_dir))));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) {
        if (!check_image_name(name)) continue;
        const auto record = read_image_record(state_dir, name);
        if (!record && record.error().code() == ErrorCode::not_found) continue;
        model::Entry entry;
        model::Image image;
        if (record) {
            image.type = record->type;
            if (!record->source.empty()) image.source = record->source;
            // Without its tree it is no image, and has to be made again.
            if (!fs::exists(image_tree_dir(state_dir, record->fingerprint) + "/rootfs")) continue;
            image.fingerprint = record->fingerprint;
            if (const auto owner = read_mark(record->mark, image_id(name))) {
                entry.mark = model::Mark::complete;
                entry.owner = *owner;
            }
        }
        entry.object = image;
        state.emplace(image_id(name), std::move(entry));
    }
    return state;
}

Status create_image(const std::string& state_dir, const std::string& name, const model::Entry& wanted) {
    const auto& image = std::get<model::Image>(wanted.object);
    CTL_TRY(check_fields(image));
    const auto record = read_image_record(state_dir, name);
    if (record && !is_owned(*record, name, wanted.owner)) return not_ours(state_dir, name);
    if (record && is_made_as(state_dir, *record, image)) return ok();
    if (!record && record.error().code() != ErrorCode::not_found) return not_ours(state_dir, name);
    CTL_TRY(make_directories(trees_dir(state_dir)));
    CTL_ASSIGN(const Fd trees, open_directory(trees_dir(state_dir)));
    const std::string aside = fmt::format("{}{}", aside_prefix, name);
    CTL_TRY(remove_tree(trees.get(), aside));
    auto made = make_image(state_dir, trees.get(), aside, name, wanted);
    if (made) return ok();
    CTL_TRY(remove_tree(trees.get(), aside));
    return made;
}

Status check_image(const std::string& state_dir, const model::Entry& wanted) {
    const auto& image = std::get<model::Image>(wanted.object);
    CTL_TRY(check_fields(image));
    fs::path there = images_dir(state_dir);
    std::error_code failed;
    while (!fs::exists(there, failed) && there.has_relative_path()) there = there.parent_path();
    if (::access(there.c_str(), W_OK | X_OK) != 0)
        return system_error(errno, fmt::format("write to directory {}", ctl::quoted(there.native())));
    std::uint64_t needed = least_free_bytes;
    if (*image.type == "busybox") {
        CTL_TRY(check_busybox());
    } else {
        struct stat info {};
        if (::stat(image.source->c_str(), &info) != 0)
            return system_error(errno, fmt::format("find source {}", ctl::quoted(*image.source)));
        if (*image.type == "directory" && !S_ISDIR(info.st_mode))
            return Error(ErrorCode::invalid, fmt::format("source {} is no directory", ctl::quoted(*image.source)));
        if (*image.type == "tarball" && !S_ISREG(info.st_mode))
            return Error(ErrorCode::invalid, fmt::format("source {} is no regular file", ctl::quoted(*image.source)));
        if (*image.type == "tarball") needed += static_cast<std::uint64_t>(info.st_size);
    }
    struct statvfs space {};
    if (::statvfs(there.c_str(), &space) == 0 && std::uint64_t{space.f_bavail} * space.f_frsize < needed)
        return Error(ErrorCode::no_space,
                     fmt::format("less than {} bytes are left below {}", needed, ctl::quoted(there.native())));
    return ok();
}

Status remove_image(const std::string& state_dir, const std::string& name, const model::ResourceRef& owner) {
    const auto record = read_image_record(state_dir, name);
    if (!record && record.error().code() == ErrorCode::not_found) {
        // An interrupted run may have come as far as the name, and not to the tree that it stood for.
        if (::access(trees_dir(state_dir).c_str(), F_OK) != 0) return ok();
        CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
        return remove_unused_trees(state_dir);
    }
    if (!record || !is_owned(*record, name, owner)) return not_ours(state_dir, name);
    CTL_ASSIGN(const Fd images, open_directory(images_dir(state_dir)));
    const std::string aside = fmt::format("{}{}", aside_prefix, name);
    CTL_TRY(remove_tree(images.get(), aside));
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    if (::renameat(images.get(), name.c_str(), images.get(), aside.c_str()) != 0)
        return system_error(errno, fmt::format("move {} aside", ctl::quoted(name)));
    CTL_TRY(remove_tree(images.get(), aside));
    return remove_unused_trees(state_dir);
}

Status mark_image(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner) {
    CTL_ASSIGN(ImageRecord record, read_image_record(state_dir, name));
    record.mark = owner == nullptr ? std::string() : make_mark(*owner, image_id(name));
    return write_record(state_dir, name, record);
}

Status sweep_images(const std::string& state_dir) {
    if (::access(images_dir(state_dir).c_str(), F_OK) != 0) return ok();
    CTL_ASSIGN(const Fd lock, lock_image_store(state_dir));
    for (const auto& path : {images_dir(state_dir), trees_dir(state_dir)}) {
        const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory) continue;
        CTL_ASSIGN(const auto names, directory_names(directory.get()));
        for (const auto& name : names)
            if (name.starts_with(aside_prefix)) CTL_TRY(remove_tree(directory.get(), name));
    }
    return ok();
}

}  // namespace ctl::drivers::image

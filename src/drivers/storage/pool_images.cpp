#include "drivers/storage/pool_images.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/store.h"
#include "drivers/storage/dir_pool.h"
#include "drivers/storage/trash.h"

namespace ctl::drivers::storage {

namespace {

constexpr const char* lock_name = ".lock";

std::string images_dir(const std::string& state_dir, const std::string& pool) {
    return fmt::format("{}/pools/{}/images", state_dir, pool);
}

Result<Fd> lock_images(int directory) {
    Fd fd(::openat(directory, lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return system_error(errno, "open the lock of the pool's images");
    while (::flock(fd.get(), LOCK_EX) != 0)
        if (errno != EINTR) return system_error(errno, "lock the pool's images");
    return fd;
}

Status copy_image(int directory, const Backend& backend, const std::string& fingerprint, std::int64_t size, int image) {
    const std::string aside = fmt::format("{}{}", aside_prefix, fingerprint);
    CTL_TRY(backend.remove_tree(directory, aside));
    auto copied = [&]() -> Status {
        CTL_TRY(backend.make_tree(directory, aside, size));
        CTL_ASSIGN(const Tree tree, backend.open_tree(directory, aside));
        CTL_ASSIGN(const CopyTotals totals, copy_tree(image, tree.directory.get(), {}));
        static_cast<void>(totals);
        if (::syncfs(tree.directory.get()) != 0) return system_error(errno, "write the image");
        if (::renameat(directory, aside.c_str(), directory, fingerprint.c_str()) != 0)
            return system_error(errno, fmt::format("rename {}", ctl::quoted(aside)));
        return backend.seal_tree(tree);
    }();
    if (!copied) static_cast<void>(backend.remove_tree(directory, aside).has_value());
    return copied;
}

Result<std::set<std::string>> used_fingerprints(const std::string& state_dir, const std::string& pool) {
    std::set<std::string> used;
    const auto read_all = [](const std::string& path, const auto& visit) -> Status {
        const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd) return errno == ENOENT ? ok() : Status(system_error(errno, fmt::format("open {}", ctl::quoted(path))));
        CTL_ASSIGN(const auto names, directory_names(fd.get()));
        for (const auto& name : names) visit(name);
        return ok();
    };
    for (const auto& path : {containers_dir(state_dir, pool), trash_dir(state_dir, pool)})
        CTL_TRY(read_all(path, [&](const std::string& name) {
            const auto text = read_file(fmt::format("{}/{}/{}", path, name, volume_record_name), 65536);
            const auto record = text ? parse_volume_record(*text) : Error(ErrorCode::not_found, "");
            if (record) used.insert(record->fingerprint);
        }));
    CTL_TRY(read_all(state_dir + "/images", [&](const std::string& name) {
        const auto record = read_image_record(state_dir, name);
        if (record) used.insert(record->fingerprint);
    }));
    return used;
}

}  // namespace

Result<Tree> pool_image(const VolumePlace& place, const Backend& backend, const VolumeRecord& record, int image) {
    const std::string& fingerprint = record.fingerprint;
    const std::string path = images_dir(place.state_dir, place.pool);
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return system_error(errno, fmt::format("make directory {}", ctl::quoted(path)));
    CTL_ASSIGN(const Fd directory, open_directory(path));
    // Held by whoever copies: all others who want the same image wait for it instead of copying it too.
    CTL_ASSIGN(const Fd lock, lock_images(directory.get()));
    if (::faccessat(directory.get(), fingerprint.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        CTL_ASSIGN(const ImageRecord known, read_image_record(place.state_dir, record.image));
        auto copied = copy_image(directory.get(), backend, fingerprint, size_for_content(known.size), image);
        if (!copied) return std::move(copied).error().while_("copying the image to the pool");
    }
    return backend.open_tree(directory.get(), fingerprint);
}

Status remove_unused_images(const std::string& state_dir, const std::string& pool, const Backend& backend) {
    const Fd directory(::open(images_dir(state_dir, pool).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return ok();
    CTL_ASSIGN(const Fd lock, lock_images(directory.get()));
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    CTL_ASSIGN(const auto used, used_fingerprints(state_dir, pool));
    for (const auto& name : names)
        if (name != lock_name && !used.contains(name)) CTL_TRY(backend.remove_tree(directory.get(), name));
    return ok();
}

Status remove_images(const std::string& state_dir, const std::string& pool, const Backend& backend) {
    const std::string path = images_dir(state_dir, pool);
    const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return ok();
    CTL_ASSIGN(const auto names, directory_names(directory.get()));
    for (const auto& name : names) CTL_TRY(backend.remove_tree(directory.get(), name));
    if (::rmdir(path.c_str()) != 0) return system_error(errno, fmt::format("delete directory {}", ctl::quoted(path)));
    return ok();
}

}  // namespace ctl::drivers::storage

#include "drivers/storage/disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/api/mark.h"
#include "drivers/api/store.h"
#include "drivers/storage/btrfs.h"
#include "drivers/storage/commands.h"
#include "drivers/storage/disk_record.h"
#include "drivers/storage/mounts.h"
#include "drivers/storage/pool_place.h"
#include "drivers/storage/store_source.h"

namespace ctl::drivers::storage {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
constexpr std::int64_t gibibyte = std::int64_t{1} << 30;
/// mkfs.btrfs makes none below.
constexpr std::int64_t least_size = 128 * mebibyte;
/// A file system ends with a whole sector, of this size at most.
constexpr std::int64_t largest_sector = std::int64_t{64} << 10;
constexpr std::string_view default_mount_options = "user_subvol_rm_allowed";
/// Where btrfs keeps its superblock and the copies of it, and where in one the file system's UUID and the magic are.
constexpr std::array<off_t, 3> superblocks{off_t{64} << 10, off_t{64} << 20, off_t{256} << 30};
constexpr std::size_t uuid_offset = 32;
constexpr std::size_t magic_offset = 64;
constexpr std::string_view btrfs_magic = "_BHRfS_M";

/// The UUID of the btrfs on a file or device; empty for none.
std::string uuid_on(const std::string& source) {
    const Fd fd(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<unsigned char, magic_offset + btrfs_magic.size()> block{};
    if (!fd || ::pread(fd.get(), block.data(), block.size(), superblocks[0]) != static_cast<ssize_t>(block.size()))
        return {};
    if (!std::equal(btrfs_magic.begin(), btrfs_magic.end(), block.begin() + magic_offset)) return {};
    std::string text;
    for (std::size_t i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", block[uuid_offset + i]);
    }
    return text;
}

Result<std::string> new_uuid() {
    CTL_ASSIGN(const std::string text, read_file("/proc/sys/kernel/random/uuid", 64));
    return std::string(trimmed(text));
}

Status run(const std::vector<std::string>& argv) { return run_tool(host_commands(), argv); }

Status make_file_system(const std::string& source, const std::string& name, const DiskRecord& record) {
    std::vector<std::string> argv{"mkfs.btrfs", "--quiet", "--uuid", record.uuid, "--label", name};
    if (record.wiped) argv.emplace_back("--force");
    argv.emplace_back("--");
    argv.push_back(source);
    return run(argv);
}

/// The loop file appears with its file system in it.
Status make_loop_file(const std::string& name, const DiskRecord& record, std::optional<std::int64_t> size) {
    const fs::path path(record.source);
    CTL_TRY(make_directories(path.parent_path().native()));
    const std::string aside = fmt::format("{}/{}{}", path.parent_path().native(), aside_prefix, path.filename().native());
    ::unlink(aside.c_str());
    auto made = [&]() -> Status {
        const Fd file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file) return system_error(errno, fmt::format("create {}", ctl::quoted(aside)));
        if (::ftruncate(file.get(), size.value_or(default_file_size(path.parent_path().native()))) != 0)
            return system_error(errno, fmt::format("size {}", ctl::quoted(aside)));
        CTL_TRY(make_file_system(aside, name, record));
        if (::fsync(file.get()) != 0) return system_error(errno, fmt::format("write {}", ctl::quoted(aside)));
        if (::renameat2(AT_FDCWD, aside.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
            return system_error(errno, fmt::format("rename {}", ctl::quoted(aside)));
        return ok();
    }();
    if (!made) ::unlink(aside.c_str());
    return made;
}

/// Errors: conflict when the source holds anything but the pool's file system, unless that was to be overwritten.
Status check_content(const DiskRecord& record) {
    if (record.wiped || uuid_on(record.source) == record.uuid) return ok();
    return Error(ErrorCode::conflict, fmt::format("{} is there already and not ours", ctl::quoted(record.source)))
        .hint("set source.wipe: true to lose all that is on it, or choose another source");
}

/// Errors: not_found for a device that is away: a file made in its stead would be in memory; as check_content() otherwise.
Status check_source(const DiskRecord& record, SourceKind kind) {
    if (kind != SourceKind::missing) return check_content(record);
    if (!record.source.starts_with("/dev/")) return ok();
    return Error(ErrorCode::not_found, fmt::format("{} is not there", ctl::quoted(record.source)))
        .hint("attach the device, or name a file elsewhere");
}

Status make_disk(const std::string& state_dir, const std::string& name, DiskRecord& record,
                 std::optional<std::int64_t> size) {
    const SourceKind kind = kind_of_source(record.source);
    CTL_TRY(check_source(record, kind));
    record.made = kind == SourceKind::missing || record.made;
    CTL_TRY(write_disk_record(state_dir, name, record));
    if (kind == SourceKind::missing) return make_loop_file(name, record, size);
    return uuid_on(record.source) == record.uuid ? ok() : make_file_system(record.source, name, record);
}

bool is_open(const std::string& place) {
    const fs::path path(place);
    const Fd parent(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return parent && is_mounted(parent.get(), path.filename().native(), false);
}

bool is_loop_of(const std::string& device, const struct stat& file) {
    const Fd loop(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    loop_info64 info{};
    return loop && ::ioctl(loop.get(), LOOP_GET_STATUS64, &info) == 0 && info.lo_device == file.st_dev &&
           info.lo_inode == file.st_ino;
}

/// The loop device that the file is on already; empty for none. While a container still has the pool's file system, another
/// device for the same file would show what was on it long ago. The path alone doesn't tell: it may be one in another root
/// directory.
std::string loop_device_of(const std::string& file) {
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) return {};
    std::error_code failed;
    for (fs::directory_iterator block("/sys/block", failed); !failed && block != fs::directory_iterator();
         block.increment(failed)) {
        const std::string device = "/dev/" + block->path().filename().native();
        if (fs::exists(block->path() / "loop/backing_file", failed) && is_loop_of(device, info)) return device;
    }
    return {};
}

Status mount_disk(const std::string& place, const DiskRecord& record) {
    const SourceKind kind = kind_of_source(record.source);
    if (kind == SourceKind::missing)
        return Error(ErrorCode::not_found, fmt::format("{}, which held the pool, is gone", ctl::quoted(record.source)))
            .hint(fmt::format("bring it back; or, if its data is lost, delete {} to begin anew",
                              ctl::quoted(fs::path(place).parent_path().parent_path().native() + "/disks/" +
                                          fs::path(place).filename().native() + ".pool")));
    if (uuid_on(record.source) != record.uuid)
        return Error(ErrorCode::conflict,
                     fmt::format("{} holds another file system than the pool's", ctl::quoted(record.source)))
            .hint(fmt::format("the pool's has the UUID {}", record.uuid));
    CTL_TRY(make_directories(place));
    const std::string loop = kind == SourceKind::file ? loop_device_of(record.source) : std::string();
    const bool needs_loop = kind == SourceKind::file && loop.empty();
    const std::string options = record.mount_options + (needs_loop ? ",loop" : "");
    const std::string& device = loop.empty() ? record.source : loop;
    CTL_TRY(run({"mount", "-t", record.driver, "-o", options, "--", device, place}));
    if (::chmod(place.c_str(), 0711) != 0) return system_error(errno, fmt::format("chmod {}", ctl::quoted(place)));
    return ok();
}

/// What a pool on a loop file has: less than the file where a growth was cut short.
std::optional<std::int64_t> size_of_pool(const std::string& place, const DiskRecord& record) {
    const auto file = size_of_file(record.source);
    if (!file || !is_open(place)) return file;
    const auto directory = open_directory(place);
    const auto taken = directory ? size_of_file_system(directory->get()) : directory.error();
    return taken && *file - *taken >= largest_sector ? *taken : file;
}

/// The loop device that is mounted at a place tells that its file has grown, and the file system follows.
Status grow_mounted(const std::string& place) {
    CTL_ASSIGN(const std::string device, mounted_device(place));
    const Fd loop(::open(device.c_str(), O_RDWR | O_CLOEXEC));
    if (!loop || ::ioctl(loop.get(), LOOP_SET_CAPACITY) != 0)
        return system_error(errno, fmt::format("grow {}", ctl::quoted(device)));
    CTL_ASSIGN(const Fd directory, open_directory(place));
    return grow_file_system(directory.get());
}

Status check_growth(const DiskRecord& record, std::int64_t size) {
    const auto now = size_of_file(record.source);
    if (!now || size >= *now) return ok();
    return Error(ErrorCode::unsupported, fmt::format("a pool can't shrink, from {} bytes to {}", *now, size))
        .hint("make a smaller pool under another name");
}

/// The file first and the file system after it: a growth that was cut short between the two is ended here.
Status grow_disk(const std::string& place, const DiskRecord& record, std::int64_t size) {
    CTL_TRY(check_growth(record, size));
    const auto now = size_of_file(record.source);
    if (!now) return ok();
    if (*now < size && ::truncate(record.source.c_str(), size) != 0)
        return system_error(errno, fmt::format("size {}", ctl::quoted(record.source)));
    return size_of_pool(place, record) == size ? ok() : grow_mounted(place);
}

std::string mount_options_of(const model::Pool& pool) {
    return pool.mount_options.value_or(std::string(default_mount_options));
}

bool is_to_be_wiped(const model::Pool& pool) { return pool.options && pool.options->contains("source.wipe"); }

Result<DiskRecord> begin_record(const std::string& name, const model::Entry& wanted) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    DiskRecord record;
    record.mark = make_mark(wanted.owner, pool_id(name));
    record.driver = pool.driver.value_or("");
    record.source = pool.source.value_or("");
    record.mount_options = mount_options_of(pool);
    record.wiped = is_to_be_wiped(pool);
    CTL_ASSIGN(record.uuid, new_uuid());
    return record;
}

/// The record of the pool if it has one, else a new one that is nowhere yet.
Result<DiskRecord> record_for(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    auto record = read_disk_record(state_dir, name);
    if (!record) {
        if (record.error().code() != ErrorCode::not_found) return record;
        return begin_record(name, wanted);
    }
    const auto owner = read_mark(record->mark, pool_id(name));
    if (!owner || *owner != wanted.owner)
        return Error(ErrorCode::conflict,
                     fmt::format("pool {} belongs to {}", ctl::quoted(name), ctl::quoted(record->mark)));
    if (!record->ready) record->wiped = is_to_be_wiped(std::get<model::Pool>(wanted.object));
    return record;
}

/// Zeroes instead of the superblocks: nobody takes it for a file system of ours any more.
Status wipe_signature(const std::string& device) {
    const Fd fd(::open(device.c_str(), O_WRONLY | O_EXCL | O_CLOEXEC));
    if (!fd) return system_error(errno, fmt::format("open {}", ctl::quoted(device)));
    constexpr std::array<char, 4096> nothing{};
    const off_t end = ::lseek(fd.get(), 0, SEEK_END);
    for (const off_t where : superblocks) {
        if (where + static_cast<off_t>(nothing.size()) > end) break;
        if (::pwrite(fd.get(), nothing.data(), nothing.size(), where) != static_cast<ssize_t>(nothing.size()))
            return system_error(errno, fmt::format("write {}", ctl::quoted(device)));
    }
    return ::fsync(fd.get()) == 0 ? ok() : Status(system_error(errno, fmt::format("write {}", ctl::quoted(device))));
}

}  // namespace

/// A fifth of what is free, but 5 GiB at least and 30 at most: blocks are taken only when something is written to them.
std::int64_t default_file_size(const std::string& directory) {
    struct statvfs space {};
    if (::statvfs(directory.c_str(), &space) != 0) return 5 * gibibyte;
    const auto free = static_cast<std::int64_t>(std::uint64_t{space.f_bavail} * space.f_frsize);
    return std::clamp(free / 5, 5 * gibibyte, 30 * gibibyte);
}

bool is_disk_source(const std::string& source) { return kind_of_source(source) != SourceKind::other; }

bool has_disk(const std::string& state_dir, const std::string& name) {
    return ::access(disk_record_path(state_dir, name).c_str(), F_OK) == 0;
}

Result<std::vector<std::string>> disk_names(const std::string& state_dir) {
    std::vector<std::string> names;
    const Fd directory(::open((state_dir + "/disks").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) return names;
    if (!directory) return system_error(errno, "open directory disks");
    CTL_ASSIGN(const auto files, directory_names(directory.get()));
    constexpr std::string_view ending = ".pool";
    for (const auto& file : files)
        if (file.ends_with(ending) && is_plain_name(file)) names.push_back(file.substr(0, file.size() - ending.size()));
    return names;
}

Result<model::Entry> observe_disk(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const DiskRecord record, read_disk_record(state_dir, name));
    model::Pool pool;
    pool.driver = record.driver;
    pool.source = record.source;
    pool.size = size_of_pool(place_of(state_dir, name), record);
    if (record.wiped) pool.options.emplace().emplace("source.wipe", "true");
    pool.mount_options = record.mount_options;
    pool.mounted = is_open(place_of(state_dir, name));
    model::Entry entry;
    entry.object = pool;
    if (const auto owner = read_mark(record.mark, pool_id(name))) {
        entry.owner = *owner;
        entry.mark = record.ready ? model::Mark::complete : model::Mark::begun;
    }
    return entry;
}

Status check_disk(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    CTL_ASSIGN(const DiskRecord record, record_for(state_dir, wanted, name));
    const SourceKind kind = kind_of_source(record.source);
    if (pool.size && kind == SourceKind::device)
        return Error(ErrorCode::invalid, fmt::format("{} is a device: it has the size it has", ctl::quoted(record.source)))
            .hint("remove size");
    if (pool.size && *pool.size < least_size)
        return Error(ErrorCode::invalid, fmt::format("{} bytes are too few for a pool", *pool.size))
            .hint(fmt::format("give it {} MiB or more", least_size / mebibyte));
    if (record.ready) return pool.size ? check_growth(record, *pool.size) : ok();
    return check_source(record, kind);
}

Status open_disk(const std::string& state_dir, const model::Entry& wanted, const std::string& name) {
    const auto& pool = std::get<model::Pool>(wanted.object);
    const std::string place = place_of(state_dir, name);
    CTL_ASSIGN(DiskRecord record, record_for(state_dir, wanted, name));
    if (!record.ready) CTL_TRY(make_disk(state_dir, name, record, pool.size));
    const std::string options = mount_options_of(pool);
    const bool has_changed = record.mount_options != options;
    record.mount_options = options;
    if (!is_open(place)) CTL_TRY(mount_disk(place, record));
    else if (has_changed) CTL_TRY(run({"mount", "-o", "remount," + options, "--", place}));
    if (has_changed) CTL_TRY(write_disk_record(state_dir, name, record));
    return pool.size ? grow_disk(place, record, *pool.size) : ok();
}

Status settle_disk(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(DiskRecord record, read_disk_record(state_dir, name));
    if (record.ready) return ok();
    record.ready = true;
    return write_disk_record(state_dir, name, record);
}

Status reopen_disk(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const DiskRecord record, read_disk_record(state_dir, name));
    const std::string place = place_of(state_dir, name);
    if (!record.ready || is_open(place) || kind_of_source(record.source) == SourceKind::missing) return ok();
    return mount_disk(place, record);
}

bool is_disk_lost(const std::string& state_dir, const std::string& name) {
    const auto record = read_disk_record(state_dir, name);
    return record && (!record->ready || kind_of_source(record->source) == SourceKind::missing);
}

Status mark_disk(const std::string& state_dir, const std::string& name, const model::ResourceRef* owner) {
    CTL_ASSIGN(DiskRecord record, read_disk_record(state_dir, name));
    record.mark = owner == nullptr ? std::string() : make_mark(*owner, pool_id(name));
    return write_disk_record(state_dir, name, record);
}

Status remove_disk(const std::string& state_dir, const std::string& name) {
    CTL_ASSIGN(const DiskRecord record, read_disk_record(state_dir, name));
    const std::string place = place_of(state_dir, name);
    CTL_TRY(unmount_all(place, WhenBusy::fail));
    if (::rmdir(place.c_str()) != 0 && errno != ENOENT)
        return system_error(errno, fmt::format("delete directory {}", ctl::quoted(place)));
    const fs::path path(record.source);
    const std::string aside = fmt::format("{}/{}{}", path.parent_path().native(), aside_prefix, path.filename().native());
    if (record.made) ::unlink(aside.c_str());
    if (uuid_on(record.source) == record.uuid) {
        if (!record.made) CTL_TRY(wipe_signature(record.source));
        else if (::unlink(record.source.c_str()) != 0)
            return system_error(errno, fmt::format("delete {}", ctl::quoted(record.source)));
    }
    if (::unlink(disk_record_path(state_dir, name).c_str()) != 0)
        return system_error(errno, fmt::format("delete the record of pool {}", ctl::quoted(name)));
    ::rmdir((state_dir + "/disks").c_str());
    return ok();
}

}  // namespace ctl::drivers::storage

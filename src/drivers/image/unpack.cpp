#include "drivers/image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/activity.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/tree.h"
#include "drivers/image/fingerprint.h"

namespace ctl::drivers::image {

namespace {

struct ArchiveFree {
    void operator()(archive* reader) const { archive_read_free(reader); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveFree>;

/// Longest sum of directory names kept for setting their times at the end.
constexpr std::size_t most_directory_bytes = std::size_t{256} << 20;

/// Every byte passes here once, to be unpacked and to be summed.
struct Source {
    explicit Source(const ArchiveSource& source)
        : from(source), packed(source.packed), teller(fmt::format("unpacking {}", escaped(from.name)), 0, from.size) {}

    ArchiveSource from;
    std::int64_t packed;
    ActivityTeller teller;
    std::array<char, 65536> buffer{};

    ssize_t next() {
        while (true) {
            const ssize_t got = ::read(from.fd, buffer.data(), buffer.size());
            if (got < 0 && errno == EINTR) continue;
            if (got > 0) {
                if (from.sum != nullptr) from.sum->add({buffer.data(), static_cast<std::size_t>(got)});
                if (from.packed == 0) packed += got;
                teller.advance(got);
            }
            return got;
        }
    }
};

la_ssize_t read_source(archive* reader, void* context, const void** data) {
    auto& source = *static_cast<Source*>(context);
    const ssize_t got = source.next();
    if (got < 0) archive_set_error(reader, errno, "the file can't be read");
    *data = source.buffer.data();
    return got;
}

/// Only what libarchive unpacks by itself: it would run other programs for the rest.
ArchivePtr make_reader() {
    ArchivePtr reader(archive_read_new());
    archive_read_support_filter_bzip2(reader.get());
    archive_read_support_filter_compress(reader.get());
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_filter_lz4(reader.get());
    archive_read_support_filter_lzip(reader.get());
    archive_read_support_filter_lzma(reader.get());
    archive_read_support_filter_xz(reader.get());
    archive_read_support_filter_zstd(reader.get());
    archive_read_support_format_tar(reader.get());
    return reader;
}

Error archive_error(archive* reader) {
    const char* text = archive_error_string(reader);
    return {ErrorCode::invalid, fmt::format("the archive can't be read: {}", escaped(text == nullptr ? "unknown" : text))};
}

/// A member's name without "." and empty parts. Errors: invalid for absolute names and "..".
Result<std::vector<std::string>> parts_of(std::string_view name) {
    if (name.starts_with('/'))
        return Error(ErrorCode::invalid, fmt::format("absolute name {} in the archive", ctl::quoted(name)))
            .hint("pack it with names relative to the root, as tar does without -P");
    std::vector<std::string> parts;
    for (const auto part : split(name, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..")
            return Error(ErrorCode::invalid, fmt::format("name {} in the archive leads upwards", ctl::quoted(name)));
        if (part.size() > 255)
            return Error(ErrorCode::invalid,
                         fmt::format("name {} in the archive has a part of more than 255 bytes", ctl::quoted(name)));
        parts.emplace_back(part);
    }
    if (parts.size() > max_tree_depth)
        return Error(ErrorCode::invalid, fmt::format("a name in the archive has more than {} levels", max_tree_depth));
    return parts;
}

struct Attributes {
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mode = 0;
    std::array<timespec, 2> times{};
};

Result<Attributes> attributes_of(archive_entry* entry) {
    const auto fits = [](la_int64_t id) { return id >= 0 && id < std::numeric_limits<std::uint32_t>::max(); };
    if (!fits(archive_entry_uid(entry)) || !fits(archive_entry_gid(entry)))
        return Error(ErrorCode::invalid,
                     fmt::format("owner {}:{} is out of range", archive_entry_uid(entry), archive_entry_gid(entry)));
    const timespec modified{static_cast<time_t>(archive_entry_mtime(entry)), archive_entry_mtime_nsec(entry)};
    return Attributes{static_cast<uid_t>(archive_entry_uid(entry)),
                      static_cast<gid_t>(archive_entry_gid(entry)),
                      static_cast<mode_t>(archive_entry_perm(entry) & 07777),
                      {modified, modified}};
}

/// Owner before mode and capabilities: changing the owner takes them away.
Status set_attributes(int fd, const Attributes& wanted, archive_entry* entry) {
    if (::fchown(fd, wanted.uid, wanted.gid) != 0) return system_error(errno, "change owner");
    if (::fchmod(fd, wanted.mode) != 0) return system_error(errno, "change mode");
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        if (name == nullptr || !is_kept_xattr(name)) continue;
        if (::fsetxattr(fd, name, value, size, 0) != 0 && errno != EOPNOTSUPP)
            return system_error(errno, fmt::format("set extended attribute {}", ctl::quoted(name)));
    }
    return ::futimens(fd, wanted.times.data()) == 0 ? ok() : Status(system_error(errno, "set times"));
}

Status set_attributes_at(int parent, const std::string& name, const Attributes& wanted, bool is_link) {
    if (::fchownat(parent, name.c_str(), wanted.uid, wanted.gid, AT_SYMLINK_NOFOLLOW) != 0)
        return system_error(errno, "change owner");
    if (!is_link && ::fchmodat(parent, name.c_str(), wanted.mode, 0) != 0) return system_error(errno, "change mode");
    if (::utimensat(parent, name.c_str(), wanted.times.data(), AT_SYMLINK_NOFOLLOW) != 0)
        return system_error(errno, "set times");
    return ok();
}

class Unpacker {
public:
    Unpacker(Source& source, archive* reader, int root, const UnpackLimits& limits)
        : source_(source), reader_(reader), root_(root), limits_(limits) {}

    Status run();
    [[nodiscard]] const Unpacked& totals() const { return totals_; }

private:
    Status unpack(archive_entry* entry);
    Status unpack_at(int parent, const std::string& name, archive_entry* entry);
    Status unpack_directory(int parent, const std::string& name, archive_entry* entry);
    Status unpack_file(int parent, const std::string& name, archive_entry* entry);
    Status unpack_content(int fd, archive_entry* entry);
    Status link(int parent, const std::string& name, const std::string& target);
    Result<Fd> open_parent(const std::vector<std::string>& parts, bool make);
    Status clear_way(int parent, const std::string& name, bool for_directory);
    Status count_bytes(std::int64_t more);
    Status find_bounds();
    Status set_directory_times();

    Source& source_;
    archive* reader_;
    int root_;
    UnpackLimits limits_;
    std::int64_t free_ = 0;
    std::int64_t entries_ = 0;
    Unpacked totals_;
    std::vector<std::pair<std::string, std::array<timespec, 2>>> directories_;
    std::size_t directory_bytes_ = 0;
    std::string path_;  ///< of the member being unpacked
};

Status Unpacker::find_bounds() {
    struct statvfs space {};
    if (::fstatvfs(root_, &space) != 0) return system_error(errno, "look for free space");
    free_ = static_cast<std::int64_t>(std::uint64_t{space.f_bavail} * space.f_frsize / 100 * 95);
    return ok();
}

Status Unpacker::count_bytes(std::int64_t more) {
    totals_.bytes += more;
    if (totals_.bytes > limits_.bytes)
        return Error(ErrorCode::invalid, fmt::format("the archive unpacks to more than {} bytes", limits_.bytes));
    if (totals_.bytes > limits_.ratio_from && totals_.bytes / limits_.ratio > source_.packed)
        return Error(ErrorCode::invalid, fmt::format("the archive unpacks to more than {} times its size", limits_.ratio))
            .hint("if it is what you want, unpack it yourself and use type directory");
    if (totals_.bytes > free_)
        return Error(ErrorCode::no_space, fmt::format("the archive needs more than the {} bytes left", free_));
    return ok();
}

Result<Fd> Unpacker::open_parent(const std::vector<std::string>& parts, bool make) {
    CTL_ASSIGN(Fd directory, open_beneath(root_, ".", O_RDONLY | O_DIRECTORY));
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
        auto below = open_beneath(directory.get(), parts[i], O_RDONLY | O_DIRECTORY);
        if (!below && below.error().code() == ErrorCode::not_found && make) {
            if (::mkdirat(directory.get(), parts[i].c_str(), 0755) != 0) return system_error(errno, "make directory");
            CTL_TRY(count_bytes(0));
            below = open_beneath(directory.get(), parts[i], O_RDONLY | O_DIRECTORY);
        }
        if (!below) return std::move(below).error();
        directory = std::move(*below);
    }
    return directory;
}

/// As tar does, a later member takes an earlier one's place; but never a directory's.
Status Unpacker::clear_way(int parent, const std::string& name, bool for_directory) {
    struct stat info {};
    if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ok() : Status(system_error(errno, "stat"));
    if (S_ISDIR(info.st_mode)) {
        if (for_directory) return ok();
        return Error(ErrorCode::invalid, "the member would replace a directory");
    }
    return ::unlinkat(parent, name.c_str(), 0) == 0 ? ok() : Status(system_error(errno, "replace"));
}

Status Unpacker::link(int parent, const std::string& name, const std::string& target) {
    CTL_ASSIGN(const auto parts, parts_of(target));
    if (parts.empty()) return Error(ErrorCode::invalid, "a hard link to the root directory");
    CTL_ASSIGN(const Fd from, open_parent(parts, false));
    if (::linkat(from.get(), parts.back().c_str(), parent, name.c_str(), 0) != 0)
        return errno == ENOENT ? Status(Error(ErrorCode::invalid, fmt::format("hard link to {}, which the archive has not",
                                                                              ctl::quoted(target))))
                               : Status(system_error(errno, "make hard link"));
    return ok();
}

Status Unpacker::unpack_content(int fd, archive_entry* entry) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    while (true) {
        const int got = archive_read_data_block(reader_, &data, &size, &offset);
        if (got == ARCHIVE_EOF) break;
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return archive_error(reader_);
        CTL_TRY(count_bytes(static_cast<std::int64_t>(size)));
        const char* rest = static_cast<const char*>(data);
        while (size != 0) {
            const ssize_t put = ::pwrite(fd, rest, size, offset);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return system_error(errno, "write");
            rest += put;
            size -= static_cast<std::size_t>(put);
            offset += put;
        }
    }
    const la_int64_t length = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : 0;
    struct stat info {};
    if (::fstat(fd, &info) != 0) return system_error(errno, "stat");
    if (info.st_size < length && ::ftruncate(fd, length) != 0) return system_error(errno, "set size");
    return ok();
}

Status Unpacker::unpack_file(int parent, const std::string& name, archive_entry* entry) {
    CTL_ASSIGN(const Attributes wanted, attributes_of(entry));
    const Fd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return system_error(errno, "create");
    CTL_TRY(unpack_content(fd.get(), entry));
    return set_attributes(fd.get(), wanted, entry);
}

Status Unpacker::unpack_directory(int parent, const std::string& name, archive_entry* entry) {
    CTL_ASSIGN(const Attributes wanted, attributes_of(entry));
    if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) return system_error(errno, "make directory");
    CTL_ASSIGN(const Fd fd, open_beneath(parent, name, O_RDONLY | O_DIRECTORY));
    directory_bytes_ += path_.size() + sizeof(directories_.front());
    if (directory_bytes_ > most_directory_bytes) return Error(ErrorCode::invalid, "the archive has too many directories");
    directories_.emplace_back(path_, wanted.times);
    return set_attributes(fd.get(), wanted, entry);
}

Status Unpacker::unpack_at(int parent, const std::string& name, archive_entry* entry) {
    const auto type = archive_entry_filetype(entry);
    if (const char* target = archive_entry_hardlink(entry)) {
        CTL_TRY(clear_way(parent, name, false));
        return link(parent, name, target);
    }
    if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK) {
        ++totals_.left_out;
        return ok();
    }
    CTL_TRY(clear_way(parent, name, type == AE_IFDIR));
    if (type == AE_IFDIR) return unpack_directory(parent, name, entry);
    if (type == AE_IFREG) return unpack_file(parent, name, entry);
    CTL_ASSIGN(const Attributes wanted, attributes_of(entry));
    if (type == AE_IFLNK) {
        const char* target = archive_entry_symlink(entry);
        if (target == nullptr || *target == '\0') return Error(ErrorCode::invalid, "a symbolic link without a target");
        if (::symlinkat(target, parent, name.c_str()) != 0) return system_error(errno, "make symbolic link");
        return set_attributes_at(parent, name, wanted, true);
    }
    if (type != AE_IFIFO) return Error(ErrorCode::invalid, fmt::format("a member of unknown type {:o}", type));
    if (::mkfifoat(parent, name.c_str(), 0600) != 0) return system_error(errno, "make FIFO");
    return set_attributes_at(parent, name, wanted, false);
}

Status Unpacker::unpack(archive_entry* entry) {
    const char* raw = archive_entry_pathname(entry);
    if (raw == nullptr) raw = archive_entry_pathname_utf8(entry);
    if (raw == nullptr) return Error(ErrorCode::invalid, "a member without a name");
    CTL_ASSIGN(const auto parts, parts_of(raw));
    path_ = joined(parts, "/");
    if (parts.empty()) {
        if (archive_entry_filetype(entry) != AE_IFDIR) return Error(ErrorCode::invalid, "the root is no directory");
        CTL_ASSIGN(const Attributes wanted, attributes_of(entry));
        directories_.emplace_back(".", wanted.times);
        return set_attributes(root_, wanted, entry);
    }
    CTL_ASSIGN(const Fd parent, open_parent(parts, true));
    return unpack_at(parent.get(), parts.back(), entry);
}

/// Last, because every member put into a directory changes its times. Set by descriptor, so never through a link.
Status Unpacker::set_directory_times() {
    for (const auto& [path, times] : directories_) {
        CTL_ASSIGN(const Fd fd, open_beneath(root_, path, O_RDONLY | O_DIRECTORY));
        if (::futimens(fd.get(), times.data()) != 0) return system_error(errno, "set times");
    }
    return ok();
}

Status Unpacker::run() {
    CTL_TRY(find_bounds());
    archive_entry* entry = nullptr;
    while (true) {
        const int got = archive_read_next_header(reader_, &entry);
        if (got == ARCHIVE_EOF) break;
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN) return archive_error(reader_);
        if (++entries_ > limits_.entries)
            return Error(ErrorCode::invalid, fmt::format("the archive has more than {} members", limits_.entries));
        auto unpacked = unpack(entry);
        if (!unpacked) return std::move(unpacked).error().while_(fmt::format("unpacking {}", ctl::quoted(path_)));
    }
    return set_directory_times();
}

}  // namespace

Result<Unpacked> unpack_tar(const ArchiveSource& source, int root, const UnpackLimits& limits) {
    const auto reading = std::make_unique<Source>(source);
    const ArchivePtr reader = make_reader();
    if (archive_read_open(reader.get(), reading.get(), nullptr, &read_source, nullptr) != ARCHIVE_OK)
        return archive_error(reader.get());
    Unpacker unpacker(*reading, reader.get(), root, limits);
    CTL_TRY(unpacker.run());
    ssize_t got = 0;
    do got = reading->next();
    while (got > 0);
    if (got < 0) return system_error(errno, "read the archive");
    return unpacker.totals();
}

}  // namespace ctl::drivers::image

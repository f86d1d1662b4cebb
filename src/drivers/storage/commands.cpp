#include "drivers/storage/commands.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"

// The kernel's own number; its header is not for programs.
#ifndef EXT4_IOC_RESIZE_FS
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, std::uint64_t)
#endif

namespace ctl::drivers::storage {

namespace {

constexpr std::chrono::seconds tool_deadline{300};

/// What the kernel says about a mount that it won't make.
Error mount_error(int context, const std::string& source) {
    const int number = errno;
    std::string said(512, '\0');
    const ssize_t count = ::read(context, said.data(), said.size());
    said.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    Error fault = system_error(number, fmt::format("mount {}", ctl::quoted(source)));
    if (said.empty()) return fault;
    return {fault.code(), fmt::format("{} ({})", fault.message(), ctl::escaped(trimmed(said)))};
}

Result<Fd> mount_file_system(const std::string& type, const std::string& source, const std::string& flag) {
    const Fd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
    if (!context) return system_error(errno, fmt::format("mount the file system {}", type));
    const bool is_set = ::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) == 0 &&
                        (flag.empty() || ::fsconfig(context.get(), FSCONFIG_SET_FLAG, flag.c_str(), nullptr, 0) == 0) &&
                        ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
    if (!is_set) return mount_error(context.get(), source);
    Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (!mount) return mount_error(context.get(), source);
    return mount;
}

struct Ext4 {
    std::uint64_t blocks = 0;
    std::uint64_t block_size = 0;
    std::uint64_t group = 0;       ///< blocks of a whole group
    std::uint64_t least_rest = 0;  ///< of fewer blocks neither mkfs nor the kernel makes a last group
};

/// As its superblock says; nothing for what is none.
std::optional<Ext4> read_ext4(int device) {
    std::array<unsigned char, 1024> superblock{};
    if (::pread(device, superblock.data(), superblock.size(), 1024) != static_cast<ssize_t>(superblock.size()))
        return std::nullopt;
    const auto number_at = [&](std::size_t at, std::size_t bytes) {
        std::uint64_t number = 0;
        for (std::size_t i = bytes; i-- > 0;) number = number << 8 | superblock[at + i];
        return number;
    };
    constexpr std::uint64_t magic = 0xEF53;
    constexpr std::uint64_t largest_shift = 6;
    const std::uint64_t shift = number_at(0x18, 4);
    Ext4 found;
    found.group = number_at(0x20, 4);
    if (number_at(0x38, 2) != magic || shift > largest_shift || found.group == 0) return std::nullopt;
    found.block_size = std::uint64_t{1024} << shift;
    found.blocks = number_at(0x150, 4) << 32 | number_at(0x4, 4);
    const auto in_blocks = [&](std::uint64_t bytes) { return (bytes + found.block_size - 1) / found.block_size; };
    const std::uint64_t inodes = in_blocks(number_at(0x28, 4) * number_at(0x58, 2));
    const std::uint64_t descriptors = in_blocks((found.blocks / found.group + 1) * number_at(0xFE, 2));
    // A superblock, two bitmaps, and mkfs wants 50 blocks for content.
    found.least_rest = 1 + descriptors + number_at(0xCE, 2) + 2 + inodes + 50;
    return found;
}

std::optional<std::int64_t> size_of_ext4(const std::string& device) {
    const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    const auto found = fd ? read_ext4(fd.get()) : std::nullopt;
    const off_t bytes = found ? ::lseek(fd.get(), 0, SEEK_END) : -1;
    if (bytes < 0) return std::nullopt;
    const std::uint64_t room = static_cast<std::uint64_t>(bytes) / found->block_size;
    const bool is_whole =
        room <= found->blocks || (found->blocks % found->group == 0 && room - found->blocks < found->least_rest);
    return is_whole ? bytes : static_cast<std::int64_t>(found->blocks * found->block_size);
}

/// What resize2fs does with one that is mounted; but that program looks for it in the table of mounts, and ours may be
/// attached nowhere.
Status grow_ext4(const std::string& device, int directory, std::int64_t bytes) {
    struct statfs info {};
    if (::fstatfs(directory, &info) != 0) return system_error(errno, "look at the file system");
    auto blocks = static_cast<std::uint64_t>(bytes) / static_cast<std::uint64_t>(info.f_bsize);
    const Fd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    if (const auto now = fd ? read_ext4(fd.get()) : std::nullopt; now && now->blocks == blocks) return ok();
    if (::ioctl(directory, EXT4_IOC_RESIZE_FS, &blocks) != 0) return system_error(errno, "grow the file system");
    return ok();
}

Status size_file(const std::string& path, std::int64_t bytes) {
    const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file || ::ftruncate(file.get(), bytes) != 0) return system_error(errno, fmt::format("size {}", ctl::quoted(path)));
    return ok();
}

Result<std::string> new_name() {
    CTL_ASSIGN(const std::string text, read_file("/proc/sys/kernel/random/uuid", 64));
    std::string digits(trimmed(text));
    std::erase(digits, '-');
    return "ctl_" + digits;
}

}  // namespace

Commands host_commands() {
    return {[](const std::vector<std::string>& argv) { return run_process(argv, tool_deadline); },
            mount_file_system,
            grow_ext4,
            size_of_ext4,
            size_file,
            [](const std::string& program) { return find_program(program).has_value(); },
            new_name};
}

Result<std::string> output_of(const Commands& commands, const std::vector<std::string>& argv) {
    CTL_ASSIGN(ProcessResult result, commands.run(argv));
    if (result.exit_code == 0) return std::move(result.out);
    std::string_view said = trimmed(result.err.empty() ? result.out : result.err);
    // lvm2 ends so, after it has said what was wrong.
    if (const std::size_t last = said.rfind('\n'); last != said.npos && trimmed(said.substr(last)).starts_with("Run `"))
        said = trimmed(said.substr(0, last));
    const bool is_full = said.find("nsufficient free") != std::string::npos ||
                         said.find("out of space") != std::string::npos || said.find("No space") != std::string::npos;
    return Error(is_full ? ErrorCode::no_space : ErrorCode::io,
                 fmt::format("{}: {}", argv.front(),
                             said.empty() ? fmt::format("failed with {}", result.exit_code)
                                          : ctl::escaped(trimmed(said.substr(said.rfind('\n') + 1)))));
}

Status run_tool(const Commands& commands, const std::vector<std::string>& argv) {
    const auto printed = output_of(commands, argv);
    return printed ? ok() : Status(printed.error());
}

}  // namespace ctl::drivers::storage

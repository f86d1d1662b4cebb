#include "drivers/lxc/disk_limits.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/mount_words.h"
#include "base/text.h"

namespace ctl::drivers::lxc {

namespace {

/// One of the four numbers that the kernel keeps for each device.
struct Kind {
    std::string_view word;    ///< in Container::disk_limits
    std::string_view suffix;  ///< of its number there
    LimitFile v1;
    std::string_view v2;  ///< in io.max
};
constexpr LimitFile io_max{"io", nullptr, "io.max"};
constexpr std::size_t kinds_count = 4;
constexpr std::array<Kind, kinds_count> kinds{{
    {"read", "", {"blkio", "blkio.throttle.read_bps_device", nullptr}, "rbps"},
    {"read", "iops", {"blkio", "blkio.throttle.read_iops_device", nullptr}, "riops"},
    {"write", "", {"blkio", "blkio.throttle.write_bps_device", nullptr}, "wbps"},
    {"write", "iops", {"blkio", "blkio.throttle.write_iops_device", nullptr}, "wiops"},
}};

/// One number for each of `kinds`; 0: no limit.
using Limits = std::array<std::int64_t, kinds_count>;
/// By the device's numbers, "8:0".
using ByDevice = std::map<std::string, Limits>;

bool is_v1(const Cgroups& cgroups) { return cgroups.has_controller("blkio") && !cgroups.is_unified("blkio"); }

Result<Limits> parse(std::string_view text) {
    Limits limits{};
    for (const auto part : split(trimmed(text), ' ')) {
        const std::size_t equals = part.find('=');
        bool known = false;
        // "iops" first: every text ends with "".
        for (std::size_t i = kinds_count; i-- > 0 && !known;) {
            const auto& kind = kinds[i];
            if (part.substr(0, equals) != kind.word || equals == std::string_view::npos || !part.ends_with(kind.suffix))
                continue;
            const auto number = parse_number(part.substr(equals + 1, part.size() - equals - 1 - kind.suffix.size()));
            known = number && *number > 0;
            if (known) limits[i] = *number;
        }
        if (!known) return Error(ErrorCode::invalid, fmt::format("{} is no limit of a disk", ctl::quoted(part)));
    }
    return limits;
}

/// "read=1048576 write=100iops"
std::string text_of(const Limits& limits) {
    std::string text;
    for (std::size_t i = 0; i < kinds_count; ++i)
        if (limits[i] != 0)
            text += fmt::format("{}{}={}{}", text.empty() ? "" : " ", kinds[i].word, limits[i], kinds[i].suffix);
    return text;
}

std::string numbers_of(dev_t device) { return fmt::format("{}:{}", major(device), minor(device)); }

/// The kernel limits whole disks only.
std::string whole_disk(const std::string& numbers) {
    const std::filesystem::path place("/sys/dev/block/" + numbers);
    std::error_code failed;
    if (!std::filesystem::exists(place / "partition", failed)) return numbers;
    const auto disk = read_file((std::filesystem::canonical(place, failed).parent_path() / "dev").native());
    return disk ? std::string(trimmed(*disk)) : numbers;
}

bool is_block_device(const std::string& numbers) { return ::access(("/sys/dev/block/" + numbers).c_str(), F_OK) == 0; }

/// What the mount table names as the source of the file system that the numbers belong to, with its options. File systems of
/// several devices, such as btrfs, have numbers of their own.
std::optional<std::pair<std::string, std::string>> mounted_from(const std::string& numbers) {
    const auto table = read_file("/proc/self/mountinfo");
    if (!table) return std::nullopt;
    for (const auto line : split(*table, '\n')) {
        const auto words = split(line, ' ');
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (words.size() > 5 && words[2] == numbers && words.end() - dash > 3)
            return std::pair{fstab_unescaped(*(dash + 2)), std::string(*(dash + 3))};
    }
    return std::nullopt;
}

/// Where an overlay's files are written.
std::string upper_directory(const std::string& options) {
    constexpr std::string_view key = "upperdir=";
    for (const auto option : split(options, ','))
        if (option.starts_with(key)) return fstab_unescaped(option.substr(key.size()));
    return {};
}

/// The disk that a path's files are on. Errors: not_found without the path, unsupported without a disk.
Result<std::string> disk_of(const std::string& path, unsigned depth = 0) {
    constexpr unsigned deepest = 4;
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return system_error(errno, fmt::format("find {}", ctl::quoted(path)));
    if (S_ISBLK(info.st_mode)) return whole_disk(numbers_of(info.st_rdev));
    const std::string numbers = numbers_of(info.st_dev);
    if (is_block_device(numbers)) return whole_disk(numbers);
    if (const auto from = mounted_from(numbers); from && depth < deepest) {
        const std::string upper = upper_directory(from->second);
        const std::string& next = upper.empty() ? from->first : upper;
        if (next.starts_with('/') && next != path)
            if (auto disk = disk_of(next, depth + 1)) return disk;
    }
    return Error(ErrorCode::unsupported,
                 fmt::format("the files of {} are on no disk that can be limited", ctl::quoted(path)))
        .hint("take out limits.read, limits.write and limits.max, or put them on a file system with a block device");
}

/// What the paths' limits come to. A path that isn't there has none: whether that is a fault is said elsewhere.
Result<ByDevice> by_device(const DiskLimits& limits) {
    std::map<std::string, std::vector<Limits>> all;
    for (const auto& [path, text] : limits) {
        auto disk = disk_of(path);
        if (!disk && disk.error().code() != ErrorCode::not_found) return std::move(disk).error();
        for (const auto one : split(text, ';')) {
            CTL_ASSIGN(const Limits own, parse(one));
            if (disk) all[*disk].push_back(own);
        }
    }
    ByDevice averages;
    for (const auto& [disk, each] : all)
        for (std::size_t i = 0; i < kinds_count; ++i) {
            const auto count = std::count_if(each.begin(), each.end(), [&](const Limits& own) { return own[i] != 0; });
            std::int64_t average = 0;
            // Each its part: their sum may be more than a number holds.
            for (const auto& own : each) average += count != 0 ? own[i] / count : 0;
            averages[disk][i] = average;
        }
    return averages;
}

/// "8:0 1048576" a line.
void read_v1(const std::string& text, std::size_t kind, ByDevice& found) {
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() == 2)
            if (const auto number = parse_number(words[1])) found[std::string(words[0])][kind] = *number;
    }
}

/// "8:0 rbps=1048576 wbps=max riops=max wiops=100" a line.
void read_v2(const std::string& text, ByDevice& found) {
    for (const auto line : split(text, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() < 2) continue;
        Limits& limits = found[std::string(words[0])];
        for (const auto word : words)
            for (std::size_t i = 0; i < kinds_count; ++i)
                if (word.starts_with(kinds[i].v2) && word.substr(kinds[i].v2.size()).starts_with('='))
                    limits[i] = parse_number(word.substr(kinds[i].v2.size() + 1)).value_or(0);
    }
}

/// On version 1 each cgroup counts for itself: the one that the processes are in.
ByDevice in_kernel(const std::string& name, const Cgroups& cgroups) {
    ByDevice found;
    if (!is_v1(cgroups)) {
        read_v2(cgroups.value(name, io_max).value_or(""), found);
        // lxc-cgroup(1) sets it there.
        read_v2(cgroups.inner_value(name, io_max).value_or(""), found);
        return found;
    }
    for (std::size_t i = 0; i < kinds_count; ++i) {
        read_v1(cgroups.value(name, kinds[i].v1).value_or(""), i, found);
        for (auto& [disk, limits] : found) limits[i] = 0;
        read_v1(cgroups.inner_value(name, kinds[i].v1).value_or(""), i, found);
    }
    return found;
}

Status write(const std::string& name, const Cgroups& cgroups, const std::string& disk, const Limits& limits) {
    if (is_v1(cgroups)) {
        for (std::size_t i = 0; i < kinds_count; ++i)
            CTL_TRY(cgroups.set_below(name, kinds[i].v1, fmt::format("{} {}", disk, limits[i])));
        return ok();
    }
    std::string line = disk;
    std::string none = disk;
    for (std::size_t i = 0; i < kinds_count; ++i) {
        line += fmt::format(" {}={}", kinds[i].v2, limits[i] != 0 ? std::to_string(limits[i]) : "max");
        none += fmt::format(" {}=max", kinds[i].v2);
    }
    if (!cgroups.inner_value(name, io_max).value_or("").empty()) CTL_TRY(cgroups.set_inner(name, io_max, none));
    return cgroups.set(name, io_max, line);
}

}  // namespace

Status check_disk_limits(const DiskLimits& limits, const Cgroups& cgroups) {
    if (limits.empty()) return ok();
    const LimitFile& file = is_v1(cgroups) ? kinds.front().v1 : io_max;
    if (!cgroups.offers(file))
        return Error(ErrorCode::unsupported,
                     "limits.read, limits.write and limits.max of a disk need the cgroup controller "
                     "io or blkio with throttling, which is not there")
            .hint("take them out");
    const auto found = by_device(limits);
    return found ? ok() : Status(found.error());
}

Status apply_disk_limits(const std::string& name, const Cgroups& cgroups, const DiskLimits& limits) {
    CTL_ASSIGN(const ByDevice wanted, by_device(limits));
    for (const auto& [disk, old] : in_kernel(name, cgroups))
        if (!wanted.contains(disk)) CTL_TRY(write(name, cgroups, disk, Limits{}));
    for (const auto& [disk, own] : wanted) CTL_TRY(write(name, cgroups, disk, own));
    return ok();
}

DiskLimits observed_disk_limits(const std::string& name, const Cgroups& cgroups, const DiskLimits& written) {
    const auto wanted = by_device(written);
    const ByDevice now = in_kernel(name, cgroups);
    if (!wanted) return {};
    DiskLimits observed;
    for (const auto& [path, text] : written) {
        const auto disk = disk_of(path);
        const auto found = disk ? now.find(*disk) : now.end();
        const Limits limits = found != now.end() ? found->second : Limits{};
        // A path that isn't there, or wasn't a moment ago, has nothing that could differ.
        const auto asked = disk ? wanted->find(*disk) : wanted->end();
        if (asked == wanted->end() || limits == asked->second) observed.emplace(path, text);
        else if (limits != Limits{}) observed.emplace(path, text_of(limits));
    }
    return observed;
}

}  // namespace ctl::drivers::lxc

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/lxc/cgroups.h"
#include "model/object.h"

// Where the kernel keeps each limit. What config lines (limit_lines.cpp) and cgroups (limits.cpp) share; nobody else
// includes this.

namespace ctl::drivers::lxc {

using Number = std::optional<std::int64_t>;

inline constexpr std::int64_t default_shares = 1024;
inline constexpr std::int64_t default_weight = 100;
inline constexpr std::int64_t default_period = 100'000;

inline constexpr LimitFile memory_max{"memory", "memory.limit_in_bytes", "memory.max"};
inline constexpr LimitFile memory_high{"memory", "memory.soft_limit_in_bytes", "memory.high"};
inline constexpr LimitFile memory_swap{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max"};
inline constexpr LimitFile memory_swappiness{"memory", "memory.swappiness", nullptr};
inline constexpr LimitFile pids_max{"pids", "pids.max", "pids.max"};
inline constexpr LimitFile cpu_weight{"cpu", "cpu.shares", "cpu.weight"};
inline constexpr LimitFile cpu_period{"cpu", "cpu.cfs_period_us", nullptr};
inline constexpr LimitFile cpu_max{"cpu", "cpu.cfs_quota_us", "cpu.max"};
inline constexpr LimitFile cpuset_cpus{"cpuset", "cpuset.cpus", "cpuset.cpus"};
inline constexpr LimitFile cpuset_mems{"cpuset", "cpuset.mems", "cpuset.mems"};
/// Which of them there is depends on the kernel's I/O schedulers.
inline constexpr std::array disk_weights{LimitFile{"blkio", "blkio.weight", nullptr},
                                         LimitFile{"blkio", "blkio.bfq.weight", nullptr},
                                         LimitFile{"io", nullptr, "io.weight"}};
/// A size of huge pages, as the kernel spells it in its files.
struct HugepageSize {
    std::string_view name;
    std::int64_t bytes;
    LimitFile file;
};
inline constexpr std::array hugepage_sizes{
    HugepageSize{"64KB", std::int64_t{1} << 16, {"hugetlb", "hugetlb.64KB.limit_in_bytes", "hugetlb.64KB.max"}},
    HugepageSize{"1MB", std::int64_t{1} << 20, {"hugetlb", "hugetlb.1MB.limit_in_bytes", "hugetlb.1MB.max"}},
    HugepageSize{"2MB", std::int64_t{1} << 21, {"hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"}},
    HugepageSize{"1GB", std::int64_t{1} << 30, {"hugetlb", "hugetlb.1GB.limit_in_bytes", "hugetlb.1GB.max"}}};
/// The size of that name, or null.
[[nodiscard]] const HugepageSize* find_hugepage_size(std::string_view name);

/// Limits that are one number and "no limit" without it.
struct Plain {
    std::string_view field;
    Number model::Container::*member;
    LimitFile file;
};
inline constexpr std::array plain_limits{Plain{"memory_limit", &model::Container::memory_limit, memory_max},
                                         Plain{"memory_soft_limit", &model::Container::memory_soft_limit, memory_high},
                                         Plain{"process_limit", &model::Container::process_limit, pids_max}};

/// cpu.weight of version 2 for shares of version 1.
[[nodiscard]] std::int64_t weight_of(std::int64_t shares);
/// A weight as shares; those that were written where they come to it.
[[nodiscard]] std::int64_t shares_of(std::int64_t weight, Number written);

struct Quota {
    std::string quota;  ///< microseconds, or "max"
    std::string period;
};

/// Container::cpu_quota, taken apart.
[[nodiscard]] std::optional<Quota> parse_quota(std::string_view text);

}  // namespace ctl::drivers::lxc

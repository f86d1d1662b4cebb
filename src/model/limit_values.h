#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// Readers of what limits.* keys say, in LXD's spelling; as those of value_types.h.

namespace ctl::model {

/// What limits.cpu.allowance says: a share of CPU time under load, or a part of each period at most.
struct CpuAllowance {
    std::int64_t percent = 0;  ///< 1 to 1000; 0 when it is a time
    std::int64_t quota = 0;    ///< microseconds
    std::int64_t period = 0;   ///< microseconds

    bool operator==(const CpuAllowance&) const = default;
};

/// "50%", or "25ms/100ms" with a period of 1 ms to 1000 ms, which is what the kernel takes.
[[nodiscard]] std::optional<CpuAllowance> parse_cpu_allowance(std::string_view text);

/// "50%", from 1 to 100.
[[nodiscard]] std::optional<std::int64_t> parse_percent(std::string_view text);

/// Numbers and ranges of them, "0,2-3"; canonical is the kernel's list.
[[nodiscard]] std::optional<std::string> parse_memory_nodes(std::string_view text);

/// Soft and hard limit of a resource as setrlimit(2) has them: "SOFT:HARD" or one value for both, each a number or
/// "unlimited". Canonical has both.
[[nodiscard]] std::optional<std::string> parse_resource_limit(std::string_view text);

/// What limits.read and limits.write of a disk say: bytes a second as a size, canonical "1048576", or operations a second,
/// "100iops". More than 0.
[[nodiscard]] std::optional<std::string> parse_disk_limit(std::string_view text);

/// as, core, cpu, …: resources whose limits liblxc sets.
[[nodiscard]] bool is_limited_resource(std::string_view name);
/// The resource that was probably meant, or "".
[[nodiscard]] std::string_view nearest_limited_resource(std::string_view name);

}  // namespace ctl::model

#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Readers of single values in LXD's spelling. Every one takes the text as written (blanks around it are a fault) and gives
// the canonical value, or nothing when the text is not one.

namespace ctl::model {

/// true 1 yes on / false 0 no off, in any case.
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text);

/// A decimal integer between `least` and `most`; no plus sign, no blanks.
[[nodiscard]] std::optional<std::int64_t> parse_int(std::string_view text, std::int64_t least, std::int64_t most);
/// A decimal integer from 0 to `most`.
[[nodiscard]] std::optional<std::int64_t> parse_uint(std::string_view text,
                                                     std::int64_t most = std::numeric_limits<std::int64_t>::max());

/// Bytes: an integer with B, bytes, kB … EB (powers of 1000), KiB … EiB (powers of 1024) or nothing. 512MiB → 536870912.
[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text);

/// Bits a second: an integer with bit, kbit … Ebit (powers of 1000), Kibit … Eibit (powers of 1024) or nothing.
/// 10Mbit → 10000000.
[[nodiscard]] std::optional<std::int64_t> parse_rate(std::string_view text);

/// Six bytes in colon form; canonical is lower-case.
[[nodiscard]] std::optional<std::string> parse_mac(std::string_view text);
/// As parse_mac, and not a group address, not all zeros: one an interface can carry.
[[nodiscard]] std::optional<std::string> parse_unicast_mac(std::string_view text);

/// Bytes of an interface's MTU: 1280 to 16384.
[[nodiscard]] std::optional<std::int64_t> parse_mtu(std::string_view text);

/// What limits.cpu says: a number of CPUs or certain ones.
struct CpuLimit {
    std::int64_t count = 0;        ///< how many; 0 when `cpus` says which
    std::vector<unsigned> cpus{};  ///< ascending, each once

    /// The kernel's list form of `cpus`: "0-3,7". Empty for a count.
    [[nodiscard]] std::string list() const;
    bool operator==(const CpuLimit&) const = default;
};

/// "4" is a count, "0-3", "0,2,4" and "1-1" are sets. Naming a CPU twice, and CPUs above 8191, are faults.
[[nodiscard]] std::optional<CpuLimit> parse_cpu_set(std::string_view text);

/// The members of a comma list without the blanks around them; "" is no member. Empty members are kept as "".
[[nodiscard]] std::vector<std::string_view> parse_list(std::string_view text);

/// 2 to 15 of letters, digits, `-`, `_`, `.`; not starting with a dash or dot, and neither "all" nor "default", which name
/// no interface to the kernel.
[[nodiscard]] bool is_interface_name(std::string_view text);
/// 1 to 63 letters, digits, dashes; starts with a letter and does not end with a dash.
[[nodiscard]] bool is_instance_name(std::string_view text);
/// 1 to 63 letters, digits, `/ . - : _`, not starting with a dot. Not fit to be a path component.
[[nodiscard]] bool is_device_name(std::string_view text);
/// Of a stack, pool, network or image: 1 to 63 letters, digits, `.`, `_`, `-`, `+`, `@`, starting with a letter, digit or
/// `_`. Fit to be a path component.
[[nodiscard]] bool is_resource_name(std::string_view text);
/// As is_resource_name, and blanks inside are fine: profiles never become a path.
[[nodiscard]] bool is_profile_name(std::string_view text);
/// 64 hexadecimal digits in lower case.
[[nodiscard]] bool is_sha256(std::string_view text);
/// A path that starts with `/` and has no `..` component and no control character.
[[nodiscard]] bool is_absolute_path(std::string_view text);

}  // namespace ctl::model

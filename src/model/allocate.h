#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>

#include "model/ip.h"
#include "model/lower.h"

namespace ctl::model {

/// Chooses what has to be chosen once and kept. What is already known stays; new values are derived from their key, so
/// that a plan is reproducible, and step aside where a value is taken.
class Allocator {
public:
    /// `host` tells one machine from others that apply the same stack: their MACs may meet on a LAN.
    Allocator(const Allocations& known, const Allocations& taken, std::string host);

    /// A unicast MAC, another one on every host, with the prefix 00:16:3e, which Xen's registration leaves to virtual
    /// machines and LXD uses too.
    [[nodiscard]] std::string mac(const std::string& key);
    /// A host-side interface name: "ctl" and eight hex digits.
    [[nodiscard]] std::string interface_name(const std::string& key);
    /// The first address of a private /24 below 10.0.0.0/8 that overlaps none of `avoid`.
    [[nodiscard]] Cidr subnet4(const std::string& key, const std::set<Cidr>& avoid);
    /// The first address of a /64 below fd42::/16 that overlaps none of `avoid`.
    [[nodiscard]] Cidr subnet6(const std::string& key, const std::set<Cidr>& avoid);
    /// The first of `count` host ids that no other such range has: 1000000 or above, as LXD has them where nothing else is
    /// said.
    [[nodiscard]] std::int64_t id_range(const std::string& key, std::int64_t count);
    /// What was answered first: `now` at that time.
    [[nodiscard]] std::string kept(const std::string& key, const std::string& now);

    /// All that was asked for, by key.
    [[nodiscard]] const Allocations& used() const { return used_; }

private:
    /// `text` is what the value is derived from.
    std::string choose(const std::string& key, const std::string& text,
                       const std::function<std::string(std::uint64_t)>& make,
                       const std::function<bool(const std::string&)>& is_free);

    const Allocations& known_;
    Allocations used_;
    std::unordered_set<std::string> taken_;
    std::string host_;
};

}  // namespace ctl::model

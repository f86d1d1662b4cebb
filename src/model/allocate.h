#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "model/ip.h"
#include "model/lower.h"

namespace ctl::model {

/// Chooses what has to be chosen once and kept. What is already known stays; new values are derived from their key, so
/// that two machines choose alike, and step aside where a value is taken.
class Allocator {
public:
    Allocator(const Allocations& known, const Allocations& taken);

    /// A unicast MAC with the prefix 00:16:3e, which Xen's registration leaves to virtual machines and LXD uses too.
    [[nodiscard]] std::string mac(const std::string& key);
    /// A host-side interface name: "ctl" and eight hex digits.
    [[nodiscard]] std::string interface_name(const std::string& key);
    /// The first address of a private /24 below 10.0.0.0/8 that overlaps none of `avoid`.
    [[nodiscard]] Cidr subnet4(const std::string& key, const std::set<Cidr>& avoid);
    /// The first address of a /64 below fd42::/16 that overlaps none of `avoid`.
    [[nodiscard]] Cidr subnet6(const std::string& key, const std::set<Cidr>& avoid);

    /// All that was asked for, by key.
    [[nodiscard]] const Allocations& used() const { return used_; }

private:
    std::string choose(const std::string& key, const std::function<std::string(std::uint64_t)>& make,
                       const std::function<bool(const std::string&)>& is_free);

    const Allocations& known_;
    Allocations used_;
    std::set<std::string> taken_;
};

}  // namespace ctl::model

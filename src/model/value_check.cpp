#include "model/value_check.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "model/dhcp.h"
#include "model/ip.h"
#include "model/limit_values.h"
#include "model/schedule.h"
#include "model/snapshot_name.h"
#include "model/trash.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using Family = IpAddress::Family;

bool is_ip(std::string_view text, Family family) {
    const auto address = IpAddress::parse(text);
    return address && address->family == family;
}
bool is_ip4(std::string_view text) { return is_ip(text, Family::v4); }
bool is_ip6(std::string_view text) { return is_ip(text, Family::v6); }
bool is_any_ip(std::string_view text) { return IpAddress::parse(text).has_value(); }

bool is_cidr(std::string_view text, Family family, bool bare_is_host) {
    const auto cidr = Cidr::parse(text, bare_is_host);
    return cidr && cidr->address.family == family;
}
bool is_subnet4(std::string_view text) { return is_cidr(text, Family::v4, false); }
bool is_subnet6(std::string_view text) { return is_cidr(text, Family::v6, false); }

template <bool (*accepts)(std::string_view)>
bool is_list_of(std::string_view text) {
    const auto members = parse_list(text);
    return std::all_of(members.begin(), members.end(), accepts);
}

template <bool (*accepts)(std::string_view)>
bool is_none_or(std::string_view text) {
    return text == "none" || accepts(text);
}

template <bool (*accepts)(std::string_view)>
bool is_auto_none_or(std::string_view text) {
    return text == "auto" || is_none_or<accepts>(text);
}

bool is_range(std::string_view text) {
    const std::size_t dash = text.find('-');
    return dash != std::string_view::npos && is_any_ip(trimmed(text.substr(0, dash))) &&
           is_any_ip(trimmed(text.substr(dash + 1)));
}

bool is_rate(std::string_view text) { return parse_rate(text).has_value(); }

bool is_line(std::string_view text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; });
}

bool is_octal_mode(std::string_view text) {
    return text.size() <= 5 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
}

bool is_memory(std::string_view text) {
    const auto bytes = parse_size(text);
    return parse_percent(text) || (bytes && *bytes > 0);
}

bool is_swap(std::string_view text) { return parse_bool(text) || parse_size(text); }
bool is_allowance(std::string_view text) { return parse_cpu_allowance(text).has_value(); }
bool is_disk_limit(std::string_view text) { return parse_disk_limit(text).has_value(); }
bool is_nodes(std::string_view text) { return parse_memory_nodes(text).has_value(); }
bool is_schedule(std::string_view text) { return Schedule::parse(text).has_value(); }
bool is_keep(std::string_view text) { return Expiry::parse(text).has_value(); }
bool is_resource_limit(std::string_view text) { return parse_resource_limit(text).has_value(); }

/// How a value type is recognised and what is said when it isn't.
struct ValueType {
    bool (*accepts)(std::string_view);
    std::string_view what;
    std::string_view hint;
};

bool accept_all(std::string_view) { return true; }
bool accept_list(std::string_view text) { return is_line(text); }
bool accept_bool(std::string_view text) { return parse_bool(text).has_value(); }
bool accept_int(std::string_view text) { return parse_int(text, INT32_MIN, INT32_MAX).has_value(); }
bool accept_uint(std::string_view text) { return parse_uint(text).has_value(); }
bool accept_priority(std::string_view text) { return parse_uint(text, 10).has_value(); }
bool accept_size(std::string_view text) { return parse_size(text).has_value(); }
bool accept_cpus(std::string_view text) { return parse_cpu_set(text).has_value(); }
bool accept_mtu(std::string_view text) { return parse_mtu(text).has_value(); }
bool accept_vlan(std::string_view text) { return text == "none" || parse_uint(text, 4094).has_value(); }
bool accept_mac(std::string_view text) { return parse_unicast_mac(text).has_value(); }
bool accept_address4(std::string_view text) { return is_cidr(text, Family::v4, true); }
bool accept_address6(std::string_view text) { return is_cidr(text, Family::v6, true); }

const std::map<std::string_view, ValueType>& value_types() {
    static const std::map<std::string_view, ValueType> types{
        {"any", {accept_all, "", ""}},
        {"text", {accept_all, "", ""}},
        {"string", {is_line, "it has a line break or a control character", "write it on one line"}},
        {"line", {is_line, "it has a line break or a control character", "write it on one line"}},
        {"list",
         {accept_list, "it has a line break or a control character",
          "write the members on one line, with commas between them"}},
        {"bool", {accept_bool, "not a boolean", "write true or false"}},
        {"int", {accept_int, "not a whole number", "write a number such as 10"}},
        {"uint", {accept_uint, "not a whole number from 0 up", "write a number such as 10"}},
        {"priority", {accept_priority, "not a whole number from 0 to 10", "write a number from 0 to 10"}},
        {"size", {accept_size, "not a size", "write a number and a unit, such as 512MiB"}},
        {"memory",
         {is_memory, "neither a size above 0 nor a part of the host's memory",
          "write a number and a unit, such as 512MiB, or 50%"}},
        {"cpus",
         {accept_cpus, "neither a number of CPUs nor a set of them", "write a number such as 2, or a set such as 0-1,3"}},
        {"swap", {is_swap, "neither a boolean nor a size", "write true, false, or a size such as 512MiB"}},
        {"allowance",
         {is_allowance, "neither a share of CPU time nor a time in a period of up to 1000ms", "write 50% or 25ms/100ms"}},
        {"disklimit",
         {is_disk_limit, "neither bytes nor operations a second",
          "write a size such as 10MiB, or a number such as 100iops"}},
        {"nodes", {is_nodes, "not a set of NUMA nodes", "write one such as 0 or 0-1"}},
        {"rlimit",
         {is_resource_limit, "not a soft and a hard limit, the first no higher than the second",
          "write one such as 1024:4096, 1024 or unlimited"}},
        {"schedule",
         {is_schedule, "neither five fields of cron nor words such as @daily",
          "write one such as 0 6 * * *, or @hourly, @daily, @weekly, @monthly, @yearly, @never"}},
        {"keep",
         {is_keep, "not a time to keep something", "write numbers with M, H, d, w, m or y, such as 1w 12H, each unit once"}},
        {"trash",
         {is_trash_time, "not a time to keep what was deleted",
          "write numbers with M, h, d, w, m or y, such as 1w 12h, each unit once, or 0"}},
        {"snapshot-pattern",
         {is_snapshot_pattern, "no pattern that gives names of snapshots",
          "use letters, digits, '-', '_', '.', %d once, and {{ creation_date|date:'2006-01-02' }}"}},
        {"mtu", {accept_mtu, "not an MTU from 1280 to 16384", "write a number such as 1500"}},
        {"vlan", {accept_vlan, "not a VLAN from 0 to 4094", "write a number such as 10"}},
        {"octal", {is_octal_mode, "not an octal mode", "write one such as 0660"}},
        {"mac", {accept_mac, "not the MAC address of an interface", "write one such as 00:16:3e:12:34:56"}},
        {"ifname", {is_interface_name, "not an interface name", "use 2 to 15 letters, digits, dashes, dots, underscores"}},
        {"ifnames", {is_list_of<is_interface_name>, "not a list of interface names", "write one such as eth1,eth2"}},
        {"ip", {is_any_ip, "not an IP address", "write one such as 10.0.3.1"}},
        {"ipv4", {is_ip4, "not an IPv4 address", "write one such as 10.0.3.1"}},
        {"ipv6", {is_ip6, "not an IPv6 address", "write one such as fd42::1"}},
        {"ips", {is_list_of<is_any_ip>, "not a list of IP addresses", "write one such as 10.0.3.1,10.0.3.2"}},
        {"cidr4", {is_none_or<is_subnet4>, "not an IPv4 address with a prefix", "write one such as 10.0.3.1/24, or none"}},
        {"cidr6", {is_none_or<is_subnet6>, "not an IPv6 address with a prefix", "write one such as fd42::1/64, or none"}},
        {"autocidr4",
         {is_auto_none_or<is_subnet4>, "not an IPv4 address with a prefix",
          "write one such as 10.0.3.1/24, or auto, or none"}},
        {"autocidr6",
         {is_auto_none_or<is_subnet6>, "not an IPv6 address with a prefix",
          "write one such as fd42::1/64, or auto, or none"}},
        {"cidrs4", {is_list_of<is_subnet4>, "not a list of IPv4 subnets", "write one such as 10.0.4.0/24,10.0.5.0/24"}},
        {"cidrs6", {is_list_of<is_subnet6>, "not a list of IPv6 subnets", "write one such as fd42:1::/64,fd42:2::/64"}},
        {"ranges", {is_list_of<is_range>, "not a list of address ranges", "write one such as 10.0.3.10-10.0.3.99"}},
        {"expiry", {is_lease_time, "not a time from two minutes up", "write one such as 30m, 1h, 7d or infinite"}},
        {"domain", {is_domain, "not a domain name", "write one such as lab.example.org"}},
        {"domains", {is_list_of<is_domain>, "not a list of domain names", "write one such as lab.example.org,example.org"}},
        {"address4",
         {is_none_or<is_list_of<accept_address4>>, "not an IPv4 address", "write one such as 10.0.3.32 or 10.0.3.32/24"}},
        {"address6",
         {is_none_or<is_list_of<accept_address6>>, "not an IPv6 address", "write one such as fd42::20 or fd42::20/64"}},
        {"gateway4", {is_auto_none_or<is_ip4>, "not an IPv4 address", "write one such as 10.0.3.1, or auto, or none"}},
        {"gateway6", {is_auto_none_or<is_ip6>, "not an IPv6 address", "write one such as fd42::1, or auto, or none"}},
        {"path", {is_line, "it has a line break or a control character", "write it on one line"}},
        {"abspath", {is_absolute_path, "not an absolute path without ..", "write one such as /srv/data"}},
        {"rate", {is_rate, "not a bit rate", "write a number and a unit, such as 100Mbit"}},
        {"sha256", {is_sha256, "not a SHA-256 in 64 lower-case hexadecimal digits", "sha256sum FILE prints it"}},
    };
    return types;
}

bool contains(const std::vector<std::string>& texts, std::string_view text) {
    return std::find(texts.begin(), texts.end(), text) != texts.end();
}

/// Values that can be written, those that work first thing.
std::vector<std::string> offered(const KeyInfo& key) {
    std::vector<std::string> values;
    for (const auto& value : key.values)
        if (!value.empty() && !key.refuses(value)) values.push_back(value);
    return values;
}

std::optional<Misfit> enum_misfit(const KeyInfo& key, std::string_view text) {
    if (contains(key.values, text)) return std::nullopt;
    const std::vector<std::string_view> candidates(key.values.begin(), key.values.end());
    const auto meant = nearest(text, candidates);
    std::string hint =
        meant.empty() ? fmt::format("write {}", fmt::join(offered(key), ", ")) : fmt::format("did you mean {}?", meant);
    return Misfit{"not one of its values", std::move(hint)};
}

}  // namespace

std::string shown(std::string_view text) {
    constexpr std::size_t most = 120;
    if (text.size() <= most) return quoted(text);
    std::size_t end = most;
    // Not inside a character of UTF-8.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return quoted(text.substr(0, end)) + "…";
}

std::optional<Misfit> misfit(const KeyInfo& key, std::string_view text) {
    if (text.empty()) return std::nullopt;
    if (key.type == "enum") return enum_misfit(key, text);
    const auto type = value_types().find(key.type);
    if (type == value_types().end() || type->second.accepts(text)) return std::nullopt;
    return Misfit{std::string(type->second.what), std::string(type->second.hint)};
}

bool is_inert(const KeyInfo& key, std::string_view text) {
    if (text.empty() || contains(key.inert, text)) return true;
    if (key.type != "bool") return false;
    const auto value = parse_bool(text);
    return value && contains(key.inert, *value ? "true" : "false");
}

void report_unsupported(std::string_view what, std::string_view why, const SourceSpan& where, Diagnostics& diagnostics) {
    diagnostics.error("unsupported", fmt::format("{} is not supported", what), where, std::string(why));
}

void check_value(const KeyInfo& key, std::string_view name, const Value& value, const SourceSpan& key_where,
                 Diagnostics& diagnostics) {
    if (key.support == Support::ignored) return;
    if (auto fault = misfit(key, value.text)) {
        diagnostics.error("bad-value", fmt::format("bad value {} for {}: {}", shown(value.text), escaped(name), fault->what),
                          value.where, std::move(fault->hint));
        return;
    }
    if (key.refuses(value.text)) {
        report_unsupported(fmt::format("{}: {}", escaped(name), escaped(value.text)), key.note, value.where, diagnostics);
        return;
    }
    if (key.support == Support::yes || is_inert(key, value.text)) return;
    if (key.is_refused()) {
        report_unsupported(escaped(name), key.note, key_where, diagnostics);
        return;
    }
    diagnostics.note("no-effect", fmt::format("{} has no effect: {}", escaped(name), key.note), key_where);
}

}  // namespace ctl::model

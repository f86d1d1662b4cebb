#include "model/flow_text.h"

#include <algorithm>

#include <fmt/format.h>

namespace ctl::model::flow {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string port(std::string_view name) {
    const bool is_plain = !name.empty() && is_letter(name.front()) &&
                          std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
    return is_plain ? std::string(name) : fmt::format("\"{}\"", name);
}

std::string Match::str() const {
    std::string text;
    const auto put = [&](std::string_view word, const std::string& value) {
        if (!value.empty()) text += fmt::format(",{}={}", word, value);
    };
    const auto put_number = [&](std::string_view word, int value) {
        if (value >= 0) text += fmt::format(",{}={}", word, value);
    };
    const bool is_v6 = type == "ipv6" || type == "icmp6";
    const bool is_arp = type == "arp";
    if (!type.empty()) text += fmt::format(",{}", type);
    put("tun_src", tunnel_source);
    put("in_port", in_port);
    if (is_tagged) text += ",vlan_tci=0x1000/0x1000";
    put("dl_src", mac);
    put(is_v6 ? "ipv6_src" : is_arp ? "arp_spa" : "nw_src", source);
    put(is_v6 ? "ipv6_dst" : is_arp ? "arp_tpa" : "nw_dst", destination);
    put("arp_sha", arp_mac);
    put_number("icmp_type", icmp_type);
    put_number("icmp_code", icmp_code);
    put("nd_target", nd_target);
    put("nd_sll", nd_source_mac);
    put("nd_tll", nd_target_mac);
    put_number("tp_dst", to_port);
    return text;
}

void Flows::add(unsigned table, unsigned priority, const Match& match, std::string_view actions) {
    const std::string place = table == 0 ? std::string() : fmt::format("table={},", table);
    flows_.insert(fmt::format("{}priority={}{} actions={}", place, priority, match.str(), actions));
}

}  // namespace ctl::model::flow

#include "model/nft_text.h"

#include <algorithm>
#include <array>
#include <cassert>

#include <fmt/format.h>

#include "base/text.h"
#include "model/value_types.h"

namespace ctl::model::nft {

namespace {

using Family = IpAddress::Family;

struct Named {
    unsigned number;
    std::string_view name;
};

constexpr std::array types4{Named{0, "echo-reply"},           Named{3, "destination-unreachable"},
                            Named{4, "source-quench"},        Named{5, "redirect"},
                            Named{8, "echo-request"},         Named{9, "router-advertisement"},
                            Named{10, "router-solicitation"}, Named{11, "time-exceeded"},
                            Named{12, "parameter-problem"},   Named{13, "timestamp-request"},
                            Named{14, "timestamp-reply"},     Named{15, "info-request"},
                            Named{16, "info-reply"},          Named{17, "address-mask-request"},
                            Named{18, "address-mask-reply"}};
constexpr std::array codes4{Named{0, "net-unreachable"},  Named{1, "host-unreachable"}, Named{2, "prot-unreachable"},
                            Named{3, "port-unreachable"}, Named{4, "frag-needed"},      Named{9, "net-prohibited"},
                            Named{10, "host-prohibited"}, Named{13, "admin-prohibited"}};
constexpr std::array types6{
    Named{1, "destination-unreachable"}, Named{2, "packet-too-big"},        Named{3, "time-exceeded"},
    Named{4, "parameter-problem"},       Named{128, "echo-request"},        Named{129, "echo-reply"},
    Named{130, "mld-listener-query"},    Named{131, "mld-listener-report"}, Named{132, "mld-listener-done"},
    Named{133, "nd-router-solicit"},     Named{134, "nd-router-advert"},    Named{135, "nd-neighbor-solicit"},
    Named{136, "nd-neighbor-advert"},    Named{137, "nd-redirect"},         Named{138, "router-renumbering"},
    Named{141, "ind-neighbor-solicit"},  Named{142, "ind-neighbor-advert"}, Named{143, "mld2-listener-report"}};
constexpr std::array codes6{Named{0, "no-route"},         Named{1, "admin-prohibited"}, Named{3, "addr-unreachable"},
                            Named{4, "port-unreachable"}, Named{5, "policy-fail"},      Named{6, "reject-route"}};

template <std::size_t N>
std::string name_of(const std::array<Named, N>& names, unsigned number) {
    const auto found = std::find_if(names.begin(), names.end(), [&](const Named& n) { return n.number == number; });
    return found != names.end() ? std::string(found->name) : std::to_string(number);
}

std::string type_name(Family family, unsigned type) {
    return family == Family::v4 ? name_of(types4, type) : name_of(types6, type);
}

std::string_view icmp_word(Family family) { return family == Family::v4 ? "icmp" : "icmpv6"; }

/// One member bare, several as a set.
std::string set_of(const std::vector<std::string>& members) {
    assert(!members.empty());
    return members.size() == 1 ? members.front() : fmt::format("{{ {} }}", joined(members, ", "));
}

std::string text_of(const AddressRange& range) {
    if (range.first == range.last) return range.first.str();
    if (const auto subnet = range.as_subnet()) return subnet->str();
    return fmt::format("{}-{}", range.first.str(), range.last.str());
}

std::string text_of(const PortRange& range) {
    return range.first == range.last ? std::to_string(range.first) : fmt::format("{}-{}", range.first, range.last);
}

template <typename Range>
std::string set_of_ranges(std::vector<Range> ranges) {
    std::vector<std::string> members;
    for (const Range& range : merged(std::move(ranges))) members.push_back(text_of(range));
    return set_of(members);
}

/// The kernel sorts names as numbers whose lowest byte comes first.
bool is_listed_before(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return a.size() < b.size();
    return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

}  // namespace

std::string_view family_word(Family family) { return family == Family::v4 ? "ip" : "ip6"; }

std::string interface(std::string_view name) {
    assert(is_interface_name(name));
    return fmt::format("\"{}\"", name);
}

std::string addresses(std::vector<AddressRange> ranges) { return set_of_ranges(std::move(ranges)); }

std::string ports(std::vector<PortRange> ranges) { return set_of_ranges(std::move(ranges)); }

std::string icmp_type(Family family, unsigned type) {
    return fmt::format("{} type {}", icmp_word(family), type_name(family, type));
}

std::string icmp_types(Family family, const std::vector<unsigned>& types) {
    std::vector<std::string> members;
    for (const unsigned type : types) members.push_back(type_name(family, type));
    return fmt::format("{} type {}", icmp_word(family), set_of(members));
}

std::string icmp_code(Family family, unsigned code) {
    return fmt::format("{} code {}", icmp_word(family),
                       family == Family::v4 ? name_of(codes4, code) : name_of(codes6, code));
}

std::string number(std::string_view mac) {
    std::string digits;
    for (const char c : mac)
        if (c != ':' && !(digits.empty() && c == '0')) digits += c;
    return "0x" + (digits.empty() ? "0" : digits);
}

std::string log(std::string_view prefix) {
    std::string text(prefix);
    for (char& c : text)
        if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = '_';
    return fmt::format("log prefix \"{}\"", text);
}

std::string dispatch(const std::map<std::string, std::string>& chains) {
    std::vector<std::pair<std::string_view, std::string_view>> sorted(chains.begin(), chains.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return is_listed_before(a.first, b.first); });
    std::vector<std::string> members;
    for (const auto& [name, chain] : sorted) members.push_back(fmt::format("{} : jump {}", interface(name), chain));
    return fmt::format("iifname vmap {{ {} }}", joined(members, ", "));
}

void Chains::base(const std::string& chain, std::string_view hook) {
    chains_.try_emplace(chain, fmt::format("type {}; policy accept;", hook));
}

void Chains::rule(const std::string& chain, std::string line) {
    std::string& lines = chains_[chain];
    if (!lines.empty()) lines += '\n';
    lines += line;
}

}  // namespace ctl::model::nft

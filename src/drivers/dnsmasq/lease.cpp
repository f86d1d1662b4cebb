#include "drivers/dnsmasq/lease.h"

#include <charconv>
#include <ctime>

#include <fmt/format.h>

#include "base/text.h"
#include "model/ip.h"

namespace ctl::drivers::dnsmasq {

std::vector<Lease> parse_leases(std::string_view text) {
    std::vector<Lease> leases;
    // Without its line end a line may be half of one.
    const std::size_t whole = text.rfind('\n');
    if (whole == std::string_view::npos) return leases;
    for (const auto line : split(text.substr(0, whole), '\n')) {
        const auto words = split(line, ' ');
        // "duid …" parts the leases of DHCPv6 from the others.
        if (words.size() != 5 || !model::IpAddress::parse(words[2])) continue;
        Lease lease;
        const auto [end, failed] = std::from_chars(words[0].data(), words[0].data() + words[0].size(), lease.expires);
        if (failed != std::errc() || end != words[0].data() + words[0].size()) continue;
        lease.mac = words[1];
        lease.address = words[2];
        if (words[3] != "*") lease.name = words[3];
        if (words[4] != "*") lease.client = words[4];
        leases.push_back(std::move(lease));
    }
    return leases;
}

std::string to_text(const Lease& lease) {
    std::string text = fmt::format("{} {} {}", lease.address, lease.name.empty() ? "-" : lease.name, lease.mac);
    if (lease.expires == 0) return text;
    const auto when = static_cast<std::time_t>(lease.expires);
    std::tm utc{};
    if (::gmtime_r(&when, &utc) == nullptr) return text;
    return text + fmt::format(" until {:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                              utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace ctl::drivers::dnsmasq

#include "drivers/netlink/names.h"

#include <fmt/format.h>

#include "base/text.h"

namespace ctl::drivers::netlink {

namespace {

constexpr std::size_t netns_name_limit = 200;
constexpr std::size_t link_name_limit = 15;

bool is_plain(char c) { return c > ' ' && c != 0x7f && c != '/' && c != ':'; }

bool is_plain(std::string_view text) {
    if (text.empty() || text == "." || text == "..") return false;
    for (const char c : text)
        if (!is_plain(c)) return false;
    return true;
}

}  // namespace

Status check_netns_name(std::string_view name) {
    if (is_plain(name) && name.size() <= netns_name_limit) return ok();
    return Error(ErrorCode::invalid, fmt::format("{} can't be the name of a network namespace", ctl::quoted(name)));
}

Status check_link_name(const model::ScopedName& name) {
    if (!name.netns.empty()) CTL_TRY(check_netns_name(name.netns));
    if (is_plain(name.name) && name.name.size() <= link_name_limit) return ok();
    return Error(ErrorCode::invalid, fmt::format("{} can't be the name of a link", ctl::quoted(name.name)))
        .hint("use 1 to 15 characters without blanks, slashes and colons");
}

std::string route_name(std::string_view netns, const model::Cidr& destination) {
    const bool needs_scope = !netns.empty() || destination.address.family == model::IpAddress::Family::v6;
    return needs_scope ? fmt::format("{}:{}", netns, destination.str()) : destination.str();
}

std::string neighbour_name(const model::IpAddress& address) {
    return (address.family == model::IpAddress::Family::v6 ? ":" : "") + address.str();
}

std::string doing(const diff::Change& change) {
    using diff::Verb;
    const std::string verb = change.verb == Verb::remove   ? "deleting"
                             : change.verb == Verb::create ? "creating"
                             : change.verb == Verb::forget ? "giving back"
                                                           : "changing";
    return verb + " " + change.id.str();
}

}  // namespace ctl::drivers::netlink

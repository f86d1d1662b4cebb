#include "drivers/netlink/probe.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "drivers/netlink/link_requests.h"
#include "drivers/netlink/pins.h"
#include "drivers/netlink/socket.h"

namespace ctl::drivers::netlink {

namespace {

using model::Link;
using model::LinkType;

Status make_one(Socket& socket, const Link& link, int parent) {
    const Birth birth{"probe", -1, &link};
    const Request request =
        link.type == LinkType::veth ? veth_request(birth, {"probe-peer", -1, nullptr}) : birth_request(birth, parent);
    CTL_ASSIGN(const auto answers, socket.transact({&request, 1}));
    const Answer& answer = answers.front();
    if (answer.is_ok()) return ok();
    const std::string_view type = model::to_string(*link.type);
    return Error(ErrorCode::missing_driver, answer.as_error(fmt::format("this kernel makes no {} links", type)).message())
        .hint(fmt::format("load its module: modprobe rtnl-link-{}", type));
}

Status try_type(LinkType type) {
    if (::unshare(CLONE_NEWNET) != 0) return system_error(errno, "making a network namespace to try links in");
    CTL_ASSIGN(auto socket, Socket::open());
    Link link;
    link.type = type;
    int parent = 0;
    if (type == LinkType::vxlan) link.vni = 1;
    if (type == LinkType::gretap) link.remote = "192.0.2.1";
    if (type == LinkType::macvlan) {
        // It stands on another link; any will do, but loopback is refused.
        Link bridge;
        bridge.type = LinkType::bridge;
        const Request request = birth_request({"probe-parent", -1, &bridge}, 0);
        CTL_ASSIGN(const auto answers, socket.transact({&request, 1}));
        if (!answers.front().is_ok()) return ok();
        const std::array<std::string, 1> name{"probe-parent"};
        CTL_ASSIGN(const auto indexes, find_links(socket, name));
        parent = indexes.front();
    }
    return make_one(socket, link, parent);
}

}  // namespace

bool may_change_network() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    const auto has = [&](unsigned capability) {
        return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
    };
    return has(CAP_NET_ADMIN) && has(CAP_SYS_ADMIN);
}

const Status& KernelProbe::supports(LinkType type) {
    const auto known = known_.find(type);
    if (known != known_.end()) return known->second;
    Status& outcome = known_[type];
    in_own_thread([&] { outcome = try_type(type); });
    return outcome;
}

}  // namespace ctl::drivers::netlink

#include "drivers/netlink/probe.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "drivers/netlink/limits.h"
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
    if (type == LinkType::vlan) link.vlan = 1;
    if (type == LinkType::macvlan || type == LinkType::ipvlan || type == LinkType::vlan) {
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

struct Direction {
    std::string_view what;
    std::string_view modules;
};

Status try_limit(const Link& limit, const Direction& direction) {
    if (::unshare(CLONE_NEWNET) != 0) return system_error(errno, "making a network namespace to try limits in");
    CTL_ASSIGN(auto socket, Socket::open());
    LinkRecord loopback;
    loopback.index = 1;
    const auto requests = limit_requests(loopback, limit);
    CTL_ASSIGN(const auto answers, socket.transact(requests));
    for (const Answer& answer : answers) {
        if (answer.is_ok()) continue;
        const std::string doing = fmt::format("this kernel can't limit what a link {}", direction.what);
        return Error(ErrorCode::missing_driver, answer.as_error(doing).message())
            .hint(fmt::format("load its modules: modprobe -a {}", direction.modules));
    }
    return ok();
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

const Status& KernelProbe::limits_sending() {
    if (!limits_sending_) {
        Link limit;
        limit.send_limit = 8000;
        in_own_thread([&] { limits_sending_ = try_limit(limit, {"sends", "sch_htb"}); });
    }
    return *limits_sending_;
}

const Status& KernelProbe::limits_receiving() {
    if (!limits_receiving_) {
        Link limit;
        limit.receive_limit = 8000;
        in_own_thread([&] { limits_receiving_ = try_limit(limit, {"receives", "sch_ingress cls_u32 act_police"}); });
    }
    return *limits_receiving_;
}

}  // namespace ctl::drivers::netlink

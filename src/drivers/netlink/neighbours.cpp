#include "drivers/netlink/neighbours.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <tuple>

#include "drivers/netlink/names.h"
#include "drivers/netlink/snapshot.h"

namespace ctl::drivers::netlink {

Result<std::vector<NeighbourRecord>> read_neighbours(Socket& socket) {
    ndmsg wanted{};
    wanted.ndm_flags = NTF_PROXY;
    std::vector<NeighbourRecord> found;
    CTL_TRY(socket.dump(
        Request(RTM_GETNEIGH, NLM_F_DUMP, bytes_of(wanted)), [&] { found.clear(); },
        [&](const nlmsghdr* message) {
            const auto fixed = fixed_part<ndmsg>(message);
            const Attributes attributes(message, sizeof fixed);
            const auto address = address_from(attributes.get(NDA_DST));
            if (message->nlmsg_type != RTM_NEWNEIGH || (fixed.ndm_flags & NTF_PROXY) == 0 || !address) return;
            found.push_back({*address, fixed.ndm_ifindex, attributes.u8(NDA_PROTOCOL).value_or(0)});
        }));
    const auto key = [](const NeighbourRecord& n) { return std::tuple(n.address, n.protocol != our_protocol, n.link); };
    std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
    return found;
}

Request neighbour_request(unsigned type, const model::IpAddress& address, int link) {
    ndmsg fixed{};
    fixed.ndm_family = address.family == model::IpAddress::Family::v4 ? AF_INET : AF_INET6;
    fixed.ndm_ifindex = link;
    fixed.ndm_flags = NTF_PROXY;
    fixed.ndm_state = NUD_PERMANENT;
    const bool adds = type == RTM_NEWNEIGH;
    Request request(type, adds ? static_cast<unsigned>(NLM_F_CREATE | NLM_F_REPLACE) : 0U, bytes_of(fixed));
    request.bytes(NDA_DST, bytes_of(address));
    if (adds) request.u8(NDA_PROTOCOL, our_protocol);
    return request;
}

}  // namespace ctl::drivers::netlink

#include "drivers/netlink/limits.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "drivers/netlink/names.h"

namespace ctl::drivers::netlink {

namespace {

constexpr std::uint32_t our_qdisc = 0x199U << 16U;
constexpr std::uint32_t our_class = our_qdisc | 1U;
constexpr std::uint32_t ingress_qdisc = 0xffffU << 16U;
constexpr std::uint32_t our_preference = our_protocol;
constexpr std::uint64_t greatest_plain_rate = std::numeric_limits<std::uint32_t>::max();

// A packet may be as long as the kernel lets segments be joined; a policer that lets less through at once would drop them.
constexpr std::uint64_t longest_joined_packet = 64 * 1024;
constexpr std::uint32_t longest_packet_policed = 1U << 20U;
constexpr std::uint64_t usual_packet = 1600;

tcmsg traffic(int index, std::uint32_t parent = 0, std::uint32_t handle = 0, std::uint32_t info = 0) {
    tcmsg fixed{};
    fixed.tcm_family = AF_UNSPEC;
    fixed.tcm_ifindex = index;
    fixed.tcm_parent = parent;
    fixed.tcm_handle = handle;
    fixed.tcm_info = info;
    return fixed;
}

/// Preference and protocol of our filter, as its messages have them.
std::uint32_t filter_info() { return our_preference << 16U | htons(ETH_P_ALL); }

/// The kernel's scheduler counts time in units of 64 ns.
std::uint32_t ticks_for(std::uint64_t bytes, std::uint64_t bytes_a_second) {
    const double ticks = static_cast<double>(bytes) * 1e9 / 64 / static_cast<double>(bytes_a_second);
    return static_cast<std::uint32_t>(std::min<double>(ticks, std::numeric_limits<std::uint32_t>::max()));
}

tc_ratespec ratespec(std::uint64_t bytes_a_second) {
    tc_ratespec spec{};
    spec.rate = static_cast<std::uint32_t>(std::min(bytes_a_second, greatest_plain_rate));
    // Said outright, so that the kernel does not guess it from a table.
    spec.linklayer = TC_LINKLAYER_ETHERNET;
    spec.cell_log = 3;
    return spec;
}

void put_u64(Request& request, int attribute, std::uint64_t value) { request.bytes(attribute, bytes_of(value)); }

template <typename T>
std::optional<T> read_struct(Bytes bytes) {
    T value{};
    if (bytes.size() < sizeof value) return std::nullopt;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

std::int64_t bits(std::uint32_t plain, std::optional<std::uint64_t> wide) {
    return static_cast<std::int64_t>(wide.value_or(plain)) * 8;
}

/// A class shapes to its ceiling.
std::optional<std::int64_t> rate_of_class(const Attributes& attributes) {
    const Attributes options = attributes.nested(TCA_OPTIONS);
    const auto parameters = read_struct<tc_htb_opt>(options.get(TCA_HTB_PARMS));
    if (!parameters) return std::nullopt;
    return bits(parameters->ceil.rate, read_struct<std::uint64_t>(options.get(TCA_HTB_CEIL64)));
}

std::optional<std::int64_t> rate_of_filter(const Attributes& attributes) {
    const Attributes police = attributes.nested(TCA_OPTIONS).nested(TCA_U32_POLICE);
    const auto parameters = read_struct<tc_police>(police.get(TCA_POLICE_TBF));
    if (!parameters) return std::nullopt;
    return bits(parameters->rate.rate, read_struct<std::uint64_t>(police.get(TCA_POLICE_RATE64)));
}

Status read_qdiscs(Socket& socket, Snapshot& snapshot) {
    const auto forget = [&] {
        for (LinkRecord& link : snapshot.links) link.has_our_qdisc = link.has_ingress_qdisc = false;
    };
    return socket.dump(Request(RTM_GETQDISC, NLM_F_DUMP, bytes_of(traffic(0))), forget, [&](const nlmsghdr* message) {
        const auto fixed = fixed_part<tcmsg>(message);
        auto* link = const_cast<LinkRecord*>(snapshot.link(fixed.tcm_ifindex));
        if (message->nlmsg_type != RTM_NEWQDISC || link == nullptr) return;
        const std::string kind = Attributes(message, sizeof fixed).text(TCA_KIND);
        if (kind == "htb" && fixed.tcm_parent == TC_H_ROOT && fixed.tcm_handle == our_qdisc) link->has_our_qdisc = true;
        if (kind == "ingress") link->has_ingress_qdisc = true;
    });
}

Status read_class(Socket& socket, LinkRecord& link) {
    return socket.dump(
        Request(RTM_GETTCLASS, NLM_F_DUMP, bytes_of(traffic(link.index))), [&] { link.send_limit.reset(); },
        [&](const nlmsghdr* message) {
            const auto fixed = fixed_part<tcmsg>(message);
            if (message->nlmsg_type == RTM_NEWTCLASS && fixed.tcm_handle == our_class)
                link.send_limit = rate_of_class(Attributes(message, sizeof fixed));
        });
}

Status read_filter(Socket& socket, LinkRecord& link) {
    const auto forget = [&] {
        link.receive_limit.reset();
        link.has_our_filter = false;
    };
    return socket.dump(Request(RTM_GETTFILTER, NLM_F_DUMP, bytes_of(traffic(link.index, ingress_qdisc))), forget,
                       [&](const nlmsghdr* message) {
                           const auto fixed = fixed_part<tcmsg>(message);
                           if (message->nlmsg_type != RTM_NEWTFILTER || fixed.tcm_info != filter_info()) return;
                           link.has_our_filter = true;
                           if (const auto rate = rate_of_filter(Attributes(message, sizeof fixed)))
                               link.receive_limit = rate;
                       });
}

Request police_request(int index, std::uint64_t rate) {
    tc_police police{};
    police.action = TC_POLICE_SHOT;
    police.rate = ratespec(rate);
    police.burst = ticks_for(std::max(rate / 5, longest_joined_packet), rate);
    police.mtu = longest_packet_policed;
    // One key whose mask is empty: every packet.
    tc_u32_sel selection{};
    selection.flags = TC_U32_TERMINAL;
    selection.nkeys = 1;
    std::array<std::byte, sizeof selection + sizeof(tc_u32_key)> everything{};
    std::memcpy(everything.data(), &selection, sizeof selection);
    // The kernel wants a table of times by size to be there, though it looks into it no more.
    constexpr std::array<std::uint32_t, 256> table{};
    Request request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, bytes_of(traffic(index, ingress_qdisc, 0, filter_info())));
    request.text(TCA_KIND, "u32");
    request.nest(TCA_OPTIONS, [&](Request& options) {
        options.bytes(TCA_U32_SEL, bytes_of(everything));
        options.nest(TCA_U32_POLICE, [&](Request& action) {
            action.bytes(TCA_POLICE_TBF, bytes_of(police)).bytes(TCA_POLICE_RATE, bytes_of(table));
            if (rate > greatest_plain_rate) put_u64(action, TCA_POLICE_RATE64, rate);
        });
    });
    return request;
}

Request class_request(int index, std::uint64_t rate) {
    tc_htb_opt options{};
    options.rate = options.ceil = ratespec(rate);
    options.buffer = options.cbuffer = ticks_for(rate / 100 + usual_packet, rate);
    options.quantum = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(rate / 10, usual_packet, 200'000));
    Request request(RTM_NEWTCLASS, NLM_F_CREATE, bytes_of(traffic(index, our_qdisc, our_class)));
    request.text(TCA_KIND, "htb");
    request.nest(TCA_OPTIONS, [&](Request& data) {
        data.bytes(TCA_HTB_PARMS, bytes_of(options));
        if (rate <= greatest_plain_rate) return;
        put_u64(data, TCA_HTB_RATE64, rate);
        put_u64(data, TCA_HTB_CEIL64, rate);
    });
    return request;
}

/// A limit that is there changes without a packet being lost.
void limit_sending(const LinkRecord& link, std::int64_t rate, std::vector<Request>& requests) {
    const tcmsg root = traffic(link.index, TC_H_ROOT, our_qdisc);
    if (rate == 0) {
        if (link.has_our_qdisc) requests.emplace_back(RTM_DELQDISC, 0U, bytes_of(root));
        return;
    }
    if (!link.has_our_qdisc) {
        tc_htb_glob global{};
        global.version = 3;
        global.rate2quantum = 10;
        global.defcls = our_class & 0xffffU;
        Request& request =
            requests.emplace_back(RTM_NEWQDISC, static_cast<unsigned>(NLM_F_CREATE | NLM_F_REPLACE), bytes_of(root));
        request.text(TCA_KIND, "htb");
        request.nest(TCA_OPTIONS, [&](Request& options) { options.bytes(TCA_HTB_INIT, bytes_of(global)); });
    }
    requests.push_back(class_request(link.index, static_cast<std::uint64_t>(rate) / 8));
}

/// Nothing is limited between two requests of one stream when a limit changes. The ingress qdisc stays for others' filters.
void limit_receiving(const LinkRecord& link, std::int64_t rate, std::vector<Request>& requests) {
    if (link.has_our_filter)
        requests.emplace_back(RTM_DELTFILTER, 0U, bytes_of(traffic(link.index, ingress_qdisc, 0, filter_info())));
    if (rate == 0) return;
    if (!link.has_ingress_qdisc)
        requests
            .emplace_back(RTM_NEWQDISC, static_cast<unsigned>(NLM_F_CREATE | NLM_F_EXCL),
                          bytes_of(traffic(link.index, TC_H_INGRESS, ingress_qdisc)))
            .text(TCA_KIND, "ingress");
    requests.push_back(police_request(link.index, static_cast<std::uint64_t>(rate) / 8));
}

}  // namespace

Status read_limits(Socket& socket, Snapshot& snapshot) {
    CTL_TRY(read_qdiscs(socket, snapshot));
    for (LinkRecord& link : snapshot.links) {
        if (link.has_our_qdisc) CTL_TRY(read_class(socket, link));
        if (link.has_ingress_qdisc) CTL_TRY(read_filter(socket, link));
    }
    return ok();
}

std::vector<Request> limit_requests(const LinkRecord& now, const model::Link& wanted) {
    std::vector<Request> requests;
    if (wanted.send_limit && *wanted.send_limit != now.send_limit.value_or(0))
        limit_sending(now, *wanted.send_limit, requests);
    if (wanted.receive_limit && *wanted.receive_limit != now.receive_limit.value_or(0))
        limit_receiving(now, *wanted.receive_limit, requests);
    return requests;
}

bool is_about_limits(const nlmsghdr* message) {
    const auto fixed = fixed_part<tcmsg>(message);
    switch (message->nlmsg_type) {
        case RTM_NEWQDISC:
        case RTM_DELQDISC: {
            const std::string kind = Attributes(message, sizeof fixed).text(TCA_KIND);
            return kind == "ingress" || fixed.tcm_handle == our_qdisc;
        }
        case RTM_NEWTCLASS:
        case RTM_DELTCLASS: return fixed.tcm_handle == our_class;
        case RTM_NEWTFILTER:
        case RTM_DELTFILTER: return fixed.tcm_info == filter_info();
        default: return false;
    }
}

}  // namespace ctl::drivers::netlink

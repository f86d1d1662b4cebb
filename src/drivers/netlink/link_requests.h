#pragma once

#include "drivers/netlink/message.h"
#include "drivers/netlink/snapshot.h"
#include "model/object.h"

namespace ctl::drivers::netlink {

/// One link to be born: its name, the descriptor of the namespace it is born in (-1: the socket's own) and what it shall be.
struct Birth {
    std::string name;
    int netns = -1;
    const model::Link* link = nullptr;  ///< MTU, MAC and the type's own settings; may be null for a veth's other end
};

/// Creates any link but a veth pair. `parent` is an index in the socket's namespace, 0 for none.
[[nodiscard]] Request birth_request(const Birth& birth, int parent);
/// Creates both ends of a veth pair.
[[nodiscard]] Request veth_request(const Birth& near, const Birth& far);

/// What is to be set on a link that is there. Absent: left as it is.
struct LinkSettings {
    std::optional<std::string> alias;
    std::optional<unsigned> group;
    std::optional<int> master;  ///< index; 0 for none
    model::Link link;           ///< mtu, mac, up and, with `kind`, the type's own
};
/// Nothing if it is all so already.
[[nodiscard]] std::optional<Request> change_request(const LinkRecord& now, const LinkSettings& wanted);

/// Keeps a bridge's port from the other isolated ones, or lets it to them again.
[[nodiscard]] Request isolation_request(int index, bool isolated);

/// Moves a link to another namespace, by its descriptor, under that name there.
[[nodiscard]] Request move_request(int index, int netns, const std::string& name);

[[nodiscard]] Request group_request(int index, unsigned group);
[[nodiscard]] Request delete_request(int index);
/// Deletes all links of a group. Group 0 is everybody's and refused by an assertion.
[[nodiscard]] Request delete_group_request(unsigned group);

[[nodiscard]] Request add_address_request(int index, const model::Cidr& address);
[[nodiscard]] Request delete_address_request(int index, const model::Cidr& address);
/// When an IPv4 address of the link is deleted, the next one of its subnet takes its place instead of going with it.
[[nodiscard]] Request promote_secondaries_request(int index);

/// Six bytes of a MAC address as text; nothing if it is none.
[[nodiscard]] std::optional<std::array<std::byte, 6>> mac_bytes(const std::string& text);

}  // namespace ctl::drivers::netlink

#include "drivers/ovs/datapath.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/fd.h"

namespace ctl::drivers::ovs {

namespace {

constexpr char family[] = "ovs_datapath";

/// "Which number has the family ovs_datapath?"
struct Question {
    nlmsghdr header;
    genlmsghdr command;
    nlattr attribute;
    std::array<char, NLA_ALIGN(sizeof family)> name;
};

}  // namespace

bool kernel_has_datapath() {
    const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
    if (!socket) return false;
    Question question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = GENL_ID_CTRL;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.command.cmd = CTRL_CMD_GETFAMILY;
    question.command.version = 1;
    question.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
    question.attribute.nla_len = NLA_HDRLEN + sizeof family;
    std::memcpy(question.name.data(), family, sizeof family);
    if (::send(socket.get(), &question, sizeof question, 0) != sizeof question) return false;
    alignas(nlmsghdr) std::array<char, 4096> answer{};
    const ssize_t size = ::recv(socket.get(), answer.data(), answer.size(), 0);
    if (size < static_cast<ssize_t>(sizeof(nlmsghdr))) return false;
    nlmsghdr header{};
    std::memcpy(&header, answer.data(), sizeof header);
    return header.nlmsg_type != NLMSG_ERROR;
}

}  // namespace ctl::drivers::ovs

#include "drivers/netlink/message.h"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstring>
#include <new>

namespace ctl::drivers::netlink {

namespace {

// The longest request is a policer, whose table alone has 1024 bytes.
constexpr std::size_t request_capacity = 1536;

/// libnl says "no" only when the message is full, and none of ours can be.
void expect(int outcome) {
    if (outcome < 0) throw std::bad_alloc();
}

template <typename T>
std::optional<T> read(Bytes value) {
    if (value.data() == nullptr || value.size() < sizeof(T)) return std::nullopt;
    T result;
    std::memcpy(&result, value.data(), sizeof result);
    return result;
}

}  // namespace

void Request::Free::operator()(nl_msg* message) const { nlmsg_free(message); }

Request::Request(unsigned type, unsigned flags, Bytes fixed) : message_(nlmsg_alloc_size(request_capacity)) {
    if (!message_ ||
        nlmsg_put(message_.get(), 0, 0, static_cast<int>(type), 0, static_cast<int>(flags | NLM_F_REQUEST)) == nullptr)
        throw std::bad_alloc();
    raw(fixed);
}

Request& Request::u8(int attribute, std::uint8_t value) {
    expect(nla_put_u8(message_.get(), attribute, value));
    return *this;
}

Request& Request::u16(int attribute, std::uint16_t value) {
    expect(nla_put_u16(message_.get(), attribute, value));
    return *this;
}

Request& Request::u32(int attribute, std::uint32_t value) {
    expect(nla_put_u32(message_.get(), attribute, value));
    return *this;
}

Request& Request::text(int attribute, std::string_view value) {
    expect(nla_put_string(message_.get(), attribute, std::string(value).c_str()));
    return *this;
}

Request& Request::bytes(int attribute, Bytes value) {
    expect(nla_put(message_.get(), attribute, static_cast<int>(value.size()), value.data()));
    return *this;
}

Request& Request::raw(Bytes value) {
    // libnl only reads from the buffer; its signature is older than const.
    expect(nlmsg_append(message_.get(), const_cast<std::byte*>(value.data()), value.size(), NLMSG_ALIGNTO));
    return *this;
}

void* Request::begin_nest(int attribute) {
    nlattr* start = nla_nest_start(message_.get(), attribute);
    if (start == nullptr) throw std::bad_alloc();
    return start;
}

void Request::end_nest(void* start) { nla_nest_end(message_.get(), static_cast<nlattr*>(start)); }

nlmsghdr* Request::header() const { return nlmsg_hdr(message_.get()); }

Attributes::Attributes(const nlmsghdr* message, std::size_t fixed_size) {
    const std::size_t skip = NLMSG_ALIGN(fixed_size);
    const std::size_t size = static_cast<std::size_t>(nlmsg_datalen(message));
    if (size > skip) *this = Attributes(Bytes(static_cast<const std::byte*>(nlmsg_data(message)) + skip, size - skip));
}

Attributes::Attributes(Bytes payload) {
    const auto* attribute = reinterpret_cast<const nlattr*>(payload.data());
    int left = static_cast<int>(payload.size());
    for (; left > 0 && nla_ok(attribute, left); attribute = nla_next(attribute, &left)) {
        const auto type = static_cast<unsigned>(nla_type(attribute));
        if (type >= table_.size()) continue;
        table_[type] =
            Bytes(static_cast<const std::byte*>(nla_data(attribute)), static_cast<std::size_t>(nla_len(attribute)));
    }
}

std::optional<std::uint8_t> Attributes::u8(unsigned attribute) const { return read<std::uint8_t>(get(attribute)); }
std::optional<std::uint16_t> Attributes::u16(unsigned attribute) const { return read<std::uint16_t>(get(attribute)); }
std::optional<std::uint32_t> Attributes::u32(unsigned attribute) const { return read<std::uint32_t>(get(attribute)); }

std::string Attributes::text(unsigned attribute) const {
    const Bytes value = get(attribute);
    const auto* begin = reinterpret_cast<const char*>(value.data());
    return begin == nullptr ? std::string{} : std::string(begin, strnlen(begin, value.size()));
}

template <typename T>
T fixed_part(const nlmsghdr* message) {
    T part{};
    if (static_cast<std::size_t>(nlmsg_datalen(message)) >= sizeof part)
        std::memcpy(&part, nlmsg_data(message), sizeof part);
    return part;
}

template ifinfomsg fixed_part(const nlmsghdr*);
template ifaddrmsg fixed_part(const nlmsghdr*);
template rtmsg fixed_part(const nlmsghdr*);
template ndmsg fixed_part(const nlmsghdr*);
template tcmsg fixed_part(const nlmsghdr*);
template rtgenmsg fixed_part(const nlmsghdr*);

}  // namespace ctl::drivers::netlink

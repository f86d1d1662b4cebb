#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct nl_msg;
struct nlmsghdr;

namespace ctl::drivers::netlink {

using Bytes = std::span<const std::byte>;

/// The bytes of a plain struct.
template <typename T>
[[nodiscard]] Bytes bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

/// A netlink request in the making: header, fixed part, attributes. Attributes are put in the order of the calls.
class Request {
public:
    /// `type` is RTM_…, `flags` are NLM_F_… (NLM_F_REQUEST is added), `fixed` the ifinfomsg, ifaddrmsg, rtmsg, ….
    Request(unsigned type, unsigned flags, Bytes fixed);

    Request& u8(int attribute, std::uint8_t value);
    Request& u16(int attribute, std::uint16_t value);
    Request& u32(int attribute, std::uint32_t value);
    Request& text(int attribute, std::string_view value);  ///< with a final NUL
    Request& bytes(int attribute, Bytes value);
    Request& raw(Bytes value);  ///< a fixed part inside a nest (veth's peer)

    /// Runs `fill` and wraps what it put into one nested attribute.
    template <typename Fill>
    Request& nest(int attribute, const Fill& fill) {
        void* start = begin_nest(attribute);
        fill(*this);
        end_nest(start);
        return *this;
    }

    [[nodiscard]] nlmsghdr* header() const;

private:
    struct Free {
        void operator()(nl_msg* message) const;
    };
    void* begin_nest(int attribute);
    void end_nest(void* start);

    std::unique_ptr<nl_msg, Free> message_;
};

/// The attributes of a received message; values are views into the receive buffer. Short values read as absent.
class Attributes {
public:
    Attributes() = default;
    /// Attributes after a message's fixed part of `fixed_size` bytes.
    Attributes(const nlmsghdr* message, std::size_t fixed_size);
    explicit Attributes(Bytes payload);

    [[nodiscard]] bool has(unsigned attribute) const { return get(attribute).data() != nullptr; }
    [[nodiscard]] Bytes get(unsigned attribute) const { return attribute < table_.size() ? table_[attribute] : Bytes{}; }
    [[nodiscard]] std::optional<std::uint8_t> u8(unsigned attribute) const;
    [[nodiscard]] std::optional<std::uint16_t> u16(unsigned attribute) const;
    [[nodiscard]] std::optional<std::uint32_t> u32(unsigned attribute) const;
    [[nodiscard]] std::string text(unsigned attribute) const;  ///< up to the first NUL; "" when absent
    [[nodiscard]] Attributes nested(unsigned attribute) const { return Attributes(get(attribute)); }

private:
    std::array<Bytes, 80> table_{};
};

/// A message's fixed part; zeros where the message is too short.
template <typename T>
[[nodiscard]] T fixed_part(const nlmsghdr* message);

}  // namespace ctl::drivers::netlink

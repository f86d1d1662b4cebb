#include "drivers/dnsmasq/release.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"
#include "model/ip.h"

namespace ctl::drivers::dnsmasq {

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint16_t server_port = 67;
// RFC 2131's fixed part: op, htype, hlen, hops, xid, secs, flags, four addresses, chaddr, sname, file.
constexpr std::size_t client_address_at = 12;
constexpr std::size_t hardware_address_at = 28;
constexpr std::size_t options_at = 236;

/// "00:16:3e" as three bytes; empty for anything else.
Bytes hex_bytes(std::string_view text) {
    Bytes bytes;
    for (const auto part : split(text, ':')) {
        std::uint8_t byte = 0;
        const auto [end, failed] = std::from_chars(part.data(), part.data() + part.size(), byte, 16);
        if (part.size() != 2 || failed != std::errc() || end != part.data() + part.size()) return {};
        bytes.push_back(byte);
    }
    return bytes;
}

std::optional<model::IpAddress> v4_address(const std::string& text) {
    const auto address = model::IpAddress::parse(text);
    return address && address->family == model::IpAddress::Family::v4 ? address : std::nullopt;
}

void add_option(Bytes& message, std::uint8_t code, std::span<const std::uint8_t> value) {
    message.push_back(code);
    message.push_back(static_cast<std::uint8_t>(value.size()));
    message.insert(message.end(), value.begin(), value.end());
}

Bytes release_message(const model::IpAddress& address, const Bytes& mac, const Bytes& client,
                      const model::IpAddress& server) {
    constexpr std::array<std::uint8_t, 4> cookie{0x63, 0x82, 0x53, 0x63};
    constexpr std::array<std::uint8_t, 1> release{7};
    Bytes message(options_at, 0);
    message[0] = 1;  // request
    message[1] = 1;  // Ethernet
    message[2] = static_cast<std::uint8_t>(mac.size());
    std::copy_n(address.bytes.begin(), 4, message.begin() + client_address_at);
    std::copy(mac.begin(), mac.end(), message.begin() + hardware_address_at);
    message.insert(message.end(), cookie.begin(), cookie.end());
    add_option(message, 53, release);
    add_option(message, 54, std::span(server.bytes).first(4));
    if (!client.empty() && client.size() < 256) add_option(message, 61, client);
    message.push_back(255);
    return message;
}

}  // namespace

Status release_lease(const Lease& lease, const std::string& server) {
    const auto address = v4_address(lease.address);
    const auto destination = v4_address(server);
    const Bytes mac = hex_bytes(lease.mac);
    if (!address || !destination || mac.size() != 6)
        return Error(ErrorCode::invalid, fmt::format("{} is no lease of IPv4", ctl::quoted(to_text(lease))));
    const Bytes message = release_message(*address, mac, hex_bytes(lease.client), *destination);

    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return system_error(errno, "open a socket");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server_port);
    std::copy_n(destination->bytes.begin(), 4, reinterpret_cast<std::uint8_t*>(&to.sin_addr));
    const ssize_t sent =
        ::sendto(socket.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (sent != static_cast<ssize_t>(message.size()))
        return system_error(errno, fmt::format("give back the lease of {}", lease.address));
    return ok();
}

}  // namespace ctl::drivers::dnsmasq

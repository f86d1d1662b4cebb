#pragma once

#include <map>
#include <memory>
#include <string>

#include "drivers/netlink/pins.h"
#include "drivers/netlink/socket.h"

namespace ctl::drivers::netlink {

/// A network namespace we look into: the host's own (name "") or a pinned one, with a socket that is kept.
struct Scope {
    Pins::Pin pin;
    Fd netns;
    Socket socket;
    int number = -1;  ///< what the host calls this namespace in its link messages; -1 for the host itself
};

/// All scopes that there are, kept from one call to the next. A namespace that was made anew gets a new socket.
class Scopes {
public:
    explicit Scopes(std::string run_dir) : pins_(std::move(run_dir)) {}

    /// Opens what has come, closes what has gone.
    [[nodiscard]] Status refresh();
    /// The same for one namespace only.
    [[nodiscard]] Status refresh(const std::string& name);

    [[nodiscard]] const Pins& pins() const { return pins_; }
    /// "" is the host. Null if it isn't there.
    [[nodiscard]] Scope* find(const std::string& name);
    [[nodiscard]] Scope& host() { return *host_; }
    [[nodiscard]] const Scope* by_number(int number) const;
    [[nodiscard]] std::map<std::string, std::unique_ptr<Scope>>& pinned() { return pinned_; }
    /// Closes what keeps the namespace alive.
    void close(const std::string& name) { pinned_.erase(name); }

private:
    [[nodiscard]] Status open_host();
    [[nodiscard]] Status open(std::vector<Pins::Pin> pins);
    [[nodiscard]] Status number(std::span<Scope* const> scopes);

    Pins pins_;
    std::unique_ptr<Scope> host_;
    std::map<std::string, std::unique_ptr<Scope>> pinned_;
};

/// Writes net.ipv6.conf.NAME.disable_ipv6 of the calling thread's network namespace. A kernel without IPv6 has nothing to
/// switch off.
[[nodiscard]] Status write_ipv6(const std::string& link, bool enabled);

}  // namespace ctl::drivers::netlink

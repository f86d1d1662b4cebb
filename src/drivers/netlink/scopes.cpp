#include "drivers/netlink/scopes.h"

#include <fcntl.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include <cerrno>

namespace ctl::drivers::netlink {

namespace {

constexpr std::uint32_t any_number = 0xffffffff;  // "choose one": -1 as the kernel reads it

Request number_request(unsigned type, const Fd& netns) {
    Request request(type, 0, bytes_of(rtgenmsg{}));
    request.u32(NETNSA_FD, static_cast<std::uint32_t>(netns.get()));
    if (type == RTM_NEWNSID) request.u32(NETNSA_NSID, any_number);
    return request;
}

}  // namespace

Status Scopes::open_host() {
    if (host_) return ok();
    Fd netns(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!netns) return system_error(errno, "opening /proc/thread-self/ns/net");
    CTL_ASSIGN(auto socket, Socket::open());
    host_ = std::make_unique<Scope>(Scope{{}, std::move(netns), std::move(socket), -1});
    return ok();
}

Status Scopes::refresh() {
    CTL_TRY(open_host());
    CTL_ASSIGN(auto pins, pins_.list());
    std::map<std::string, std::unique_ptr<Scope>> kept;
    std::vector<Pins::Pin> fresh;
    for (auto& pin : pins) {
        const auto known = pinned_.find(pin.name);
        if (known == pinned_.end() || known->second->pin.inode != pin.inode) {
            fresh.push_back(std::move(pin));
            continue;
        }
        known->second->pin = pin;
        kept.insert(pinned_.extract(known));
    }
    pinned_ = std::move(kept);
    return open(std::move(fresh));
}

Status Scopes::refresh(const std::string& name) {
    CTL_TRY(open_host());
    if (name.empty()) return ok();
    auto pin = pins_.find(name);
    const auto known = pinned_.find(name);
    if (pin && known != pinned_.end() && known->second->pin.inode == pin->inode) {
        known->second->pin = *pin;
        return ok();
    }
    pinned_.erase(name);
    if (!pin) return ok();
    std::vector<Pins::Pin> fresh;
    fresh.push_back(std::move(*pin));
    return open(std::move(fresh));
}

Status Scopes::open(std::vector<Pins::Pin> pins) {
    if (pins.empty()) return ok();
    Status outcome;
    std::vector<Scope*> opened;
    const auto open_one = [&](Pins::Pin& pin) -> Status {
        auto netns = pins_.open(pin.name);
        // It may have gone since it was listed.
        if (!netns && netns.error().code() == ErrorCode::not_found) return ok();
        if (!netns) return std::move(netns).error();
        CTL_TRY(enter(*netns));
        CTL_ASSIGN(auto socket, Socket::open());
        const std::string name = pin.name;
        auto& place = pinned_[name];
        place = std::make_unique<Scope>(Scope{std::move(pin), std::move(*netns), std::move(socket), -1});
        opened.push_back(place.get());
        return ok();
    };
    in_own_thread([&] {
        for (auto& pin : pins)
            if (outcome = open_one(pin); !outcome) return;
    });
    CTL_TRY(outcome);
    return number(opened);
}

Status Scopes::number(std::span<Scope* const> scopes) {
    std::vector<Request> requests;
    // A namespace without a number could not be heard by the event socket. EEXIST: it has one.
    for (const Scope* scope : scopes) requests.push_back(number_request(RTM_NEWNSID, scope->netns));
    for (const Scope* scope : scopes) requests.push_back(number_request(RTM_GETNSID, scope->netns));
    CTL_ASSIGN(const auto answers, host_->socket.transact(requests, [&](std::size_t i, const nlmsghdr* message) {
        if (message->nlmsg_type != RTM_NEWNSID || i < scopes.size()) return;
        const auto number = Attributes(message, sizeof(rtgenmsg)).u32(NETNSA_NSID);
        if (number) scopes[i - scopes.size()]->number = static_cast<int>(*number);
    }));
    for (std::size_t i = 0; i < scopes.size(); ++i)
        if (!answers[i].is_ok() && answers[i].error != EEXIST)
            return answers[i].as_error("numbering the network namespace " + scopes[i]->pin.name);
    return ok();
}

Scope* Scopes::find(const std::string& name) {
    if (name.empty()) return host_.get();
    const auto found = pinned_.find(name);
    return found != pinned_.end() ? found->second.get() : nullptr;
}

const Scope* Scopes::by_number(int number) const {
    for (const auto& [name, scope] : pinned_)
        if (scope->number == number) return scope.get();
    return nullptr;
}

Status write_ipv6(const std::string& link, bool enabled) {
    const std::string path = "/proc/sys/net/ipv6/conf/" + link + "/disable_ipv6";
    const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file && errno == ENOENT && !enabled) return ok();
    if (!file) return system_error(errno, "opening " + path);
    if (::write(file.get(), enabled ? "0" : "1", 1) != 1) return system_error(errno, "writing " + path);
    return ok();
}

}  // namespace ctl::drivers::netlink

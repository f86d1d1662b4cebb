#include "drivers/ovs/switches.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "drivers/ovs/ovs_shim.h"

namespace ctl::drivers::ovs {

namespace {

constexpr std::uint64_t our_cookies = 0x63746C0000000000U;  // "ctl"
constexpr std::uint64_t our_cookies_mask = 0xFFFFFF0000000000U;
constexpr std::int64_t patience = 10'000;  // milliseconds

std::string directory_of(const std::string& database) {
    const std::size_t colon = database.find(':');
    const std::size_t slash = database.rfind('/');
    if (colon == std::string::npos || slash == std::string::npos || slash < colon) return "/var/run/openvswitch";
    return database.substr(colon + 1, slash - colon - 1);
}

}  // namespace

std::uint64_t flow_cookie(const std::string& network) { return our_cookies | (stable_hash(network) & ~our_cookies_mask); }

Switches::Switches(const std::string& database, const std::atomic<bool>& is_watched)
    : directory_(directory_of(database)), is_watched_(is_watched) {}

Status Switches::checked(const std::string& bridge, int failure) {
    if (failure == 0) return ok();
    const auto found = open_.find(bridge);
    const std::string complaint =
        found != open_.end() ? ctl_switch_complaint(found->second.connection.get()) : std::string();
    open_.erase(bridge);
    switch (failure) {
        case ENOENT:
        case ECONNREFUSED:
            return Error(ErrorCode::not_found,
                         fmt::format("nobody answers for the bridge {} of Open vSwitch", quoted(bridge)))
                .hint("is ovs-vswitchd running? systemctl status openvswitch-switch");
        case EPROTO:
            return Error(ErrorCode::unsupported, fmt::format("the bridge {} does not speak OpenFlow 1.4", quoted(bridge)))
                .hint(fmt::format("allow it: ovs-vsctl clear bridge {} protocols", escaped(bridge)));
        case ETIMEDOUT:
            return Error(ErrorCode::timeout, fmt::format("no answer from the bridge {} of Open vSwitch", quoted(bridge)));
        case EINVAL:
            return Error(ErrorCode::invalid,
                         fmt::format("the bridge {} refuses a flow: {}", quoted(bridge), escaped(complaint)));
        default: return system_error(failure, fmt::format("speaking to the bridge {} of Open vSwitch", quoted(bridge)));
    }
}

Result<ctl_switch*> Switches::connect(const std::string& bridge, const PortNumbers& ports, std::int64_t deadline) {
    auto found = open_.find(bridge);
    // It may have been closed since it was used last: the bridge was made anew, or ovs-vswitchd was.
    if (found != open_.end() && ctl_switch_run(found->second.connection.get()) < 0) {
        open_.erase(found);
        found = open_.end();
    }
    if (found == open_.end()) {
        ctl_switch* made = nullptr;
        const std::string target = fmt::format("unix:{}/{}.mgmt", directory_, bridge);
        CTL_TRY(checked(bridge, ctl_switch_open(target.c_str(), deadline, &made)));
        found = open_.emplace(bridge, Open{std::unique_ptr<ctl_switch, Close>(made)}).first;
    }
    Open& open = found->second;
    ctl_switch* connection = open.connection.get();
    if (is_watched_ && !open.is_subscribed) {
        CTL_TRY(checked(bridge, ctl_switch_subscribe(connection, our_cookies, our_cookies_mask, deadline)));
        open.is_subscribed = true;
    }
    ctl_switch_forget_ports(connection);
    for (const auto& [name, number] : ports) ctl_switch_name_port(connection, name.c_str(), number);
    return connection;
}

Result<FlowTexts> Switches::read(const std::string& bridge, const PortNumbers& ports) {
    const std::int64_t deadline = ctl_ovs_now() + patience;
    CTL_ASSIGN(ctl_switch* const connection, connect(bridge, ports, deadline));
    FlowTexts texts;
    const auto take = [](void* all, std::uint64_t cookie, const char* text) {
        (*static_cast<FlowTexts*>(all))[cookie].emplace_back(text);
    };
    CTL_TRY(checked(bridge, ctl_switch_visit_flows(connection, our_cookies, our_cookies_mask, deadline, take, &texts)));
    for (auto& [cookie, flows] : texts) std::sort(flows.begin(), flows.end());
    return texts;
}

Status Switches::replace(const std::string& bridge, const PortNumbers& ports, std::uint64_t cookie,
                         const std::vector<std::string>& flows) {
    const std::int64_t deadline = ctl_ovs_now() + patience;
    CTL_ASSIGN(ctl_switch* const connection, connect(bridge, ports, deadline));
    std::vector<const char*> texts;
    for (const auto& flow : flows) texts.push_back(flow.c_str());
    return checked(bridge, ctl_switch_replace_flows(connection, cookie, texts.data(), texts.size(), deadline));
}

bool Switches::run() {
    bool changed = false;
    for (auto it = open_.begin(); it != open_.end();) {
        const int news = ctl_switch_run(it->second.connection.get());
        changed = changed || news != 0;
        it = news < 0 ? open_.erase(it) : std::next(it);
    }
    return changed;
}

void Switches::wait() const {
    for (const auto& [name, open] : open_) ctl_switch_wait(open.connection.get());
}

}  // namespace ctl::drivers::ovs

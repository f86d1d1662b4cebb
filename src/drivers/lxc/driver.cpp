#include "drivers/lxc/driver.h"

#include <dirent.h>
#include <lxc/lxccontainer.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "drivers/lxc/changes.h"
#include "drivers/lxc/config_file.h"
#include "drivers/lxc/devices.h"
#include "drivers/lxc/facts.h"
#include "drivers/lxc/limits.h"
#include "drivers/lxc/modules.h"
#include "drivers/lxc/mounts.h"
#include "drivers/lxc/subordinate_ids.h"
#include "drivers/lxc/usage.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using model::ObjectKind;

/// More at once gain nothing: the kernel's own locks are the limit.
constexpr std::size_t workers_at_most = 4;

std::set<std::string> container_names(const std::string& lxcpath) {
    std::set<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator it(lxcpath, error), end; !error && it != end; it.increment(error)) {
        std::string name = it->path().filename().native();
        if (lxc::is_container_name(name)) names.insert(std::move(name));
    }
    return names;
}

bool has_user_namespaces() {
    const auto most = read_file("/proc/sys/user/max_user_namespaces");
    return ::access("/proc/self/ns/user", F_OK) == 0 && (!most || trimmed(*most) != "0");
}

/// liblxc says so of whole keys only; behind some it takes any name: lxc.prlimit.nofile, lxc.sysctl.net.core.somaxconn.
bool is_liblxc_key(const std::string& key) {
    if (::lxc_config_item_is_supported(key.c_str())) return true;
    constexpr std::array open_ended{"lxc.prlimit", "lxc.sysctl", "lxc.proc", "lxc.cgroup", "lxc.cgroup2"};
    return std::any_of(open_ended.begin(), open_ended.end(), [&](const char* prefix) {
        return key.starts_with(fmt::format("{}.", prefix)) && ::lxc_config_item_is_supported(prefix);
    });
}

/// /etc/subuid and /etc/subgid bound what root may give away.
Status check_ids(const model::Container& container) {
    for (const char* file : {"/etc/subuid", "/etc/subgid"})
        if (const auto table = read_file(file))
            CTL_TRY(lxc::check_subordinate_ids(container.idmap.value_or("none"), *table, file));
    return ok();
}

class LxcDriver final : public Driver {
public:
    explicit LxcDriver(const DriverContext& context)
        : host_{.paths = {{context.state_dir + "/containers", context.run_dir, context.helper_dir}},
                .monitors = lxc::Monitors(context.state_dir + "/containers"),
                .cgroups = lxc::Cgroups::find()} {}

    [[nodiscard]] const DriverInfo& info() const override { return info_; }

    [[nodiscard]] Result<model::HostState> observe(const Interest& interest, std::stop_token stop) override {
        std::set<std::string> names;
        if (interest.all) names = container_names(host_.paths.lxcpath);
        for (const auto& id : interest.ids)
            if (id.kind == ObjectKind::container && lxc::is_container_name(id.name)) names.insert(id.name);
        const auto running = host_.monitors.running(names);

        model::HostState state;
        for (const auto& name : names) {
            if (stop.stop_requested()) return Error(ErrorCode::cancelled, "observing containers was interrupted");
            auto entry = lxc::observe_container(host_, name, running.contains(name));
            if (entry) state.emplace(model::ObjectId{ObjectKind::container, name}, *std::move(entry));
            else if (entry.error().code() != ErrorCode::not_found)
                return std::move(entry).error().while_(fmt::format("observing container/{}", name));
        }
        return state;
    }

    [[nodiscard]] std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        for (const auto& change : changes)
            if (auto fault = check(change); !fault) errors.push_back(diff::refusal(std::move(fault).error(), change));
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        const Status ready = make_directories();
        std::atomic<std::size_t> next = 0;
        const auto work = [&] {
            for (std::size_t i = next++; i < changes.size(); i = next++) {
                if (!ready) report(i, ready);
                else if (stop.stop_requested()) report(i, Error(ErrorCode::cancelled, "interrupted before it began"));
                else report(i, lxc::apply_change(host_, changes[i]));
            }
        };
        {
            std::vector<std::jthread> workers;
            for (std::size_t i = 1; i < std::min(workers_at_most, changes.size()); ++i) workers.emplace_back(work);
            work();
        }
        host_.cgroups.tidy();
    }

    [[nodiscard]] Result<std::map<model::ObjectId, Facts>> facts(const std::set<model::ObjectId>& ids,
                                                                 std::stop_token /*stop*/) override {
        std::map<model::ObjectId, Facts> found;
        for (const auto& id : ids) {
            if (id.kind != ObjectKind::container || !lxc::is_container_name(id.name)) continue;
            if (auto facts = lxc::usage_of(host_, id.name); !facts.empty()) found.emplace(id, std::move(facts));
        }
        return found;
    }

    [[nodiscard]] std::vector<EventSource> events() override {
        if (!epoll_) epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
        if (!epoll_) return {};
        const auto running = host_.monitors.running(container_names(host_.paths.lxcpath));
        for (const auto& name : running) {
            if (connections_.contains(name)) continue;
            Fd connection = host_.monitors.connect(name);
            if (!connection) continue;
            epoll_event event{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = connection.get()}};
            if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.get(), &event) == 0)
                connections_.emplace(name, std::move(connection));
        }
        return {{epoll_.get(), "containers"}};
    }

    [[nodiscard]] bool drain(int fd) override {
        if (fd != epoll_.get()) return false;
        bool ended = false;
        epoll_event events[64];
        for (int count = 0; (count = ::epoll_wait(fd, events, 64, 0)) > 0;) {
            ended = true;
            for (int i = 0; i < count; ++i) {
                const auto known = std::find_if(connections_.begin(), connections_.end(),
                                                [&](const auto& one) { return one.second.get() == events[i].data.fd; });
                if (known == connections_.end()) continue;
                host_.monitors.settle(known->first);
                connections_.erase(known);
            }
        }
        return ended;
    }

private:
    [[nodiscard]] Status make_directories() const {
        for (const auto& directory : {host_.paths.lxcpath, host_.paths.runtime()}) {
            std::error_code error;
            std::filesystem::create_directories(directory, error);
            if (error) return system_error(error.value(), fmt::format("create {}", directory));
        }
        return ok();
    }

    [[nodiscard]] Status check(const Change& change) const {
        if (::geteuid() != 0)
            return Error(ErrorCode::permission, "containers can only be changed by root").hint("run ctl with sudo");
        if (!lxc::is_container_name(change.id.name))
            return Error(ErrorCode::invalid, fmt::format("{} can't be a container's name", ctl::quoted(change.id.name)));
        if (!change.desired || change.verb == Verb::remove || change.verb == Verb::forget || change.verb == Verb::stop)
            return ok();
        for (const auto& helper : {host_.paths.start_helper(), host_.paths.mount_helper()})
            if (::access(helper.c_str(), X_OK) != 0)
                return Error(ErrorCode::missing_driver, fmt::format("the helper program {} is missing", helper))
                    .hint("reinstall ctl");
        if (host_.cgroups.empty()) return Error(ErrorCode::unsupported, "no cgroups are mounted below /sys/fs/cgroup");
        const auto& container = std::get<model::Container>(change.desired->object);
        if (container.idmap && *container.idmap != "none" && !has_user_namespaces())
            return Error(ErrorCode::unsupported, "this kernel allows no user namespaces")
                .hint("set security.privileged: true, or sysctl user.max_user_namespaces=10000");
        if (container.raw)
            for (const auto& line : *container.raw) {
                const std::string key(trimmed(split(line, '=').front()));
                if (key == "lxc.apparmor.raw" && lxc::apparmor_profile() != "generated")
                    return Error(ErrorCode::unsupported,
                                 "raw.apparmor needs AppArmor, which this kernel does not have or apparmor_parser can't "
                                 "load profiles into")
                        .hint("take out raw.apparmor");
                if (!is_liblxc_key(key))
                    return Error(ErrorCode::invalid, fmt::format("raw.lxc key {} is not known to liblxc {}",
                                                                 ctl::quoted(key), ::lxc_get_version()));
            }
        CTL_TRY(check_ids(container));
        CTL_TRY(lxc::check_devices(container));
        CTL_TRY(lxc::check_mounts(host_.paths.mount_helper(), container));
        CTL_TRY(lxc::check_limits(container, host_.cgroups));
        if (container.kernel_modules) CTL_TRY(lxc::check_modules(*container.kernel_modules));
        if (container.seccomp && !container.seccomp->empty() && ::access("/proc/sys/kernel/seccomp", F_OK) != 0)
            return Error(ErrorCode::unsupported, "this kernel filters no system calls (CONFIG_SECCOMP_FILTER)")
                .hint("take out security.syscalls.* and raw.seccomp");
        const auto rendered = lxc::render_config(container, "", host_.paths.place(change.id.name), {});
        return rendered ? ok() : Status(rendered.error());
    }

    const DriverInfo info_{"lxc", "containers by liblxc", {ObjectKind::container}};
    lxc::Host host_;
    Fd epoll_;
    std::map<std::string, Fd> connections_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_lxc_driver(const DriverContext& context) {
    for (const auto& directory : {context.state_dir, context.run_dir})
        if (!directory.starts_with('/') || (directory.size() > 1 && directory.ends_with('/')))
            return Error(ErrorCode::internal, fmt::format("{} is not a canonical path", ctl::quoted(directory)));
    return std::unique_ptr<Driver>(std::make_unique<LxcDriver>(context));
}

}  // namespace ctl::drivers

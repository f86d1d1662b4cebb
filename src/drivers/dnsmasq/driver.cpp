#include "drivers/dnsmasq/driver.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "drivers/api/store.h"
#include "drivers/dnsmasq/service.h"

namespace ctl::drivers {

namespace {

using diff::Change;
using diff::Verb;
using dnsmasq::Service;
using model::ObjectId;
using model::ObjectKind;

/// Hears the end of the daemons by one descriptor: that of an epoll which tells of each only once.
class Deaths {
public:
    static Result<Deaths> open() {
        Fd fd(::epoll_create1(EPOLL_CLOEXEC));
        if (!fd) return system_error(errno, "making an epoll");
        return Deaths(std::move(fd));
    }

    void watch(std::vector<dnsmasq::Process> processes) {
        // A process that is watched anew is told of anew: what died since the last look is seen by the look itself.
        processes_ = std::move(processes);
        for (const auto& process : processes_) {
            epoll_event event{};
            event.events = EPOLLIN | EPOLLONESHOT;
            // Where it fails (the limit of watches), a death is seen at the next look round.
            (void)::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, process.pidfd.get(), &event);
        }
    }

    [[nodiscard]] bool drain() const {
        std::array<epoll_event, 64> events{};
        return ::epoll_wait(fd_.get(), events.data(), static_cast<int>(events.size()), 0) > 0;
    }

    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    explicit Deaths(Fd fd) : fd_(std::move(fd)) {}

    Fd fd_;
    std::vector<dnsmasq::Process> processes_;
};

class DnsmasqDriver final : public Driver {
public:
    DnsmasqDriver(std::string state_dir, Deaths deaths) : state_dir_(std::move(state_dir)), deaths_(std::move(deaths)) {}

    const DriverInfo& info() const override { return info_; }

    Result<model::HostState> observe(const Interest& interest, std::stop_token /*stop*/) override {
        std::set<std::string> names;
        if (interest.all) {
            CTL_ASSIGN(const auto all, dnsmasq::service_names(state_dir_));
            names.insert(all.begin(), all.end());
        }
        for (const auto& id : interest.ids)
            if (id.kind == ObjectKind::dns_service && is_plain_name(id.name)) names.insert(id.name);
        model::HostState state;
        for (const auto& name : names) {
            CTL_ASSIGN(auto entry, Service(state_dir_, name).observe());
            if (entry) state.emplace(ObjectId{ObjectKind::dns_service, name}, std::move(*entry));
        }
        return state;
    }

    std::vector<Error> preflight(std::span<const Change> changes) override {
        std::vector<Error> errors;
        for (const Change& change : changes)
            if (auto fault = check(change); !fault) errors.push_back(diff::refusal(std::move(fault).error(), change));
        return errors;
    }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        for (std::size_t i = 0; i < changes.size(); ++i) {
            const Change& change = changes[i];
            Status outcome;
            if (stop.stop_requested()) outcome = Error(ErrorCode::cancelled, "interrupted before it began");
            else outcome = make_so(change);
            if (!outcome) outcome = std::move(outcome).error().while_("serving network " + escaped(change.id.name));
            report(i, std::move(outcome));
        }
    }

    Result<std::map<ObjectId, Facts>> facts(const std::set<ObjectId>& ids, std::stop_token /*stop*/) override {
        std::map<ObjectId, Facts> told;
        for (const auto& id : ids)
            if (id.kind == ObjectKind::dns_service && is_plain_name(id.name))
                told[id] = Service(state_dir_, id.name).facts();
        return told;
    }

    std::vector<EventSource> events() override {
        std::vector<dnsmasq::Process> processes;
        if (const auto names = dnsmasq::service_names(state_dir_))
            for (const auto& name : *names)
                if (auto process = Service(state_dir_, name).process()) processes.push_back(std::move(*process));
        deaths_.watch(std::move(processes));
        return {{deaths_.fd(), "dnsmasq processes"}};
    }

    bool drain(int fd) override { return fd == deaths_.fd() && deaths_.drain(); }

private:
    static bool makes(const Change& change) {
        return change.verb == Verb::create || change.verb == Verb::update || change.verb == Verb::adopt;
    }

    [[nodiscard]] Status check(const Change& change) const {
        if (::geteuid() != 0)
            return Error(ErrorCode::permission, "DHCP and DNS can only be served by root").hint("run ctl with sudo");
        if (!is_plain_name(change.id.name))
            return Error(ErrorCode::invalid, fmt::format("{} is no name of a network", ctl::quoted(change.id.name)));
        const bool replaces = change.verb == Verb::replace;
        if ((!makes(change) && !replaces) || !change.desired) return ok();
        const bool only_lines = change.verb == Verb::update && !change.fields.empty() &&
                                std::none_of(change.fields.begin(), change.fields.end(),
                                             [](const diff::FieldChange& field) { return field.name == "options"; });
        return Service(state_dir_, change.id.name).check(*change.desired, !only_lines);
    }

    [[nodiscard]] Status make_so(const Change& change) const {
        const Service service(state_dir_, change.id.name);
        if (makes(change)) return service.bring_about(*change.desired);
        if (change.verb == Verb::remove) return service.remove();
        if (change.verb == Verb::forget) return service.forget();
        return ok();
    }

    DriverInfo info_{"dnsmasq", "DHCP and DNS for networks", {ObjectKind::dns_service}};
    std::string state_dir_;
    Deaths deaths_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_dnsmasq_driver(const DriverContext& context) {
    CTL_ASSIGN(auto deaths, Deaths::open());
    return std::unique_ptr<Driver>(std::make_unique<DnsmasqDriver>(context.state_dir, std::move(deaths)));
}

}  // namespace ctl::drivers

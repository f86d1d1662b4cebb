#include "drivers/readiness/driver.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/text.h"
#include "drivers/readiness/conditions.h"

namespace ctl::drivers {

namespace {

using namespace std::chrono_literals;
using diff::Change;
using diff::Verb;
using model::ObjectId;
using model::ObjectKind;
using readiness::Look;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds first_pause = 20ms;
constexpr milliseconds longest_pause = 500ms;
/// Where an event tells when to look, time does so only in case one was missed.
constexpr milliseconds event_pause = 5s;

/// Readable once a stop is requested.
class StopEvent {
public:
    explicit StopEvent(std::stop_token stop)
        : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(std::move(stop), Ring{event_.get()}) {}
    [[nodiscard]] int fd() const { return event_.get(); }

private:
    struct Ring {
        int fd;
        void operator()() const {
            const std::uint64_t one = 1;
            static_cast<void>(!::write(fd, &one, sizeof one));
        }
    };
    Fd event_;
    std::stop_callback<Ring> callback_;
};

/// "container db answers on port 22"
std::string told(const std::string& container, const model::Readiness& readiness) {
    const std::string condition = readiness.condition.value_or("");
    const auto arguments = readiness.arguments.value_or(std::vector<std::string>());
    if (condition == "address") return fmt::format("container {} to get an address", ctl::quoted(container));
    if (condition == "port")
        return fmt::format("container {} to answer on port {}", ctl::quoted(container), joined(arguments, " "));
    if (condition == "cloud-init") return fmt::format("cloud-init of container {} to finish", ctl::quoted(container));
    return fmt::format("{} to succeed in container {}", ctl::quoted(joined(arguments, " ")), ctl::quoted(container));
}

/// In a thread of its own.
Status wait_until_ready(const ContainerFiles& files, const Change& change, const std::stop_token& stop) {
    const auto& wanted = std::get<model::Readiness>(change.desired->object);
    const std::string container = change.id.name.substr(0, change.id.name.find(':'));
    if (!is_container_name(container))
        return Error(ErrorCode::invalid, fmt::format("{} can't be a container's name", ctl::quoted(container)));
    CTL_ASSIGN(const auto condition, readiness::make_condition(files, container, wanted));
    const StopEvent stopped(stop);
    const auto patience = std::chrono::seconds(wanted.timeout.value_or(60));
    const auto end = Clock::now() + patience;
    milliseconds pause = condition->event() >= 0 ? event_pause : first_pause;
    while (true) {
        condition->drain();
        CTL_ASSIGN(const Look look, condition->look(std::chrono::ceil<milliseconds>(end - Clock::now())));
        if (look.met) return ok();
        if (stop.stop_requested())
            return Error(ErrorCode::cancelled, fmt::format("interrupted while waiting for {}", told(container, wanted)));
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
        if (look.hopeless || left <= 0ms)
            return Error(look.hopeless ? ErrorCode::conflict : ErrorCode::timeout,
                         fmt::format("waited {}for {}, and last saw: {}",
                                     look.hopeless ? "in vain " : fmt::format("{} s ", patience.count()),
                                     told(container, wanted), look.seen))
                .hint(fmt::format("see ctl logs {}; `timeout` under depends_on gives it longer", container));
        std::array<pollfd, 2> waits{{{stopped.fd(), POLLIN, 0}, {condition->event(), POLLIN, 0}}};
        ::poll(waits.data(), waits.size(), static_cast<int>(std::min(left, pause).count()));
        pause = std::min(pause * 2, std::max(longest_pause, pause));
    }
}

class ReadinessDriver final : public Driver {
public:
    explicit ReadinessDriver(const DriverContext& context)
        : files_{context.state_dir + "/containers", context.run_dir, context.helper_dir} {}

    [[nodiscard]] const DriverInfo& info() const override { return info_; }

    [[nodiscard]] Result<model::HostState> observe(const Interest& interest, std::stop_token /*stop*/) override {
        model::HostState state;
        const std::lock_guard hold(mutex_);
        // Only for whoever has just waited for it: a new plan finds nothing.
        for (const auto& [id, entry] : reached_)
            if (!interest.all && interest.ids.contains(id)) state.emplace(id, entry);
        return state;
    }

    [[nodiscard]] std::vector<Error> preflight(std::span<const Change> /*changes*/) override { return {}; }

    void apply(std::span<const Change> changes, const Report& report, std::stop_token stop) override {
        for (std::size_t i = 0; i < changes.size(); ++i) {
            // In a thread of its own, for it may enter the container's network.
            std::jthread([&] { report(i, make(changes[i], stop)); });
        }
    }

    [[nodiscard]] std::vector<EventSource> events() override { return {}; }
    [[nodiscard]] bool drain(int /*fd*/) override { return false; }

private:
    Status make(const Change& change, const std::stop_token& stop) {
        if (!change.desired || (change.verb != Verb::create && change.verb != Verb::update)) {
            const std::lock_guard hold(mutex_);
            reached_.erase(change.id);
            return ok();
        }
        CTL_TRY(wait_until_ready(files_, change, stop));
        model::Entry entry = *change.desired;
        entry.mark = model::Mark::complete;
        const std::lock_guard hold(mutex_);
        reached_.insert_or_assign(change.id, std::move(entry));
        return ok();
    }

    const DriverInfo info_{"readiness", "waiting for containers that others depend on", {ObjectKind::readiness}, true};
    const ContainerFiles files_;
    std::mutex mutex_;
    model::HostState reached_;
};

}  // namespace

Result<std::unique_ptr<Driver>> make_readiness_driver(const DriverContext& context) {
    return std::unique_ptr<Driver>(std::make_unique<ReadinessDriver>(context));
}

}  // namespace ctl::drivers

#include "reconcile/watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <thread>

#include "base/fd.h"
#include "base/text.h"
#include "reconcile/backoff.h"
#include "reconcile/folder_watch.h"
#include "reconcile/lock.h"
#include "reconcile/scheduled_snapshots.h"

namespace ctl::reconcile {

namespace {

using Time = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

// The same repair over and over, each within moments of the last, is a fight with somebody.
constexpr unsigned repairs_before_pause = 10;
constexpr milliseconds fight_quiet(10'000);
constexpr milliseconds never(std::chrono::hours(24 * 365));
constexpr milliseconds lock_retry(500);
constexpr int longest_settle = 10;  // times the settle time, while edits go on and on
constexpr std::size_t findings_shown = 20;
constexpr const char* snapshot_work = "snapshots";

/// Requests a stop as soon as a descriptor becomes readable, so that a run in progress hears of it.
class StopWatcher {
public:
    static Result<std::unique_ptr<StopWatcher>> start(int stop_fd) {
        Fd wake(::eventfd(0, EFD_CLOEXEC));
        if (!wake) return system_error(errno, "making an eventfd");
        return std::unique_ptr<StopWatcher>(new StopWatcher(stop_fd, std::move(wake)));
    }
    ~StopWatcher() {
        const std::uint64_t one = 1;
        // An eventfd of ours with a count of 0 takes a 1.
        if (::write(wake_.get(), &one, sizeof one) != sizeof one) std::terminate();
    }
    [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

private:
    StopWatcher(int stop_fd, Fd wake) : wake_(std::move(wake)), thread_([this, stop_fd] { wait(stop_fd); }) {}

    void wait(int stop_fd) {
        std::array<pollfd, 2> both{{{stop_fd, POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
        while (::poll(both.data(), both.size(), -1) < 0 && errno == EINTR) continue;
        if (both[0].revents != 0) source_.request_stop();
    }

    Fd wake_;
    std::stop_source source_;
    std::jthread thread_;
};

/// What a plan does, so that it is known again.
std::string signature_of(const Plan& plan) {
    std::string signature;
    for (const auto& change : plan.changes) {
        signature += fmt::format("{} {}", diff::to_string(change.verb), change.id.str());
        for (const auto& field : change.fields)
            signature += fmt::format(" {}={}", field.name, field.to ? model::to_text(*field.to) : "");
        signature += '\n';
    }
    return signature;
}

class Watcher {
public:
    Watcher(const Environment& environment, const WatchOptions& options, const LoadStack& load, FolderWatch folder, Fd epoll,
            int stop_fd, std::stop_token stop)
        : environment_(environment),
          options_(options),
          load_(load),
          folder_(std::move(folder)),
          epoll_(std::move(epoll)),
          stop_fd_(stop_fd),
          stop_(std::move(stop)),
          failures_({options.first_retry, options.last_retry, 0, never}),
          repairs_({options.first_retry, options.last_retry, repairs_before_pause, fight_quiet}),
          snapshot_failures_({options.first_retry, options.last_retry, 0, never}) {}

    Status run() {
        CTL_TRY(listen(stop_fd_));
        CTL_TRY(listen(folder_.fd()));
        // Before the first look, so that nothing that happens after it is missed.
        CTL_TRY(listen_to_drivers());
        load_revision();
        CTL_TRY(reconcile());
        while (!stopping_ && !stop_.stop_requested()) {
            CTL_TRY(wait());
            if (!stopping_) CTL_TRY(do_what_is_due());
        }
        say(LogLevel::info, "stopped");
        return ok();
    }

private:
    // ---- events

    Status listen(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST)
            return system_error(errno, "waiting for a descriptor");
        return ok();
    }

    void ignore(int fd) {
        // A descriptor that its owner has closed is out already.
        (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    }

    Status listen_to_drivers() {
        for (const auto& [fd, driver] : sources_) ignore(fd);
        sources_.clear();
        for (const auto& driver : environment_.drivers.all()) {
            for (const auto& source : driver->events()) {
                CTL_TRY(listen(source.fd));
                sources_[source.fd] = driver.get();
            }
        }
        return ok();
    }

    Status wait() {
        std::array<epoll_event, 64> events{};
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_milliseconds());
        if (count < 0 && errno != EINTR) return system_error(errno, "waiting for events");
        for (int i = 0; i < count; ++i) take(events[static_cast<std::size_t>(i)]);
        return ok();
    }

    int wait_milliseconds() const {
        Time next = resync_at_;
        for (const auto& timer : {reload_at_, host_at_, retry_at_, snapshots_at_})
            if (timer) next = std::min(next, *timer);
        const auto left = std::chrono::ceil<milliseconds>(next - environment_.clock.now());
        return static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, 3'600'000));
    }

    void take(const epoll_event& event) {
        const int fd = event.data.fd;
        const auto now = environment_.clock.now();
        if (fd == stop_fd_) {
            stopping_ = true;
        } else if (fd == folder_.fd()) {
            if (folder_.drain()) settle(now);
        } else if (const auto source = sources_.find(fd); source != sources_.end()) {
            if (source->second->drain(fd) && !host_at_) host_at_ = now + options_.coalesce;
            // A peer that is gone stays "readable" for ever: not heard again before the driver offers it anew.
            if ((event.events & (EPOLLHUP | EPOLLERR)) != 0) ignore(fd);
        }
    }

    void settle(Time now) {
        if (!reload_at_) first_edit_ = now;
        reload_at_ = std::min(now + options_.settle, first_edit_ + longest_settle * options_.settle);
    }

    Status do_what_is_due() {
        const auto now = environment_.clock.now();
        const auto due = [&](const std::optional<Time>& timer) { return timer && *timer <= now; };
        const bool reload = due(reload_at_);
        if (reload) load_revision();
        if (reload || due(host_at_) || due(retry_at_) || due(snapshots_at_) || resync_at_ <= now) return reconcile();
        return ok();
    }

    // ---- revisions

    void load_revision() {
        reload_at_.reset();
        Diagnostics findings;
        auto stack = load_(findings);
        if (!findings.has_errors() && stack.empty() && !options_.allow_empty)
            findings.error("empty-stack",
                           fmt::format("{} has no manifests or declares nothing", ctl::quoted(options_.folder.string())), {},
                           "use --allow-empty if everything shall go");
        if (findings.has_errors()) return reject(stack.name, findings);
        stack_ = std::move(stack);
        failures_.reset();
        say(LogLevel::info, fmt::format("read the stack {}", ctl::quoted(stack_->name)));
    }

    void reject(const std::string& name, const Diagnostics& findings) {
        const auto consequence = stack_ ? "the last good revision stays in force" : "nothing is applied until it is mended";
        const auto line = fmt::format("revision refused for {} errors: {}", findings.error_count(), consequence);
        say(LogLevel::error, line);
        std::size_t shown = 0;
        for (const auto& finding : findings.all())
            if (finding.severity == Severity::error && shown++ < findings_shown)
                say(LogLevel::error, fmt::format("{}: {}", finding.where.str(), finding.message));
        note(stack_ ? stack_->name : name, "revision_rejected", line);
    }

    // ---- reconciling

    Status reconcile() {
        host_at_.reset();
        retry_at_.reset();
        snapshots_at_.reset();
        resync_at_ = environment_.clock.now() + options_.resync;
        if (!stack_) return ok();
        const auto lock = Lock::acquire(options_.state_dir, options_.command, environment_.clock);
        if (!lock) {
            wait_for_lock(lock.error());
            return ok();
        }
        told_locked_ = false;
        bring_about();
        return listen_to_drivers();
    }

    void wait_for_lock(const Error& error) {
        if (error.code() != ErrorCode::locked) return failed(error.str(), error.str());
        if (!told_locked_) say(LogLevel::info, error.str());
        told_locked_ = true;
        retry_at_ = environment_.clock.now() + lock_retry;
    }

    void bring_about() {
        PrepareOptions how;
        how.allow_empty = options_.allow_empty;
        how.on_restart_needed = options_.on_restart_needed;
        how.keep_data = !options_.allow_data_loss;
        const auto prepared = prepare(environment_, *stack_, how, stop_);
        if (!prepared) return failed(prepared.error().str(), prepared.error().str());
        if (!prepared->is_applicable()) return refused(prepared->diagnostics);
        tell_held_back(*prepared);
        if (!options_.allow_data_loss && needs_confirmation(prepared->plan))
            failed(signature_of(prepared->plan), "the plan deletes or replaces data; use --yes if that is meant");
        else apply_now(*prepared);
        if (!stop_.stop_requested()) keep_snapshots(prepared->observed);
    }

    void refused(const Diagnostics& findings) {
        std::string all;
        for (const auto& finding : findings.all()) all += (all.empty() ? "" : "; ") + finding.message;
        failed(all, all);
    }

    void apply_now(const Prepared& prepared) {
        const auto signature = signature_of(prepared.plan);
        const auto now = environment_.clock.now();
        const auto earliest = std::max(failures_.earliest(signature), repairs_.earliest(signature));
        if (!prepared.plan.empty() && now < earliest) {
            retry_at_ = earliest;
            return;
        }
        const auto report = apply(environment_, prepared, {options_.command, options_.execute}, stop_);
        if (!report) return failed(signature, report.error().str());
        if (report->stopped) return;
        if (!report->succeeded()) return failed(signature, what_failed(prepared.plan, *report));
        failures_.reset();
        if (prepared.plan.empty()) return;
        say(LogLevel::info, fmt::format("applied {} steps in {} ms", report->steps.size(),
                                        std::chrono::duration_cast<milliseconds>(report->elapsed).count()));
        repairs_.tried(signature, environment_.clock.now());
        // One more look: it takes in what our own changes made the drivers say, and finds nothing if all is well.
        host_at_ = environment_.clock.now() + options_.coalesce;
    }

    // ---- snapshots

    void keep_snapshots(const model::HostState& observed) {
        const auto now = environment_.clock.now();
        const auto due = snapshots_.due(*stack_, observed, environment_.clock.wall());
        snapshots_at_.reset();
        // Not farther ahead than the next look at everything, for the clock on the wall may be set.
        if (due.next) snapshots_at_ = std::min(resync_at_, now + (*due.next - environment_.clock.wall()));
        if (due.to_make.empty() && due.expired.empty()) return;
        if (snapshot_failures_.earliest(snapshot_work) <= now) {
            if (change_snapshots(due)) return snapshot_failures_.reset();
            snapshot_failures_.tried(snapshot_work, now);
        }
        snapshots_at_ = snapshot_failures_.earliest(snapshot_work);
    }

    /// True when there is nothing to try again.
    bool change_snapshots(const DueSnapshots& due) {
        auto round = prepare_snapshots(environment_, stack_->name, due.to_make, due.expired, stop_);
        if (!round) return snapshots_failed(round.error().str());
        const auto report = apply(environment_, round->prepared, {options_.command, options_.execute}, stop_);
        if (!report) return snapshots_failed(report.error().str());
        if (report->stopped) return true;
        for (std::size_t i = 0; i < report->steps.size(); ++i) {
            const auto& change = round->prepared.plan.steps[i].change;
            if (report->steps[i].outcome == Outcome::done && change.desired)
                snapshots_.made(change.desired->owner, environment_.clock.wall());
        }
        for (const auto& error : round->left_out) snapshots_failed(error.str());
        if (!report->succeeded()) return snapshots_failed(what_failed(round->prepared.plan, *report));
        return round->left_out.empty();
    }

    bool snapshots_failed(const std::string& message) {
        say(LogLevel::error, message);
        note(stack_->name, "snapshot_failed", message);
        return false;
    }

    static std::string what_failed(const Plan& plan, const RunReport& report) {
        if (!report.refused.empty()) return report.refused.front().str();
        if (report.journal_error) return report.journal_error->str();
        std::string text = fmt::format("{} of {} steps failed", report.count(Outcome::failed), report.steps.size());
        for (std::size_t i = 0; i < report.steps.size(); ++i) {
            const auto& change = plan.steps[i].change;
            if (const auto& error = report.steps[i].error)
                return fmt::format("{}, first: {} {}: {}", text, to_string(change.verb), change.id.str(), error->str());
        }
        return text;
    }

    /// Told once per try; in between, events that lead to the same failure change nothing.
    void failed(const std::string& signature, const std::string& message) {
        const auto now = environment_.clock.now();
        if (now >= failures_.earliest(signature)) {
            failures_.tried(signature, now);
            say(LogLevel::error, message);
            note(stack_->name, "reconcile_failed", message);
        }
        retry_at_ = failures_.earliest(signature);
    }

    void tell_held_back(const Prepared& prepared) {
        if (prepared.held_back == told_held_back_) return;
        told_held_back_ = prepared.held_back;
        for (const auto& id : prepared.held_back)
            say(LogLevel::warning,
                fmt::format("{} would be deleted or replaced with its data: kept; use --yes if that is meant",
                            escaped(id.str())));
    }

    void say(LogLevel level, const std::string& line) { environment_.reporter.log(level, line); }

    void note(const std::string& stack, const std::string& kind, const std::string& text) {
        if (const auto written = environment_.journal.add_event(stack, kind, text); !written)
            say(LogLevel::warning, written.error().str());
    }

    const Environment& environment_;
    const WatchOptions& options_;
    const LoadStack& load_;
    FolderWatch folder_;
    Fd epoll_;
    const int stop_fd_;
    const std::stop_token stop_;

    std::optional<model::resource::Stack> stack_;  // the last good revision
    std::map<int, drivers::Driver*> sources_;
    Backoff failures_;
    Backoff repairs_;
    Backoff snapshot_failures_;
    ScheduledSnapshots snapshots_;
    std::optional<Time> reload_at_;
    std::optional<Time> host_at_;
    std::optional<Time> retry_at_;
    std::optional<Time> snapshots_at_;
    Time resync_at_;
    Time first_edit_;
    bool stopping_ = false;
    bool told_locked_ = false;
    std::vector<model::ObjectId> told_held_back_;
};

}  // namespace

Status watch(const Environment& environment, const WatchOptions& options, const LoadStack& load, int stop_fd) {
    CTL_ASSIGN(auto folder, FolderWatch::open(options.folder));
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return system_error(errno, "making an epoll");
    CTL_ASSIGN(const auto stop, StopWatcher::start(stop_fd));
    Watcher watcher(environment, options, load, std::move(folder), std::move(epoll), stop_fd, stop->token());
    return watcher.run();
}

}  // namespace ctl::reconcile

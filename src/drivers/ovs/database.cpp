#include "drivers/ovs/database.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/text.h"

namespace ctl::drivers::ovs {

namespace {

constexpr std::int64_t first_pause = 50;  // milliseconds between two tries to connect
constexpr std::int64_t longest_pause = 1000;

void raise_event(int fd) {
    const std::uint64_t one = 1;
    // An eventfd takes a 1 unless it is full, and then it is readable anyhow.
    (void)!::write(fd, &one, sizeof one);
}

bool take_event(int fd) {
    std::uint64_t count = 0;
    return ::read(fd, &count, sizeof count) == sizeof count;
}

void start_library_once() {
    static const bool started = [] {
        ctl_ovs_start();
        return true;
    }();
    (void)started;
}

}  // namespace

// ---- Connection

void Connection::drop() {
    ctl_ovs_close(replica_);
    replica_ = nullptr;
}

Status Connection::open() {
    if (replica_ != nullptr) return ok();
    const int failure = ctl_ovs_try(remote_.c_str());
    if (failure == ENOENT || failure == ECONNREFUSED)
        return Error(ErrorCode::missing_driver, fmt::format("nobody serves the Open vSwitch database at {}: {}",
                                                            quoted(remote_), std::strerror(failure)))
            .hint("apt-get install openvswitch-switch");
    if (failure != 0) return system_error(failure, fmt::format("connect to {}", quoted(remote_)));
    replica_ = ctl_ovs_open(remote_.c_str());
    return ok();
}

Status Connection::connect(std::int64_t deadline, bool patient) {
    for (;;) {
        const Status opened = open();
        if (!opened && (!patient || ctl_ovs_now() >= deadline)) return opened;
        if (run() && ctl_ovs_is_complete(replica_) != 0) return ok();
        if (ctl_ovs_now() >= deadline)
            return Error(ErrorCode::timeout, fmt::format("no answer from the Open vSwitch database at {}", quoted(remote_)));
        block(nullptr, replica_ != nullptr ? deadline : std::min(deadline, ctl_ovs_now() + first_pause));
    }
}

bool Connection::run() {
    if (replica_ == nullptr) return false;
    if (ctl_ovs_run(replica_) != 0) return true;
    drop();
    return false;
}

void Connection::block(const ctl_ovs_txn* txn, std::int64_t deadline) { ctl_ovs_block(replica_, txn, wake_fd_, deadline); }

// ---- Database

Database::Database(std::string remote)
    : remote_(std::move(remote)),
      event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Database::~Database() {
    thread_.request_stop();
    raise_event(wake_.get());
}

void Database::run(const std::function<void(Connection&)>& work) {
    std::unique_lock hold(mutex_);
    work_ = &work;
    if (!thread_.joinable()) {
        // Blocked in the thread from its birth on: a write to a server that is gone must not end the process.
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::jthread([this](const std::stop_token& stop) { live(stop); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    raise_event(wake_.get());
    done_.wait(hold, [this] { return work_ == nullptr; });
}

bool Database::drain_event() const { return take_event(event_.get()); }

void Database::say_changed() const { raise_event(event_.get()); }

void Database::live(const std::stop_token& stop) {
    start_library_once();
    Connection connection(remote_, wake_.get(), watches_flows_);
    for (;;) {
        const std::function<void(Connection&)>* work = nullptr;
        {
            // Whoever asks for something raises the event after that: taken first, it is not missed.
            const std::lock_guard hold(mutex_);
            take_event(wake_.get());
            work = work_;
        }
        if (stop.stop_requested()) return;
        if (work == nullptr) {
            keep_up(connection);
            continue;
        }
        (*work)(connection);
        if (connection.replica() != nullptr) {
            was_connected_ = true;
            seen_ = ctl_ovs_generation(connection.replica());
        }
        const std::lock_guard hold(mutex_);
        work_ = nullptr;
        done_.notify_all();
    }
}

/// Between two works: changes are told, and a server that went away is looked for until it is back.
void Database::keep_up(Connection& connection) {
    if (connection.replica() != nullptr && !connection.run()) {
        pause_ = first_pause;
        retry_at_ = ctl_ovs_now() + pause_;
        say_changed();
    }
    if (connection.replica() == nullptr && was_connected_ && ctl_ovs_now() >= retry_at_) {
        pause_ = std::min(pause_ * 2, longest_pause);
        retry_at_ = ctl_ovs_now() + pause_;
        // The first replica of a new connection counts as a change by itself.
        seen_ = 0;
        (void)connection.open();
    }
    if (connection.replica() != nullptr && ctl_ovs_generation(connection.replica()) != seen_) {
        seen_ = ctl_ovs_generation(connection.replica());
        say_changed();
    }
    if (connection.switches().run()) say_changed();
    connection.switches().wait();
    connection.block(nullptr, connection.replica() == nullptr && was_connected_ ? retry_at_ : -1);
}

}  // namespace ctl::drivers::ovs

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/result.h"
#include "drivers/ovs/ovs_shim.h"
#include "drivers/ovs/switches.h"

namespace ctl::drivers::ovs {

/// What work on the database's own thread has: the replica, and ways to wait for it.
class Connection {
public:
    Connection(std::string remote, int wake_fd, const std::atomic<bool>& is_watched)
        : remote_(std::move(remote)), wake_fd_(wake_fd), switches_(remote_, is_watched) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { drop(); }

    /// A complete replica, connecting if there is none. `patient`: the server may be away for a while (it restarts), else
    /// nobody at the socket is an error at once. Deadlines are ctl_ovs_now()'s. Errors: missing_driver, timeout.
    [[nodiscard]] Status connect(std::int64_t deadline, bool patient);

    /// Begins to connect, without waiting, if there is no replica yet. Errors: missing_driver, io.
    [[nodiscard]] Status open();
    /// Takes in what came; false and without a replica when the connection is lost.
    bool run();
    /// Waits for the server, the transaction (may be null) or the deadline (negative: none).
    void block(const ctl_ovs_txn* txn, std::int64_t deadline);

    /// Null while there is no connection.
    [[nodiscard]] ctl_ovs* replica() const { return replica_; }
    void drop();

    /// Connections to the bridges themselves.
    [[nodiscard]] Switches& switches() { return switches_; }

private:
    std::string remote_;
    int wake_fd_;
    ctl_ovs* replica_ = nullptr;
    Switches switches_;
};

/// A thread that keeps a replica of the database up to date, and does what it is asked with it.
class Database {
public:
    /// No thread yet: it begins with the first work.
    explicit Database(std::string remote);
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database();

    /// Does the work on the thread and waits for it to end. For one caller at a time.
    void run(const std::function<void(Connection&)>& work);

    /// From now on changes of our flows are events too.
    void watch_flows() { watches_flows_ = true; }
    /// Readable when the replica changed while no work was being done.
    [[nodiscard]] int event_fd() const { return event_.get(); }
    /// True if it did.
    [[nodiscard]] bool drain_event() const;

private:
    void live(const std::stop_token& stop);
    void keep_up(Connection& connection);
    void say_changed() const;

    const std::string remote_;
    Fd event_;
    Fd wake_;
    std::mutex mutex_;
    std::condition_variable done_;
    std::atomic<bool> watches_flows_ = false;
    const std::function<void(Connection&)>* work_ = nullptr;
    // Of the thread itself.
    unsigned seen_ = 0;
    bool was_connected_ = false;
    std::int64_t retry_at_ = -1;
    std::int64_t pause_ = 0;
    std::jthread thread_;
};

}  // namespace ctl::drivers::ovs

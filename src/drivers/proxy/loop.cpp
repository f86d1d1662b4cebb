#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "drivers/proxy/forward.h"
#include "drivers/proxy/sockets.h"

namespace ctl::drivers::proxy {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t chunk = 65536;
/// After which silence a sender of datagrams is forgotten.
constexpr auto silence = std::chrono::seconds(60);
constexpr std::size_t most_senders = 4096;
constexpr auto tidying_pause = std::chrono::seconds(1);

/// What waits for a descriptor; `this` goes with its last descriptor.
class Waiter {
public:
    virtual ~Waiter() = default;
    virtual void ready(int fd, std::uint32_t events) = 0;
};

class Loop {
public:
    Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
    ~Loop() { ::close(epoll_); }
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void watch(int fd, std::uint32_t events, std::shared_ptr<Waiter> waiter) {
        const std::uint32_t serial = ++last_serial_;
        epoll_event event{.events = events, .data = {.u64 = std::uint64_t{serial} << 32 | static_cast<std::uint32_t>(fd)}};
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
        waiters_[fd] = {serial, std::move(waiter)};
    }
    /// Closes it.
    void forget(int fd) {
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
        ::close(fd);
        waiters_.erase(fd);
    }
    void run() {
        std::array<epoll_event, 64> events;
        auto next_tidying = Clock::now() + tidying_pause;
        while (true) {
            const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 10'000);
            for (int i = 0; i < count; ++i) {
                const auto& event = events.at(static_cast<std::size_t>(i));
                const int fd = static_cast<int>(event.data.u64 & 0xffffffff);
                const auto found = waiters_.find(fd);
                // One that was forgotten in this round may have left its number to another.
                if (found == waiters_.end() || found->second.serial != event.data.u64 >> 32) continue;
                // Held while it works: it may forget itself.
                const auto waiter = found->second.waiter;
                waiter->ready(fd, event.events);
            }
            if (Clock::now() < next_tidying) continue;
            for (auto* janitor : janitors_) janitor->tidy();
            next_tidying = Clock::now() + tidying_pause;
        }
    }

    /// Told every now and then.
    class Janitor {
    public:
        virtual ~Janitor() = default;
        virtual void tidy() = 0;
    };
    void tell(Janitor* janitor) { janitors_.push_back(janitor); }

private:
    struct Watched {
        std::uint32_t serial = 0;
        std::shared_ptr<Waiter> waiter;
    };
    int epoll_;
    std::uint32_t last_serial_ = 0;
    std::map<int, Watched> waiters_;
    std::vector<Janitor*> janitors_;
};

/// Bytes on their way in one direction.
struct Pipe {
    int from;
    int to;
    std::vector<char> waiting{};
    std::size_t sent = 0;
    bool ended = false;   ///< nothing more comes
    bool closed = false;  ///< and the other side knows

    [[nodiscard]] bool empty() const { return sent == waiting.size(); }
};

/// A connection and the one that it is handed on to.
class Pair final : public Waiter, public std::enable_shared_from_this<Pair> {
public:
    Pair(Loop& loop, int client, int target, std::vector<char> greeting)
        : loop_(loop), there_{client, target, std::move(greeting)}, back_{target, client} {}

    void begin() {
        // By edges: what is ready is moved until the kernel has no more of it, so a peer that has hung up is told of once.
        for (const int fd : {there_.from, there_.to}) loop_.watch(fd, EPOLLIN | EPOLLOUT | EPOLLET, shared_from_this());
    }

    void ready(int fd, std::uint32_t events) override {
        if (!connected_) {
            if (fd != there_.to) return end_if_lost(events);
            int failure = 0;
            socklen_t size = sizeof failure;
            ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
            if (failure != 0) return end();
            connected_ = true;
        }
        for (Pipe* pipe : {&there_, &back_})
            if (!move(*pipe)) return end();
        if (there_.closed && back_.closed) return end();
        // Who has hung up takes no answer either.
        const Pipe& mine = fd == there_.from ? there_ : back_;
        if ((events & EPOLLHUP) != 0 && mine.closed) return end();
    }

private:
    /// False when the connection is of no use any more.
    bool move(Pipe& pipe) {
        while (true) {
            while (!pipe.empty()) {
                const ssize_t size =
                    ::send(pipe.to, pipe.waiting.data() + pipe.sent, pipe.waiting.size() - pipe.sent, MSG_NOSIGNAL);
                if (size < 0 && errno == EINTR) continue;
                if (size < 0) return errno == EAGAIN;
                pipe.sent += static_cast<std::size_t>(size);
            }
            if (pipe.ended) {
                if (!pipe.closed) ::shutdown(pipe.to, SHUT_WR);
                pipe.closed = true;
                return true;
            }
            pipe.waiting.resize(chunk);
            pipe.sent = 0;
            const ssize_t size = ::recv(pipe.from, pipe.waiting.data(), chunk, 0);
            const int why = errno;
            pipe.waiting.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
            if (size < 0 && why == EINTR) continue;
            if (size < 0) return why == EAGAIN;
            if (size == 0) pipe.ended = true;
        }
    }

    void end_if_lost(std::uint32_t events) {
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) end();
    }

    void end() {
        loop_.forget(there_.from);
        loop_.forget(there_.to);
    }

    Loop& loop_;
    Pipe there_;
    Pipe back_;
    bool connected_ = false;
};

/// "192.0.2.1", and its port; empty for a Unix socket.
std::string host_of(const sockaddr_storage& address, std::uint16_t& port) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.ss_family == AF_INET) {
        const auto& four = reinterpret_cast<const sockaddr_in&>(address);
        port = ntohs(four.sin_port);
        return ::inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size()) != nullptr ? text.data() : "";
    }
    if (address.ss_family != AF_INET6) return {};
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    port = ntohs(six.sin6_port);
    return ::inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size()) != nullptr ? text.data() : "";
}

/// The first line of HAProxy's protocol, version 1: who connects, and to what.
std::vector<char> proxy_header(int client) {
    sockaddr_storage peer{};
    sockaddr_storage own{};
    socklen_t peer_size = sizeof peer;
    socklen_t own_size = sizeof own;
    std::uint16_t from_port = 0;
    std::uint16_t to_port = 0;
    std::string text = "PROXY UNKNOWN\r\n";
    if (::getpeername(client, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
        ::getsockname(client, reinterpret_cast<sockaddr*>(&own), &own_size) == 0) {
        const std::string from = host_of(peer, from_port);
        const std::string to = host_of(own, to_port);
        if (!from.empty())
            text = std::string("PROXY ") + (peer.ss_family == AF_INET ? "TCP4 " : "TCP6 ") + from + " " + to + " " +
                   std::to_string(from_port) + " " + std::to_string(to_port) + "\r\n";
    }
    return {text.begin(), text.end()};
}

class StreamListener final : public Waiter {
public:
    StreamListener(Loop& loop, const Settings& settings, const Forward& forward)
        : loop_(loop), settings_(settings), forward_(forward) {}

    void ready(int fd, std::uint32_t /*events*/) override {
        while (true) {
            const int client = ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (client < 0) return pause_if_full();
            const int target = open_connection(forward_.connect, settings_);
            if (target < 0) {
                refuse(client);
                continue;
            }
            auto greeting = settings_.proxy_protocol ? proxy_header(client) : std::vector<char>();
            std::make_shared<Pair>(loop_, client, target, std::move(greeting))->begin();
        }
    }

private:
    /// Nobody there: the client hears it as he would of a port that is closed.
    static void refuse(int client) {
        const linger at_once{1, 0};
        ::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        ::close(client);
    }

    /// Out of descriptors: those that wait are taken when others have ended.
    static void pause_if_full() {
        if (errno == EMFILE || errno == ENFILE) ::usleep(10'000);
    }

    Loop& loop_;
    const Settings& settings_;
    const Forward& forward_;
};

/// Datagrams: each sender has a socket of its own on the other side, by which answers find back.
class Datagrams final : public Waiter, public Loop::Janitor, public std::enable_shared_from_this<Datagrams> {
public:
    Datagrams(Loop& loop, const Settings& settings, const Forward& forward, int listener)
        : loop_(loop), settings_(settings), forward_(forward), listener_(listener) {}

    void ready(int fd, std::uint32_t /*events*/) override {
        if (fd == listener_) hand_on();
        else hand_back(fd);
    }

    void tidy() override {
        const auto now = Clock::now();
        for (auto it = senders_.begin(); it != senders_.end();) {
            if (now - it->second.heard < silence) {
                ++it;
                continue;
            }
            by_socket_.erase(it->second.socket);
            loop_.forget(it->second.socket);
            it = senders_.erase(it);
        }
    }

private:
    struct Sender {
        int socket = -1;
        Clock::time_point heard;
    };
    using Key = std::vector<char>;

    void hand_on() {
        while (true) {
            sockaddr_storage from{};
            socklen_t size = sizeof from;
            const ssize_t got =
                ::recvfrom(listener_, buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
            if (got < 0) return;
            const auto* bytes = reinterpret_cast<const char*>(&from);
            const int socket = socket_of(Key(bytes, bytes + size));
            if (socket >= 0) static_cast<void>(::send(socket, buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL));
        }
    }

    int socket_of(const Key& key) {
        const auto known = senders_.find(key);
        if (known != senders_.end()) {
            known->second.heard = Clock::now();
            return known->second.socket;
        }
        if (senders_.size() >= most_senders) return -1;
        const int socket = open_connection(forward_.connect, settings_);
        if (socket < 0) return -1;
        senders_.emplace(key, Sender{socket, Clock::now()});
        by_socket_.emplace(socket, key);
        loop_.watch(socket, EPOLLIN, shared_from_this());
        return socket;
    }

    void hand_back(int fd) {
        const auto key = by_socket_.find(fd);
        if (key == by_socket_.end()) return;
        while (true) {
            const ssize_t got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
            if (got < 0) return;
            senders_[key->second].heard = Clock::now();
            static_cast<void>(::sendto(listener_, buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL,
                                       reinterpret_cast<const sockaddr*>(key->second.data()),
                                       static_cast<socklen_t>(key->second.size())));
        }
    }

    Loop& loop_;
    const Settings& settings_;
    const Forward& forward_;
    int listener_;
    std::map<Key, Sender> senders_;
    std::map<int, Key> by_socket_;
    std::array<char, 65536> buffer_{};
};

}  // namespace

std::vector<int> listen_all(const Settings& settings, std::string& why) {
    std::vector<int> listeners;
    for (const auto& forward : settings.forwards) {
        const int fd = open_listener(forward.listen, settings);
        if (fd < 0) {
            const auto& end = forward.listen;
            why = "can't listen on " + end.protocol + ":" +
                  (end.protocol == "unix" ? end.path : end.address + ":" + std::to_string(end.port)) + ": " +
                  std::strerror(errno);
            for (const int open : listeners) ::close(open);
            return {};
        }
        listeners.push_back(fd);
    }
    return listeners;
}

void forward_all(const Settings& settings, const std::vector<int>& listeners) {
    Loop loop;
    std::vector<std::shared_ptr<Datagrams>> datagrams;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        const Forward& forward = settings.forwards[i];
        if (forward.listen.protocol == "udp") {
            datagrams.push_back(std::make_shared<Datagrams>(loop, settings, forward, listeners[i]));
            loop.tell(datagrams.back().get());
            loop.watch(listeners[i], EPOLLIN, datagrams.back());
        } else {
            loop.watch(listeners[i], EPOLLIN, std::make_shared<StreamListener>(loop, settings, forward));
        }
    }
    loop.run();
}

}  // namespace ctl::drivers::proxy

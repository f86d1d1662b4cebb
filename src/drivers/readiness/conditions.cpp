#include "drivers/readiness/conditions.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/pointer.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace ctl::drivers::readiness {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto command_deadline = 30s;
/// Entering a container takes a moment, also when the time is over.
constexpr milliseconds least_patience = 1s;
constexpr int not_entered = 125;  ///< ctl-lxc-enter's

/// This thread sees the container's network from now on.
Status enter_network(const ContainerFiles& files, const std::string& container) {
    const std::string path = files.network(container);
    const Fd network(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!network || ::setns(network.get(), CLONE_NEWNET) != 0) return system_error(errno, fmt::format("enter {}", path));
    return ok();
}

/// An address that others can reach it by: of whatever interface but the loopback.
class HasAddress final : public Condition {
public:
    static Result<std::unique_ptr<Condition>> make() {
        auto condition = std::make_unique<HasAddress>();
        sockaddr_nl address{};
        address.nl_family = AF_NETLINK;
        address.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
        condition->events_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
        if (!condition->events_ ||
            ::bind(condition->events_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            return system_error(errno, "listen for addresses");
        return std::unique_ptr<Condition>(std::move(condition));
    }

    Result<Look> look(milliseconds /*patience*/) override {
        ifaddrs* list = nullptr;
        if (::getifaddrs(&list) != 0) return system_error(errno, "read the addresses of the container");
        Look found{.seen = "no address on any interface"};
        for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
            if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
            if (one->ifa_addr->sa_family == AF_INET) found.met = true;
            if (one->ifa_addr->sa_family != AF_INET6) continue;
            const auto* six = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
            if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)) found.seen = "nothing but link-local addresses";
            else found.met = true;
        }
        ::freeifaddrs(list);
        return found;
    }

    int event() const override { return events_.get(); }

    void drain() override {
        std::array<char, 8192> heard;
        while (::recv(events_.get(), heard.data(), heard.size(), 0) > 0 || errno == ENOBUFS) continue;
    }

private:
    Fd events_;
};

/// Something listens on the TCP port, on whatever address: who connects from now on is taken. The kernel tells nobody when
/// a socket begins to listen.
class Listens final : public Condition {
public:
    explicit Listens(unsigned port) : port_(port) {}

    Result<Look> look(milliseconds /*patience*/) override {
        Look found{.seen = fmt::format("nothing listens on port {}", port_)};
        for (const char* table : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"})
            if (const auto text = read_file(table); text && has_listener(*text)) found.met = true;
        return found;
    }

private:
    /// "  0: 00000000:0016 00000000:0000 0A …": the local port in hexadecimal, and 0A for a socket that listens.
    [[nodiscard]] bool has_listener(std::string_view table) const {
        const std::string port = fmt::format(":{:04X} ", port_);
        for (const auto line : split(table, '\n')) {
            const std::size_t local = line.find(port);
            const std::size_t colon = line.find(": ");
            if (local == std::string_view::npos || colon == std::string_view::npos) continue;
            const auto rest = line.substr(local + port.size());
            const std::size_t blank = rest.find(' ');
            // The first address of the line is the local one.
            const bool is_local = line.substr(colon + 2, local - colon - 2).find(' ') == std::string_view::npos;
            if (is_local && blank != std::string_view::npos && rest.substr(blank + 1, 2) == "0A") return true;
        }
        return false;
    }

    unsigned port_;
};

/// A command in the container, run as `ctl exec` runs it.
Result<ProcessResult> run_inside(const ContainerFiles& files, const std::string& container,
                                 const std::vector<std::string>& command, milliseconds patience) {
    std::vector<std::string> argv{
        files.enter_helper(), "exec", container, files.lxcpath, files.started(container), "pipes", "", "", "--"};
    argv.insert(argv.end(), command.begin(), command.end());
    return run_process(argv, std::min<milliseconds>(command_deadline, std::max(patience, least_patience)));
}

std::string last_line(std::string_view text) {
    const auto lines = split(trimmed(text), '\n');
    return escaped(lines.back());
}

class Succeeds final : public Condition {
public:
    Succeeds(const ContainerFiles& files, std::string container, std::vector<std::string> command)
        : files_(files), container_(std::move(container)), command_(std::move(command)) {}

    Result<Look> look(milliseconds patience) override {
        const auto ended = run_inside(files_, container_, command_, patience);
        if (!ended && ended.error().code() == ErrorCode::timeout) return Look{.seen = "the command did not end in time"};
        if (!ended) return ended.error();
        if (ended->exit_code == 0) return Look{.met = true};
        const std::string said = last_line(ended->err.empty() ? ended->out : ended->err);
        return Look{.hopeless = ended->exit_code == not_entered,
                    .seen = fmt::format("the command ended with {}{}{}", ended->exit_code, said.empty() ? "" : ": ", said)};
    }

private:
    const ContainerFiles& files_;
    std::string container_;
    std::vector<std::string> command_;
};

/// What {"v1": {"datasource": …, "errors": […]}} says went wrong.
std::string errors_of(const std::string& result) {
    rapidjson::Document json;
    json.Parse<rapidjson::kParseIterativeFlag>(result.data(), result.size());
    const auto* errors = rapidjson::Pointer("/v1/errors").Get(json);
    std::string text;
    if (errors == nullptr || !errors->IsArray()) return text;
    for (const auto& error : errors->GetArray())
        if (error.IsString()) text += (text.empty() ? "" : "; ") + escaped(error.GetString());
    return text;
}

/// cloud-init writes its result last. Its directory is mounted while the container boots, so nothing can watch it before.
class CloudInitDone final : public Condition {
public:
    CloudInitDone(const ContainerFiles& files, std::string container) : files_(files), container_(std::move(container)) {}

    Result<Look> look(milliseconds patience) override {
        CTL_ASSIGN(const auto ended, run_inside(files_, container_, {"cat", "/run/cloud-init/result.json"}, patience));
        if (ended.exit_code == not_entered) return Look{.hopeless = true, .seen = last_line(ended.err)};
        if (ended.exit_code != 0) return Look{.seen = "cloud-init has not finished"};
        const std::string errors = errors_of(ended.out);
        if (errors.empty()) return Look{.met = true};
        return Look{.hopeless = true, .seen = "cloud-init failed: " + errors};
    }

private:
    const ContainerFiles& files_;
    std::string container_;
};

}  // namespace

Result<std::unique_ptr<Condition>> make_condition(const ContainerFiles& files, const std::string& container,
                                                  const model::Readiness& readiness) {
    const std::string condition = readiness.condition.value_or("");
    const auto arguments = readiness.arguments.value_or(std::vector<std::string>());
    if (condition == "exec" && !arguments.empty())
        return std::unique_ptr<Condition>(std::make_unique<Succeeds>(files, container, arguments));
    if (condition == "cloud-init") return std::unique_ptr<Condition>(std::make_unique<CloudInitDone>(files, container));
    if (condition == "address") {
        CTL_TRY(enter_network(files, container));
        return HasAddress::make();
    }
    unsigned port = 0;
    if (condition == "port" && arguments.size() == 1) {
        const auto& text = arguments.front();
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
        if (error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536) {
            CTL_TRY(enter_network(files, container));
            return std::unique_ptr<Condition>(std::make_unique<Listens>(port));
        }
    }
    return Error(ErrorCode::invalid, fmt::format("{} is nothing to wait for", ctl::quoted(condition)));
}

}  // namespace ctl::drivers::readiness

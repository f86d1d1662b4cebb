#include "drivers/dnsmasq/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace ctl::drivers::dnsmasq {

namespace {

using namespace std::chrono_literals;

constexpr auto start_deadline = 10s;
constexpr std::chrono::milliseconds end_patience = 3s;
constexpr std::chrono::milliseconds kill_patience = 10s;
// One that was killed has its sockets for a moment longer than its name.
constexpr std::chrono::milliseconds port_patience = 1s;
constexpr std::chrono::milliseconds port_pause = 10ms;
constexpr std::string_view config_option = "--conf-file=";

bool is_same_network(pid_t pid) {
    struct stat own {};
    struct stat other {};
    return ::stat("/proc/self/ns/net", &own) == 0 && ::stat(fmt::format("/proc/{}/ns/net", pid).c_str(), &other) == 0 &&
           own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

/// The program and its one argument, each with a NUL after it.
bool has_command_line(pid_t pid, const std::string& config) {
    const auto text = read_file(fmt::format("/proc/{}/cmdline", pid), 65536);
    if (!text) return false;
    const auto words = split(*text, '\0');
    return words.size() == 3 && (words[0] == "dnsmasq" || words[0].ends_with("/dnsmasq")) &&
           words[1] == std::string(config_option) + config && words[2].empty();
}

bool has_ended(const Fd& pidfd) {
    pollfd look{pidfd.get(), POLLIN, 0};
    return ::poll(&look, 1, 0) != 0;
}

/// The process if it is ours. The descriptor is opened first: what is read of /proc then is of the process that it stands
/// for, if that still lives afterwards.
std::optional<Process> open_if_ours(pid_t pid, const std::string& config) {
    Process process{pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
    if (!process.pidfd || !has_command_line(pid, config) || !is_same_network(pid) || has_ended(process.pidfd))
        return std::nullopt;
    return process;
}

std::optional<pid_t> to_pid(std::string_view text) {
    pid_t pid = -1;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (failed != std::errc() || end != text.data() + text.size() || pid <= 0) return std::nullopt;
    return pid;
}

std::optional<pid_t> pid_in(const std::string& file) {
    const auto text = read_file(file, 64);
    return text ? to_pid(trimmed(*text)) : std::nullopt;
}

bool wait_end(const Fd& pidfd, std::chrono::milliseconds patience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd look{pidfd.get(), POLLIN, 0};
        const int ready = ::poll(&look, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

Status send(const Process& process, int signal) {
    if (::syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0) == 0 || errno == ESRCH) return ok();
    return system_error(errno, fmt::format("send a signal to dnsmasq (process {})", process.pid));
}

/// dnsmasq's own words on one line, without its name in front: it says one thing and ends.
std::string own_words(const ProcessResult& result) {
    std::string words(trimmed(result.err));
    if (words.empty()) words = fmt::format("it ended with exit code {}", result.exit_code);
    constexpr std::string_view prefix = "dnsmasq: ";
    return words.starts_with(prefix) ? words.substr(prefix.size()) : words;
}

}  // namespace

std::optional<Process> find_process(const std::string& config, const std::string& pid_file) {
    if (const auto pid = pid_in(pid_file))
        if (auto process = open_if_ours(*pid, config)) return process;
    std::error_code failed;
    for (std::filesystem::directory_iterator it("/proc", failed), end; !failed && it != end; it.increment(failed)) {
        const auto pid = to_pid(it->path().filename().native());
        if (!pid || !has_command_line(*pid, config)) continue;
        if (auto process = open_if_ours(*pid, config)) return process;
    }
    return std::nullopt;
}

Result<std::string> find_dnsmasq() {
    if (auto program = find_program("dnsmasq")) return std::move(*program);
    return Error(ErrorCode::missing_driver, "dnsmasq, which gives out addresses and names, is not installed")
        .hint("apt-get install dnsmasq-base");
}

Status start_process(const std::string& config) {
    CTL_ASSIGN(const std::string program, find_dnsmasq());
    const auto end = std::chrono::steady_clock::now() + port_patience;
    while (true) {
        // It goes into the background by itself, once it has its sockets; until then its words are on standard error.
        CTL_ASSIGN(const ProcessResult result, run_process({program, std::string(config_option) + config}, start_deadline));
        if (result.exit_code == 0) return ok();
        const std::string words = own_words(result);
        Error error(ErrorCode::io, fmt::format("dnsmasq can't start: {}", escaped(words)));
        if (words.find("Address already in use") == std::string::npos) return error;
        if (std::chrono::steady_clock::now() >= end)
            return std::move(error).hint("see who has the port: ss -lntup 'sport = 53 or sport = 67 or sport = 547'");
        std::this_thread::sleep_for(port_pause);
    }
}

Status reload(const Process& process) { return send(process, SIGHUP); }

Status stop_process(const Process& process) {
    CTL_TRY(send(process, SIGTERM));
    if (wait_end(process.pidfd, end_patience)) return ok();
    CTL_TRY(send(process, SIGKILL));
    if (wait_end(process.pidfd, kill_patience)) return ok();
    return Error(ErrorCode::timeout, fmt::format("dnsmasq (process {}) does not end", process.pid));
}

Status check_syntax(const std::string& text, const std::string& name) {
    CTL_ASSIGN(const std::string program, find_dnsmasq());
    // In memory: a check writes nothing on the host.
    const Fd file(::memfd_create("dnsmasq.conf", MFD_CLOEXEC));
    if (!file) return system_error(errno, "make a file in memory");
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return system_error(errno, "write a file in memory");
    const std::string path = fmt::format("/proc/{}/fd/{}", ::getpid(), file.get());
    CTL_ASSIGN(const ProcessResult result,
               run_process({program, "--test", std::string(config_option) + path}, start_deadline));
    if (result.exit_code == 0) return ok();
    std::string words = own_words(result);
    // "bad option at line 21 of /proc/42/fd/9": the line is of a file that the person has not written.
    if (const std::size_t at = words.find(" of " + path); at != std::string::npos) {
        const std::size_t digits = words.find_last_not_of("0123456789", at - 1) + 1;
        std::size_t number = 0;
        std::from_chars(words.data() + digits, words.data() + at, number);
        const auto lines = split(text, '\n');
        const std::size_t begin = words.rfind(" at line ", at);
        const std::string line(number > 0 && number <= lines.size() ? lines[number - 1] : std::string_view());
        words = fmt::format("{}: {}", words.substr(0, begin), ctl::quoted(line));
    }
    return Error(ErrorCode::invalid, fmt::format("dnsmasq refuses the settings of network {}: {}", name, escaped(words)))
        .hint("see raw.dnsmasq of the network");
}

}  // namespace ctl::drivers::dnsmasq

// ctl-proxy CONFIG PIDFILE: listens as its configuration says, puts itself into the background, writes its number into
// PIDFILE and hands on until it is ended. What keeps it from listening is said on standard error before.

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "drivers/proxy/forward.h"

namespace {

using namespace ctl::drivers::proxy;

constexpr unsigned close_range_all = 0;

std::vector<std::uint16_t> ports_of(const std::string& text) {
    std::vector<std::uint16_t> ports;
    std::istringstream ranges(text);
    for (std::string range; std::getline(ranges, range, ',');) {
        const std::size_t dash = range.find('-');
        const long first = std::strtol(range.c_str(), nullptr, 10);
        const long last = dash == std::string::npos ? first : std::strtol(range.c_str() + dash + 1, nullptr, 10);
        for (long port = first; port <= last; ++port) ports.push_back(static_cast<std::uint16_t>(port));
    }
    return ports;
}

/// tcp:ADDRESS:PORTS as an end for each port; the text has been checked by whoever wrote it.
std::vector<End> ends_of(const std::string& text) {
    const std::size_t colon = text.find(':');
    End end;
    end.protocol = text.substr(0, colon);
    const std::string rest = text.substr(colon + 1);
    if (end.protocol == "unix") {
        end.path = rest;
        return {end};
    }
    const std::size_t last = rest.rfind(':');
    end.address = rest.substr(0, last);
    if (end.address.starts_with('[')) end.address = end.address.substr(1, end.address.size() - 2);
    std::vector<End> ends;
    for (const auto port : ports_of(rest.substr(last + 1))) {
        end.port = port;
        ends.push_back(end);
    }
    return ends;
}

Settings read_settings(const char* path) {
    Settings settings;
    std::vector<End> listen;
    std::vector<End> connect;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        const std::size_t blank = line.find(' ');
        if (blank == std::string::npos) continue;
        const std::string key = line.substr(0, blank);
        const std::string value = line.substr(blank + 1);
        const auto number = [&](int base) { return static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, base)); };
        if (key == "listen") listen = ends_of(value);
        else if (key == "connect") connect = ends_of(value);
        else if (key == "bind") settings.in_container = value == "container";
        else if (key == "container") settings.inside.container = value;
        else if (key == "lxcpath") settings.inside.lxcpath = value;
        else if (key == "network") settings.inside.network = value;
        else if (key == "proxy_protocol")
            settings.proxy_protocol = value == "true" || value == "1" || value == "yes" || value == "on";
        else if (key == "mode") settings.mode = number(8);
        else if (key == "uid") settings.uid = number(10);
        else if (key == "gid") settings.gid = number(10);
        else if (key == "security.uid") settings.run_as_uid = number(10);
        else if (key == "security.gid") settings.run_as_gid = number(10);
    }
    for (std::size_t i = 0; i < listen.size() && !connect.empty(); ++i)
        settings.forwards.push_back({listen[i], connect[connect.size() == 1 ? 0 : i]});
    return settings;
}

int fail(const std::string& message) {
    std::fprintf(stderr, "%s", message.c_str());
    return 1;
}

/// Its own session, in nobody's directory, with nobody's descriptors.
void detach_from_caller(const std::vector<int>& keep) {
    ::setsid();
    static_cast<void>(!::chdir("/"));
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, fd);
    unsigned next = 3;
    for (const int fd : keep) {
        if (static_cast<unsigned>(fd) > next)
            ::syscall(SYS_close_range, next, static_cast<unsigned>(fd) - 1, close_range_all);
        next = static_cast<unsigned>(fd) + 1;
    }
    ::syscall(SYS_close_range, next, ~0U, close_range_all);
}

bool write_pid(const std::string& path, pid_t pid) {
    const std::string aside = path + ".new";
    std::ofstream file(aside, std::ios::trunc);
    file << pid << '\n';
    file.close();
    return file && ::rename(aside.c_str(), path.c_str()) == 0;
}

/// Another user, who may still look for the container and enter its network, and nothing else that root may.
bool become(unsigned uid, unsigned gid) {
    if (uid == 0 && gid == 0) return true;
    if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0) return false;
    if (uid == 0) return true;
    // For good: neither the real nor the saved id leads back.
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || ::setresuid(uid, uid, uid) != 0) return false;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
    for (const unsigned capability : {CAP_SYS_ADMIN, CAP_SYS_PTRACE}) sets[0].permitted |= 1U << capability;
    sets[0].effective = sets[0].permitted;
    return ::syscall(SYS_capset, &header, sets) == 0;
}

/// Ranges of ports and many connections take more files than a shell usually grants.
void raise_file_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("usage: ctl-proxy CONFIG PIDFILE\n", stderr);
        return 64;
    }
    ::signal(SIGPIPE, SIG_IGN);
    ::umask(077);
    raise_file_limit();
    const Settings settings = read_settings(argv[1]);
    if (settings.forwards.empty()) return fail("the configuration names nothing to hand on");
    std::string why;
    const auto listeners = listen_all(settings, why);
    if (listeners.empty()) return fail(why);
    const pid_t child = ::fork();
    if (child < 0) return fail("can't fork");
    if (child > 0) {
        if (write_pid(argv[2], child)) return 0;
        ::kill(child, SIGKILL);
        return fail("can't write " + std::string(argv[2]));
    }
    detach_from_caller(listeners);
    if (!become(settings.run_as_uid, settings.run_as_gid)) return 1;
    forward_all(settings, listeners);
    return 0;
}

#include "support/own_namespaces.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace ctl::testing {

namespace {

std::string failed(const std::string& what) { return what + ": " + std::strerror(errno); }

std::string enter() {
    if (::geteuid() != 0) return "needs root";
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return failed("can't make namespaces");
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return failed("can't make mounts private");
    if (::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return failed("can't mount sysfs");
    if (::mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) return failed("can't mount a tmpfs on /run");
    sh("ip link set lo up");
    return {};
}

}  // namespace

std::string enter_own_namespaces() {
    static const std::string outcome = enter();
    return outcome;
}

std::string run_dir() { return "/run/ctl"; }

std::string sh(const std::string& command) {
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error(failed(command));
    std::string out;
    std::array<char, 4096> buffer{};
    while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) out.append(buffer.data(), size);
    const int status = ::pclose(pipe);
    if (status != 0) throw std::runtime_error("failed: " + command);
    while (out.ends_with('\n')) out.pop_back();
    return out;
}

}  // namespace ctl::testing

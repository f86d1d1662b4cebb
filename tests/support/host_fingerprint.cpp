#include "support/host_fingerprint.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <regex>

#include <fmt/format.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace ctl::testing {

namespace {

namespace fs = std::filesystem;

void add_lines(HostFingerprint& facts, const std::string& what, const std::string& text) {
    for (const std::string_view line : split(text, '\n')) {
        if (!trimmed(line).empty()) facts.insert(what + " " + std::string(trimmed(line)));
    }
}

void add_command(HostFingerprint& facts, const std::string& what, const std::vector<std::string>& argv) {
    const auto result = run_process(argv, std::chrono::seconds{20});
    if (!result || result->exit_code != 0) return;
    static const std::regex countdown("expires [0-9]+sec");
    add_lines(facts, what, std::regex_replace(result->out, countdown, ""));
}

void add_mounts(HostFingerprint& facts) {
    const auto text = read_file("/proc/self/mountinfo");
    if (!text) return;
    for (const std::string_view line : split(*text, '\n')) {
        const auto words = split(line, ' ');
        if (words.size() > 5) facts.insert("mount " + std::string(words[4]) + " of " + std::string(words[3]));
    }
}

void add_cgroups(HostFingerprint& facts) {
    std::error_code failure;
    fs::recursive_directory_iterator it("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, failure);
    for (; !failure && it != fs::recursive_directory_iterator(); it.increment(failure)) {
        const std::string name = it->path().filename();
        const bool is_of_ours = name.starts_with("ctl") || name.starts_with("lxc");
        if (is_of_ours && it->is_directory(failure)) facts.insert("cgroup " + it->path().string());
    }
}

void add_processes(HostFingerprint& facts) {
    static constexpr std::array<std::string_view, 6> kinds{"ctl", "lxc", "[lxc", "dnsmasq", "ovsdb-server", "ovs-vswitchd"};
    std::error_code failure;
    for (fs::directory_iterator it("/proc", failure); !failure && it != fs::directory_iterator(); it.increment(failure)) {
        const std::string pid = it->path().filename();
        if (std::isdigit(static_cast<unsigned char>(pid.front())) == 0) continue;
        const auto comm = read_file(it->path() / "comm");
        if (!comm) continue;
        const std::string_view name = trimmed(*comm);
        // The program that takes the fingerprint is one of ours too.
        if (name.starts_with("ctl-host-finger")) continue;
        const bool is_of_ours = std::ranges::any_of(kinds, [&](std::string_view kind) { return name.starts_with(kind); });
        if (is_of_ours) facts.insert("process " + pid + " " + std::string(name));
    }
}

void add_directory(HostFingerprint& facts, const std::string& path) {
    std::error_code failure;
    if (fs::exists(path, failure)) facts.insert("directory " + path);
    for (fs::directory_iterator it(path, failure); !failure && it != fs::directory_iterator(); it.increment(failure)) {
        facts.insert("entry " + it->path().string());
    }
}

/// Owner and mode of what containers are made of: a test that changes them has left its tree.
void add_file(HostFingerprint& facts, const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return;
    facts.insert(fmt::format("file {} {}:{} {:o} {} bytes", path, info.st_uid, info.st_gid, info.st_mode, info.st_size));
}

/// Entries whose names begin like those of the scratch directories of ctl and its tests: others come and go beside them. The
/// directory that sandboxes share stays.
void add_scratch(HostFingerprint& facts, const std::string& path, std::string_view beginning) {
    std::error_code failure;
    for (fs::directory_iterator it(path, failure); !failure && it != fs::directory_iterator(); it.increment(failure)) {
        const std::string name = it->path().filename();
        if (name.starts_with(beginning) && name != "ctl-sandbox") facts.insert("scratch " + it->path().string());
    }
}

}  // namespace

HostFingerprint take_host_fingerprint() {
    HostFingerprint facts;
    add_file(facts, "/bin/busybox");
    add_command(facts, "link", {"ip", "-br", "link"});
    add_command(facts, "address", {"ip", "-br", "addr"});
    add_command(facts, "route", {"ip", "route", "show", "table", "all"});
    add_command(facts, "route6", {"ip", "-6", "route", "show", "table", "all"});
    add_command(facts, "rule", {"nft", "list", "tables"});
    add_command(facts, "sysctl", {"sysctl", "-a", "-r", "^net[.](ipv[46][.]conf|core|bridge)[.]"});
    add_command(facts, "loop", {"losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"});
    add_mounts(facts);
    add_cgroups(facts);
    add_processes(facts);
    for (const char* path : {"/run/netns", "/run/ctl", "/var/lib/ctl", "/var/lib/lxc"}) add_directory(facts, path);
    for (const char* path : {"/tmp", "/var/tmp"}) add_scratch(facts, path, "ctl-");
    add_scratch(facts, "/var/tmp/ctl-sandbox", "");
    return facts;
}

std::vector<std::string> differences(const HostFingerprint& before, const HostFingerprint& after) {
    std::vector<std::string> lines;
    for (const std::string& fact : before) {
        if (!after.contains(fact)) lines.push_back("gone: " + fact);
    }
    for (const std::string& fact : after) {
        if (!before.contains(fact)) lines.push_back("new: " + fact);
    }
    return lines;
}

}  // namespace ctl::testing

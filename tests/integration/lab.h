#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/sandbox.h"
#include "support/skip.h"

/// Leaves the test case, counted as skipped, on a machine that can't have a sandbox.
#define CTL_SKIP_WITHOUT_SANDBOX()                                   \
    const auto no_sandbox = ctl::testing::Sandbox::why_impossible(); \
    CTL_SKIP_IF(no_sandbox, *no_sandbox)

namespace ctl::testing {

/// This build's ctl, for lines of shell.
inline const std::string program = CTL_BINARY_DIR "/ctl";

/// Shell that waits until a condition, shell too, holds; after half a minute it ends the script with 99.
[[nodiscard]] inline std::string shell_until(const std::string& condition) {
    return "waits=0; until " + condition + "; do waits=$((waits + 1)); test $waits -lt 600 || exit 99; sleep 0.05; done";
}

/// What other people's tools say about a host, one fact a key: "link/web:eth0 mtu" → "1500". Links with their index, MTU,
/// MAC, master, flag and addresses; routes; containers with their state, init process, config, limits and mount table.
using Facts = std::map<std::string, std::string>;

/// Keys whose value is another one, new or gone.
[[nodiscard]] std::set<std::string> changed_keys(const Facts& before, const Facts& after);

/// The head of a stack of that name: a pool, the busybox image, and a default profile with a root disk.
[[nodiscard]] std::string busybox_ground(const std::string& stack);

[[nodiscard]] inline bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// The text with `to` where `from` first stands; fails the test if it stands nowhere.
[[nodiscard]] std::string replaced(std::string text, std::string_view from, std::string_view to);

/// A sandbox with questions that tests of whole stacks ask. Stacks are written where only the sandbox sees them.
class Lab : public Sandbox {
public:
    /// The path of a file with this text.
    std::string write(const std::string& name, const std::string& text) const;
    /// The text of a file below the source directory.
    [[nodiscard]] static std::string source(const std::string& file);

    /// Applies it and fails the test unless that ends well and leaves nothing to do.
    void must_apply(const std::string& file, std::vector<std::string> more = {}) const;
    /// Deletes it and fails the test unless that ends well and leaves nothing to do.
    void must_delete(const std::string& file) const;
    /// What ctl plans, a line a change: "container/web update live: memory_limit changed".
    [[nodiscard]] std::vector<std::string> planned(const std::string& file, std::vector<std::string> more = {}) const;

    /// What a script prints, without blanks around it; fails the test unless it ends with 0.
    [[nodiscard]] std::string line(const std::string& script) const;
    /// Runs a script again and again until it ends with 0; fails the test, with what it said last, if that takes too long.
    void wait_for(const std::string& script, std::chrono::seconds deadline = std::chrono::seconds{20}) const;
    /// Whether a pool of btrfs in a loop file can be made here.
    [[nodiscard]] bool has_btrfs() const;

    [[nodiscard]] Facts facts() const;
    /// The first process of a running container, as the sandbox numbers it; "-1" when it doesn't run.
    [[nodiscard]] std::string init_pid(const std::string& container) const;
    /// A line of shell inside a container.
    [[nodiscard]] Output attach(const std::string& container, const std::string& script) const;
    /// The same in its network namespace, with the host's tools.
    [[nodiscard]] Output in_netns(const std::string& container, const std::string& script) const;
    /// Waits for an answer; `container` empty: from the host.
    [[nodiscard]] bool pings(const std::string& container, const std::string& address) const;

    /// Links, pinned namespaces, mounts, cgroups and files of the kinds that ctl makes.
    [[nodiscard]] std::set<std::string> traces() const;
    /// Fails the test if there are others now than there were, save for what ctl makes once and keeps.
    void check_nothing_left(const std::set<std::string>& before) const;
};

/// A `ctl watch` of a directory that runs beside the test, until it is ended or its sandbox goes. One at a time.
class Watch {
public:
    /// Comes back when it has read the stack, which must be in the directory already.
    explicit Watch(const Lab& lab, const std::string& directory = "/run/lab");

    /// Asks it to end; its exit code.
    [[nodiscard]] int end() const;
    [[nodiscard]] std::string log() const;
    [[nodiscard]] bool has_said(std::string_view text) const { return has(log(), text); }
    /// A line of shell that prints its process.
    static constexpr const char* pid = "cat /run/watch/pid";

private:
    const Lab& lab_;
};

}  // namespace ctl::testing

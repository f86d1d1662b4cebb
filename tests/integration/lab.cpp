#include "lab.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "support/wait.h"

namespace ctl::testing {

namespace {

constexpr const char* folder = "/run/lab";

/// Prints "key TAB value" lines.
constexpr const char* ask_for_facts = R"sh(
links() {
    jq -r --arg scope "$1" '.[] | "link/\($scope)\(.ifname)" as $link |
        "\($link) index\t\(.ifindex)", "\($link) mtu\t\(.mtu)", "\($link) mac\t\(.address)",
        "\($link) master\t\(.master // "")", "\($link) up\t\(.flags | index("UP") != null)",
        "\($link) addresses\t\([.addr_info[] | select(.scope != "link") | "\(.local)/\(.prefixlen)"] | sort | join(" "))"'
}
routes() {
    jq -r --arg scope "$1" '.[] | select(.protocol != "kernel") | "route/\($scope)\(.dst)\t\(.gateway) \(.dev)"'
}
limit() {
    for file in "$3" "$4"; do
        [ -e "/sys/fs/cgroup/$file" ] && printf 'container/%s %s\t%s\n' "$1" "$2" "$(cat "/sys/fs/cgroup/$file")"
    done
}
ip -j addr | links ""
ip -j route | routes ""
for directory in /run/ctl/namespaces/*/; do
    name=$(basename "$directory")
    [ -e "$directory/net" ] || continue
    nsenter --net="$directory/net" ip -j addr | links "$name:"
    nsenter --net="$directory/net" ip -j route | routes "$name:"
done
for directory in /var/lib/ctl/containers/*/; do
    name=$(basename "$directory")
    [ -e "$directory/config" ] || continue
    printf 'container/%s config\t%s\n' "$name" "$(sha256sum < "$directory/config")"
    printf 'container/%s state\t%s\n' "$name" "$(lxc-info -P /var/lib/ctl/containers -n "$name" -s -H)"
    init=$(lxc-info -P /var/lib/ctl/containers -n "$name" -p -H)
    [ "$init" -gt 0 ] 2> /dev/null || continue
    printf 'container/%s init\t%s\n' "$name" "$init"
    printf 'container/%s mounts\t%s\n' "$name" "$(awk '{ print $5, substr($6, 1, 2) }' "/proc/$init/mountinfo" | sort | tr '\n' ';')"
    limit "$name" memory memory/ctl/$name/payload/memory.limit_in_bytes ctl/$name/payload/memory.max
    limit "$name" processes pids/ctl/$name/payload/pids.max ctl/$name/payload/pids.max
done
true
)sh";

constexpr const char* ask_for_traces = R"sh(
ip -br link | sed 's/@.*//; s/ .*//; s/^/link /'
find /run/ctl/namespaces /run/ctl/containers /var/lib/ctl/containers /var/lib/ctl/pools -mindepth 1 2> /dev/null
find /var/lib/ctl/images -mindepth 1 -not -path '*/rootfs/*' 2> /dev/null
findmnt -rno TARGET | grep -E '/ctl/.*/' | sed 's/^/mount /'
find /sys/fs/cgroup -type d -path '*/ctl*' -not -path '*/ctl-sandbox*' 2> /dev/null
true
)sh";

std::string lxc_path() { return "/var/lib/ctl/containers"; }

}  // namespace

std::set<std::string> changed_keys(const Facts& before, const Facts& after) {
    std::set<std::string> keys;
    for (const auto& [key, value] : before)
        if (const auto now = after.find(key); now == after.end() || now->second != value) keys.insert(key);
    for (const auto& [key, value] : after)
        if (!before.contains(key)) keys.insert(key);
    return keys;
}

std::string Lab::write(const std::string& name, const std::string& text) const {
    const std::string path = std::string(folder) + "/" + name;
    const Output written = run({"sh", "-c", R"sh(mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1")sh", "sh", path, text});
    REQUIRE_MESSAGE(written.exit_code == 0, written.err);
    return path;
}

std::string Lab::source(const std::string& file) {
    const auto text = read_file((std::filesystem::path(CTL_SOURCE_DIR) / file).string());
    REQUIRE(text);
    return *text;
}

void Lab::must_apply(const std::string& file, std::vector<std::string> more) const {
    const Output applied = apply(file, more);
    REQUIRE_MESSAGE(applied.exit_code == 0, file, ": ", applied.out, applied.err);
    const Output again = plan(file);
    CHECK_MESSAGE(again.exit_code == 0, "the second plan of ", file, " is not empty: ", again.out, again.err);
}

void Lab::must_delete(const std::string& file) const {
    const std::string path = (std::filesystem::path(CTL_SOURCE_DIR) / file).string();
    const Output deleted = ctl({"delete", "-f", path, "--yes"});
    REQUIRE_MESSAGE(deleted.exit_code == 0, deleted.out, deleted.err);
    const Output again = ctl({"delete", "-f", path});
    CHECK_MESSAGE(again.exit_code == 0, again.out, again.err);
}

std::vector<std::string> Lab::planned(const std::string& file, std::vector<std::string> more) const {
    more.insert(more.begin(), {"-o", "json"});
    const Output output = plan(file, std::move(more));
    REQUIRE_MESSAGE((output.exit_code == 0 || output.exit_code == 2), output.out, output.err);
    const auto json = output.json();
    std::vector<std::string> lines;
    for (const auto& change : json["changes"].GetArray())
        lines.push_back(std::string(change["id"].GetString()) + " " + change["verb"].GetString() + " " +
                        change["effect"].GetString() + ": " + change["reason"].GetString());
    return lines;
}

std::string busybox_ground(const std::string& stack) {
    return "stack: " + stack + R"(
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
)";
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    REQUIRE_MESSAGE(at != std::string::npos, "nowhere is there ", std::string(from));
    return text.replace(at, from.size(), to);
}

std::string Lab::line(const std::string& script) const { return std::string(trimmed(must(script))); }

void Lab::wait_for(const std::string& script, std::chrono::seconds deadline) const {
    Output last;
    const bool came = wait_until(
        [&] {
            last = sh(script);
            return last.exit_code == 0;
        },
        deadline);
    REQUIRE_MESSAGE(came, "waited in vain for: ", script, ": ", last.out, last.err);
}

bool Lab::has_btrfs() const {
    return sh("command -v mkfs.btrfs && grep -qw btrfs /proc/filesystems && test -e /dev/loop-control").exit_code == 0;
}

Facts Lab::facts() const {
    Facts facts;
    const std::string lines = must(ask_for_facts);
    for (const std::string_view line : split(lines, '\n')) {
        const std::size_t tab = line.find('\t');
        if (tab != std::string_view::npos) facts.emplace(line.substr(0, tab), line.substr(tab + 1));
    }
    return facts;
}

std::string Lab::init_pid(const std::string& container) const {
    const Output output = run({"lxc-info", "-P", lxc_path(), "-n", container, "-p", "-H"});
    return output.exit_code == 0 && !output.out.empty() ? std::string(trimmed(output.out)) : "-1";
}

Output Lab::attach(const std::string& container, const std::string& script) const {
    return run({"lxc-attach", "-P", lxc_path(), "-n", container, "--clear-env", "--", "/bin/sh", "-c", script});
}

Output Lab::in_netns(const std::string& container, const std::string& script) const {
    return run({"nsenter", "--net=/run/ctl/namespaces/" + container + "/net", "--", "sh", "-c", script});
}

bool Lab::pings(const std::string& container, const std::string& address) const {
    // Busybox's ping has no -W of fractions; one second covers the neighbour's answer and is tried a few times.
    const std::string ping = "ping -c 1 -W 1 " + address;
    return wait_until([&] { return (container.empty() ? sh(ping) : attach(container, ping)).exit_code == 0; },
                      std::chrono::seconds{5});
}

std::set<std::string> Lab::traces() const {
    const std::string lines = must(ask_for_traces);
    std::set<std::string> traces;
    for (const std::string_view line : split(lines, '\n'))
        if (!line.empty()) traces.emplace(line);
    return traces;
}

void Lab::check_nothing_left(const std::set<std::string>& before) const {
    // The store of images stays, a switch keeps its own devices once it has had a bridge, and the kernel's module for GRE
    // brings three along.
    const std::set<std::string> furniture{"/var/lib/ctl/images/sha256",
                                          "/var/lib/ctl/images/.lock",
                                          "link ovs-netdev",
                                          "link ovs-system",
                                          "link gre0",
                                          "link gretap0",
                                          "link erspan0"};
    std::vector<std::string> left;
    for (const auto& trace : traces())
        if (!before.contains(trace) && !furniture.contains(trace)) left.push_back(trace);
    CHECK_MESSAGE(left.empty(), "left behind: ", joined(left, "\n"));
}

Watch::Watch(const Lab& lab, const std::string& directory) : lab_(lab) {
    lab.must("rm -rf /run/watch && mkdir /run/watch");
    // What waits for its end is a shell, which renames the code in: it is never seen half-written.
    lab.must("(sh -c 'echo $$ > /run/watch/pid; exec " + program + " watch " + directory +
             "' > /run/watch/log 2>&1; echo $? > /run/watch/end; mv /run/watch/end /run/watch/code) > /dev/null 2>&1 &");
    REQUIRE_MESSAGE(wait_until([&] { return lab.sh("grep -q 'read the stack' /run/watch/log").exit_code == 0; },
                               std::chrono::seconds{20}),
                    lab.sh("cat /run/watch/log").out);
}

int Watch::end() const {
    lab_.must(std::string("kill -TERM $(") + pid + ")");
    REQUIRE_MESSAGE(wait_until([&] { return lab_.sh("test -e /run/watch/code").exit_code == 0; }, std::chrono::seconds{20}),
                    log());
    return std::stoi(lab_.must("cat /run/watch/code"));
}

// Asserts nothing: it is asked for in the messages of assertions, and doctest locks itself out there.
std::string Watch::log() const { return lab_.sh("cat /run/watch/log").out; }

}  // namespace ctl::testing

#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// Keys of containers beside limits: each is set, changed and unset on a container that runs. What it comes to is read with
// other people's tools, what it costs is in the plan, and the container beside it is left alone.

namespace ctl::testing {
namespace {

const std::string base = busybox_ground("keys") + R"(containers:
- {name: b, image: busybox}
- name: a
  image: busybox
  config:
    user.note: x
)";

struct Row {
    std::string first;   ///< config line
    std::string second;  ///< the same key with another value
    std::string effect;  ///< live or restart
    std::string script;  ///< tells what it came to; $init is the container's first process
    std::string unset;   ///< what it tells without the key
    std::string is_first;
    std::string is_second;
};

std::string config_line(const std::string& pattern) {
    return "sed -n 's/^" + pattern + " //p' /var/lib/ctl/containers/a/config | tr '\\n' ' '";
}
const std::string environ_of_init = "tr '\\0' '\\n' < /proc/$init/environ | sed -n 's/^KEY=//p'";
const std::string ids = "awk '{ print $2, $3; exit }' /proc/$init/uid_map";

const std::vector<Row> rows{
    {"environment.KEY: one", "environment.KEY: two words", "restart", environ_of_init, "", "one", "two words"},
    {"boot.autostart: true", "boot.autostart: false", "live", config_line("lxc.start.auto ="), "", "1", "0"},
    {"boot.autostart.priority: 5", "boot.autostart.priority: 7", "live", config_line("lxc.start.order ="), "", "5", "7"},
    {"boot.autostart.delay: 3", "boot.autostart.delay: 9", "live", config_line("lxc.start.delay ="), "", "3", "9"},
    {"boot.stop.priority: 5", "boot.stop.priority: -7", "live", config_line("#= stop_priority"), "", "5", "-7"},
    {"boot.host_shutdown_timeout: 3", "boot.host_shutdown_timeout: 4", "live", config_line("#= stop_timeout"), "", "3", "4"},
    {"limits.cpu: 1", "limits.cpu: 0-1", "live",
     "cat /sys/fs/cgroup/cpuset/ctl/a/payload/cpuset.cpus /sys/fs/cgroup/ctl/a/payload/cpuset.cpus.effective 2>/dev/null",
     "", "0", "0-1"},
    {"limits.kernel.nofile: 300:400", "limits.kernel.nofile: 500", "restart",
     "prlimit --pid $init --nofile --noheadings -o SOFT,HARD | tr -s ' '", "", "300 400", "500 500"},
    {"linux.sysctl.net.ipv4.conf.all.forwarding: 1", "linux.sysctl.net.ipv4.conf.all.forwarding: 0", "restart",
     "nsenter -t $init -n sysctl -n net.ipv4.conf.all.forwarding", "0", "1", "0"},
    {"raw.lxc: lxc.environment = KEY=raw", "raw.lxc: lxc.environment = KEY=rawer", "restart", environ_of_init, "", "raw",
     "rawer"},
    {"security.idmap.size: 30000", "security.idmap.size: 70000", "restart", ids, "100000 65536", "100000 30000",
     "100000 70000"},
    {"security.idmap.base: 200000", "security.idmap.base: 300000", "restart", ids, "100000 65536", "200000 65536",
     "300000 65536"},
    {"security.privileged: true", "security.privileged: false", "restart", ids, "100000 65536", "0 4294967295",
     "100000 65536"},
    {"security.nesting: true", "security.nesting: false", "restart", "grep -c ' /dev/.lxc/sys ' /proc/$init/mountinfo", "0",
     "1", "0"},
    {"security.syscalls.deny: sethostname errno 13", "security.syscalls.deny: sethostname errno 14", "restart",
     "lxc-attach -P /var/lib/ctl/containers -n a -- hostname a 2>&1 | sed 's/.*: //'", "", "Permission denied",
     "Bad address"},
    {"raw.seccomp: \"2\\ndenylist\\n[all]\\nsethostname errno 13\"",
     "raw.seccomp: \"2\\ndenylist\\n[all]\\nsethostname errno 14\"", "restart",
     "lxc-attach -P /var/lib/ctl/containers -n a -- hostname a 2>&1 | sed 's/.*: //'", "", "Permission denied",
     "Bad address"},
    {"cloud-init.vendor-data: '#cloud-config one'", "cloud-init.vendor-data: '#cloud-config two'", "live",
     "jq -r '.[\"vendor-data\"] // \"\"' /var/lib/ctl/containers/a/seed.json 2>/dev/null", "", "#cloud-config one",
     "#cloud-config two"},
    {"cloud-init.user-data: '#cloud-config one'", "cloud-init.user-data: '#cloud-config two'", "live",
     "jq -r '.[\"user-data\"] // \"\"' /var/lib/ctl/containers/a/seed.json 2>/dev/null", "", "#cloud-config one",
     "#cloud-config two"},
};

class KeyLab : public Lab {
public:
    /// Applies the config line (none: the base) and checks what that costs and comes to.
    void apply(const Row& row, const std::string& line, const std::string& expected, const std::string& before) const {
        CAPTURE(line);
        const std::string old = init_pid("a");
        const std::string file = write("stack.yaml", base + (line.empty() ? "" : "    " + line + "\n"));
        // Said as it is by default, a key may come to nothing.
        const auto plan = planned(file);
        if (expected != before) {
            REQUIRE_MESSAGE(!plan.empty(), row.first);
            for (const auto& change : plan) CHECK_MESSAGE((has(change, "/a ") || has(change, "/a:")), change);
            CHECK_MESSAGE(has(joined(plan, "\n"), " update " + row.effect + ": "), joined(plan, "\n"));
        }
        must_apply(file);
        CHECK_MESSAGE(told(row) == expected, row.first);
        if (row.effect == "live") CHECK_MESSAGE(init_pid("a") == old, row.first);
    }

    [[nodiscard]] std::string told(const Row& row) const {
        return std::string(trimmed(sh("init=" + init_pid("a") + "\n" + row.script).out));
    }
};

}  // namespace

TEST_CASE("each key of a container is set, changed and unset while it runs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const KeyLab lab;
    const auto before = lab.traces();
    lab.must_apply(lab.write("stack.yaml", base));
    const std::string neighbour = lab.init_pid("b");
    for (const auto& row : rows) {
        CAPTURE(row.first);
        const std::string by_default = lab.told(row);
        if (!row.unset.empty()) CHECK_MESSAGE(by_default == row.unset, row.first);
        CHECK_MESSAGE(by_default != row.is_first, row.first, " changes nothing");
        lab.apply(row, row.first, row.is_first, by_default);
        lab.apply(row, row.second, row.is_second, row.is_first);
        lab.apply(row, "", by_default, row.is_second);
        CHECK_MESSAGE(lab.init_pid("b") == neighbour, row.first);
    }
    lab.must_delete("/run/lab/stack.yaml");
    lab.check_nothing_left(before);
}

}  // namespace ctl::testing

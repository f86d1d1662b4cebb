#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// Every limit of a container: set, changed and unset while it runs, and read by cat where the kernel keeps it.

namespace ctl::testing {
namespace {

const std::string stack = busybox_ground("limits") + R"(containers:
- name: a
  image: busybox
  config:
    user.note: limits
)";

std::string with_config(const std::string& lines) {
    std::string text = stack;
    for (const auto line : split(lines, '\n')) text += fmt::format("    {}\n", line);
    return text;
}

/// A file of the container's cgroup on whichever version its controller is: "memory.limit_in_bytes|memory.max".
struct Place {
    std::string controller;
    std::string v1;
    std::string v2;
};

/// What the kernel says of it, or "none" where it has no such file.
std::string kernel_value(const Lab& lab, const Place& place, const std::string& inner = "") {
    std::string script = "cd /sys/fs/cgroup; for file in";
    if (!place.v1.empty()) script += fmt::format(" {}/ctl/a/payload{}/{}", place.controller, inner, place.v1);
    if (!place.v2.empty()) script += fmt::format(" unified/ctl/a/payload{0}/{1} ctl/a/payload{0}/{1}", inner, place.v2);
    script += "; do if [ -e $file ]; then cat $file; exit; fi; done; echo none";
    return std::string(trimmed(lab.must(script)));
}

bool is_v1(const Lab& lab, const Place& place) {
    return lab.sh(fmt::format("test -e /sys/fs/cgroup/{}/ctl", place.controller)).exit_code == 0;
}

struct Row {
    std::string what;
    Place place;
    std::string first;  ///< config lines
    std::string first_v1;
    std::string first_v2;
    std::string second;
    std::string second_v1;
    std::string second_v2;
    std::string unset_v1;
    std::string unset_v2;
    std::string theirs_v1;  ///< what somebody sets by hand
    std::string theirs_v2;
};

void check_row(const Lab& lab, const std::string& init, const Row& row) {
    CAPTURE(row.what);
    const bool v1 = is_v1(lab, row.place);
    const auto apply = [&](const std::string& config, const std::string& expected) {
        const std::string file = lab.write("stack.yaml", config.empty() ? stack : with_config(config));
        lab.must_apply(file);
        CHECK_MESSAGE(kernel_value(lab, row.place) == expected, row.what, ": ", config);
        CHECK(lab.init_pid("a") == init);
    };
    apply(row.first, v1 ? row.first_v1 : row.first_v2);
    apply(row.second, v1 ? row.second_v1 : row.second_v2);
    // What somebody sets by hand is seen and put back.
    const std::string key = v1 ? row.place.v1 : row.place.v2;
    lab.must(fmt::format("lxc-cgroup -P /var/lib/ctl/containers -n a {} '{}'", key, v1 ? row.theirs_v1 : row.theirs_v2));
    const auto drift = lab.planned("/run/lab/stack.yaml");
    CHECK_MESSAGE((drift.size() == 1 && drift[0].ends_with(" drifted")), row.what, ": ", joined(drift, "; "));
    apply(row.second, v1 ? row.second_v1 : row.second_v2);
    apply("", v1 ? row.unset_v1 : row.unset_v2);
}

const Place memory{"memory", "memory.limit_in_bytes", "memory.max"};
const Place soft{"memory", "memory.soft_limit_in_bytes", "memory.high"};
const Place swap{"memory", "memory.memsw.limit_in_bytes", "memory.swap.max"};
const Place pids{"pids", "pids.max", "pids.max"};
const Place shares{"cpu", "cpu.shares", "cpu.weight"};
const Place quota{"cpu", "cpu.cfs_quota_us", "cpu.max"};
const Place nodes{"cpuset", "cpuset.mems", "cpuset.mems"};
const std::string no_limit = "9223372036854771712";

}  // namespace

TEST_CASE("each limit is set, changed and unset on a running container that goes on running") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", stack));
    const std::string init = lab.init_pid("a");
    check_row(lab, init,
              {"limits.memory", memory, "limits.memory: 64MiB", "67108864", "67108864", "limits.memory: 48MiB", "50331648",
               "50331648", no_limit, "max", "33554432", "33554432"});
    check_row(lab, init,
              {"limits.memory.enforce", soft, "limits.memory: 64MiB\nlimits.memory.enforce: soft", "67108864", "67108864",
               "limits.memory: 32MiB\nlimits.memory.enforce: soft", "33554432", "33554432", no_limit, "max", "16777216",
               "16777216"});
    check_row(lab, init,
              {"limits.processes", pids, "limits.processes: 90", "90", "90", "limits.processes: 80", "80", "80", "max",
               "max", "70", "70"});
    check_row(lab, init,
              {"limits.cpu.allowance in percent", shares, "limits.cpu.allowance: 50%", "512", "50",
               "limits.cpu.allowance: 25%", "256", "25", "1024", "100", "128", "12"});
    check_row(lab, init,
              {"limits.cpu.priority", shares, "limits.cpu.priority: 5", "1019", "99", "limits.cpu.priority: 0", "1014", "99",
               "1024", "100", "700", "70"});
    check_row(lab, init,
              {"limits.cpu.allowance as a time", quota, "limits.cpu.allowance: 50ms/100ms", "50000", "50000 100000",
               "limits.cpu.allowance: 30ms/200ms", "30000", "30000 200000", "-1", "max 100000", "3000", "3000 100000"});
    const bool v1 = is_v1(lab, swap);
    lab.must_apply(lab.write("stack.yaml", with_config("limits.memory: 64MiB\nlimits.memory.swap: 32MiB")));
    CHECK(kernel_value(lab, swap) == (v1 ? "100663296" : "33554432"));
    lab.must_apply(lab.write("stack.yaml", with_config("limits.memory: 128MiB\nlimits.memory.swap: false")));
    CHECK(kernel_value(lab, swap) == (v1 ? "134217728" : "0"));
    lab.must_apply(lab.write("stack.yaml", stack));
    CHECK(kernel_value(lab, swap) == (v1 ? no_limit : "max"));
    lab.must_apply(lab.write("stack.yaml", with_config("limits.cpu.nodes: 0")));
    CHECK(kernel_value(lab, nodes) == "0");
    lab.must_apply(lab.write("stack.yaml", stack));
    CHECK(lab.init_pid("a") == init);
}

TEST_CASE("a container keeps to its swappiness in the cgroup that its processes are in") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const Place swappiness{"memory", "memory.swappiness", ""};
    lab.must_apply(lab.write("stack.yaml", with_config("limits.memory.swap.priority: 2")));
    CTL_SKIP_IF(kernel_value(lab, swappiness) == "none", "this host's cgroups have no swappiness");
    CHECK(kernel_value(lab, swappiness, "/ns") == "68");
    const std::string init = lab.init_pid("a");
    lab.must_apply(lab.write("stack.yaml", with_config("limits.memory.swap: false")));
    CHECK(kernel_value(lab, swappiness, "/ns") == "0");
    lab.must_apply(lab.write("stack.yaml", stack));
    CHECK(kernel_value(lab, swappiness, "/ns") == lab.must("printf %s $(cat /sys/fs/cgroup/memory/memory.swappiness)"));
    CHECK(lab.init_pid("a") == init);
}

TEST_CASE("a weight on the disk and huge pages are limited where the kernel can, and refused before where it can't") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(lab.write("stack.yaml", stack));
    const std::string init = lab.init_pid("a");
    const Place old_weight{"blkio", "blkio.bfq.weight", "io.weight"};
    if (kernel_value(lab, old_weight) != "none") {
        lab.must_apply(lab.write("stack.yaml", with_config("limits.disk.priority: 7")));
        CHECK(kernel_value(lab, old_weight).ends_with("700"));
        lab.must_apply(lab.write("stack.yaml", with_config("limits.disk.priority: 0")));
        CHECK(kernel_value(lab, old_weight).ends_with("10"));
        lab.must_apply(lab.write("stack.yaml", stack));
        CHECK(kernel_value(lab, old_weight).ends_with("100"));
    }
    const Place pages{"hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"};
    const std::string limited = lab.write("pages.yaml", with_config("limits.hugepages.2MB: 5MiB"));
    const Output said = lab.apply(limited);
    if (said.exit_code == 0) {
        CHECK(kernel_value(lab, pages) == "4194304");
        CHECK(lab.plan(limited).exit_code == 0);
        lab.must_apply(lab.write("pages.yaml", with_config("limits.hugepages.2MB: 8MiB")));
        CHECK(kernel_value(lab, pages) == "8388608");
        lab.must_apply(lab.write("stack.yaml", stack));
        CHECK(kernel_value(lab, pages) != "8388608");
    } else {
        CHECK_MESSAGE(said.err.find("limits.hugepages.2MB") != std::string::npos, said.err);
    }
    CHECK(lab.init_pid("a") == init);
    const Output refused = lab.apply(lab.write("pages.yaml", with_config("limits.hugepages.64KB: 1MiB")));
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(refused.err.find("limits.hugepages.64KB: this kernel has no huge pages of that size") != std::string::npos,
                  refused.err);
}

TEST_CASE("limits hold from the start, and resource limits are those of its first process") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write(
        "stack.yaml", with_config("limits.memory: 32MiB\nlimits.memory.swap: false\nlimits.processes: 40\n"
                                  "limits.cpu.allowance: 20ms/100ms\nlimits.cpu.priority: 3\nlimits.kernel.nofile: 300:400\n"
                                  "limits.kernel.core: unlimited"));
    lab.must_apply(file);
    CHECK(kernel_value(lab, memory) == "33554432");
    CHECK(kernel_value(lab, quota).starts_with("20000"));
    const std::string limits = lab.must("cat /proc/" + lab.init_pid("a") + "/limits");
    CHECK_MESSAGE(limits.find("Max open files            300                  400") != std::string::npos, limits);
    // It dies of what it takes, and the others in there do not.
    const Output eaten = lab.attach("a", "tail -c 100m /dev/zero > /dev/null; echo $?");
    CHECK_MESSAGE(eaten.out.find("137") != std::string::npos, eaten.out, eaten.err);
    const Output forks = lab.attach("a", "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done");
    CHECK_MESSAGE(forks.err.find("can't fork") != std::string::npos, forks.err);
    lab.write("stack.yaml", with_config("limits.kernel.nofile: 500"));
    CHECK(
        lab.planned(file) ==
        std::vector<std::string>{"container/a update restart: kernel_limits changed; memory_limit, swap_limit, swappiness, "
                                 "process_limit, cpu_shares, cpu_quota no longer set"});
    lab.must_apply(file);
    CHECK(
        lab.must("cat /proc/" + lab.init_pid("a") + "/limits").find("Max open files            500                  500") !=
        std::string::npos);
    CHECK(kernel_value(lab, memory) == (is_v1(lab, memory) ? no_limit : "max"));
}

}  // namespace ctl::testing

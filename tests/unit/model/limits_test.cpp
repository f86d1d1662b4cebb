#include <doctest/doctest.h>

#include "model/allocate.h"
#include "model/limit_values.h"
#include "stacks.h"

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

using Texts = std::map<std::string, std::string>;

Lowered lowered_config(const std::string& config) {
    return lowered(R"(
stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
containers:
- name: web
  image: busybox
  config: )" + config);
}

/// The container's devices, or the rules they break.
std::string devices(const std::string& device) {
    const std::string yaml = R"(
stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
containers:
- name: web
  image: busybox
  devices:
    root: {type: disk, path: /, pool: default}
    d: )" + device;
    const std::string broken = faults(yaml);
    if (!broken.empty()) return broken;
    std::string text;
    const Lowered result = lowered(yaml);
    for (const auto& [path, node] : *object<Container>(result, "web").devices) text += path + "=" + node + ";";
    return text;
}

Container container(const std::string& config) { return object<Container>(lowered_config(config), "web"); }

}  // namespace

TEST_CASE("an allowance is a share in percent, or a time in a period that the kernel takes") {
    CHECK(parse_cpu_allowance("50%") == CpuAllowance{.percent = 50});
    CHECK(parse_cpu_allowance("25ms/100ms") == CpuAllowance{.quota = 25'000, .period = 100'000});
    CHECK(parse_cpu_allowance("4000ms/1000ms") == CpuAllowance{.quota = 4'000'000, .period = 1'000'000});
    for (const char* bad :
         {"", "%", "0%", "-1%", "50", "50 %", "25ms", "25ms/", "/100ms", "0ms/100ms", "25/100", "1ms/1001ms"})
        CHECK_MESSAGE(!parse_cpu_allowance(bad), bad);
}

TEST_CASE("a disk is limited in bytes or in operations a second") {
    CHECK(parse_disk_limit("10MiB") == "10485760");
    CHECK(parse_disk_limit("5MB") == "5000000");
    CHECK(parse_disk_limit("100iops") == "100iops");
    for (const char* bad : {"", "0", "0iops", "iops", "-1iops", "1 iops", "10MiBiops", "10Mbit"})
        CHECK_MESSAGE(!parse_disk_limit(bad), bad);
}

TEST_CASE("each disk's limits are its files' on the host, and limits.max is both") {
    const Lowered result = lowered(R"(
stack: lab
storage_pools: [{name: default, driver: dir}]
storage_volumes: [{name: v, pool: default}]
images: [{name: busybox, source: {type: busybox}}]
containers:
- name: web
  image: busybox
  profiles: []
  devices:
    root: {type: disk, path: /, pool: default, limits.read: 10MiB}
    a: {type: disk, path: /a, source: /srv, limits.max: 100iops, limits.read: 1MB}
    b: {type: disk, path: /b, pool: default, source: v, limits.read: 1000iops, limits.write: 2kB}
    c: {type: disk, path: /c, source: /opt}
)");
    const std::string pool = "/state/pools/default/";
    CHECK(*object<Container>(result, "web").disk_limits == Texts{{"/srv", "read=100iops write=100iops"},
                                                                 {pool + "containers/web", "read=10485760"},
                                                                 {pool + "custom/v", "read=1000iops write=2000"}});
    CHECK_FALSE(container("{}").disk_limits);
}

TEST_CASE("a resource limit has a soft value that is no higher than the hard one") {
    CHECK(parse_resource_limit("1024") == "1024:1024");
    CHECK(parse_resource_limit("1:2") == "1:2");
    CHECK(parse_resource_limit("5:unlimited") == "5:unlimited");
    CHECK(parse_resource_limit("unlimited") == "unlimited:unlimited");
    for (const char* bad : {"", ":", "1:", ":1", "2:1", "unlimited:5", "-1", "1:2:3", "infinity", "1 : 2"})
        CHECK_MESSAGE(!parse_resource_limit(bad), bad);
}

TEST_CASE("memory nodes are the kernel's list") {
    CHECK(parse_memory_nodes("0") == "0");
    CHECK(parse_memory_nodes("2, 0-1") == "0-2");
    for (const char* bad : {"", ",", "a", "1-0", "-1", "1024", "0-"}) CHECK_MESSAGE(!parse_memory_nodes(bad), bad);
}

TEST_CASE("CPU keys are shares and a quota, as LXD counts them") {
    CHECK(container("{limits.cpu.allowance: 50%}").cpu_shares == 512);
    CHECK(container("{limits.cpu.allowance: 100%}").cpu_shares == 1024);
    CHECK(container("{limits.cpu.allowance: 50%, limits.cpu.priority: 7}").cpu_shares == 509);
    CHECK(container("{limits.cpu.priority: 0}").cpu_shares == 1014);
    CHECK(container("{limits.cpu.allowance: 1%, limits.cpu.priority: 0}").cpu_shares == 2);
    const auto timed = container("{limits.cpu.allowance: 25ms/100ms}");
    CHECK(timed.cpu_quota == "25000/100000");
    CHECK_FALSE(timed.cpu_shares);
    CHECK_FALSE(container("{}").cpu_shares);
}

TEST_CASE("memory is limited hard or softly, and swap on top of it") {
    const auto hard = container("{limits.memory: 64MiB, limits.memory.swap: 16MiB}");
    CHECK(hard.memory_limit == 64 << 20);
    CHECK(hard.swap_limit == 16 << 20);
    CHECK_FALSE(hard.swappiness);
    const auto soft = container("{limits.memory: 64MiB, limits.memory.enforce: soft, limits.memory.swap.priority: 3}");
    CHECK_FALSE(soft.memory_limit);
    CHECK(soft.memory_soft_limit == 64 << 20);
    CHECK(soft.swappiness == 67);
    const auto none = container("{limits.memory.swap: false, limits.memory.swap.priority: 3}");
    CHECK(none.swap_limit == 0);
    CHECK(none.swappiness == 0);
    CHECK_FALSE(container("{limits.memory.swap: true}").swap_limit);
    CHECK(container("{limits.disk.priority: 0}").disk_weight == 10);
    CHECK(container("{limits.disk.priority: 10}").disk_weight == 1000);
    CHECK(container("{limits.hugepages.2MB: 4MiB, limits.hugepages.1GB: 1GiB}").hugepage_limits ==
          Texts{{"2MB", "4194304"}, {"1GB", "1073741824"}});
}

TEST_CASE("a resource that nobody can limit is told with the one that was meant") {
    CHECK(container("{limits.kernel.nofile: 100:200, limits.kernel.core: unlimited}").kernel_limits ==
          Texts{{"core", "unlimited:unlimited"}, {"nofile", "100:200"}});
    const auto result = lowered_config("{limits.kernel.nofiles: 100}");
    REQUIRE(result.diagnostics.has_errors());
    CHECK(result.diagnostics.all().front().rule == "bad-limit");
    CHECK(result.diagnostics.all().front().hint == "did you mean limits.kernel.nofile?");
}

TEST_CASE("system calls become a policy of liblxc's") {
    CHECK(container("{security.syscalls.deny: \"keyctl\\nmount errno 13\"}")
              .seccomp->ends_with("keyctl errno 1\nmount errno 13\n"));
    CHECK(container("{security.syscalls.deny: keyctl}").seccomp->starts_with("2\ndenylist\nreject_force_umount\n[all]\n"));
    CHECK(container("{security.syscalls.blacklist: keyctl, security.syscalls.blacklist_default: no}").seccomp ==
          "2\ndenylist\n[all]\nkeyctl errno 1\n");
    CHECK(container("{security.syscalls.allow: \"read\\nwrite\"}").seccomp == "2\nallowlist\n[all]\nread\nwrite\n");
    CHECK(container("{raw.seccomp: \"2\"}").seccomp == "2\n");
    CHECK_FALSE(container("{}").seccomp);
    for (const char* bad : {"{security.syscalls.deny: 'a # b'}", "{security.syscalls.deny: A}",
                            "{raw.seccomp: '2', security.syscalls.deny: mount}",
                            "{security.syscalls.allow: read, security.syscalls.deny_default: false}"})
        CHECK_MESSAGE(lowered_config(bad).diagnostics.has_errors(), bad);
}

TEST_CASE("an isolated container has ids that no other stack has, and keeps them") {
    const std::string config = "{security.idmap.isolated: true}";
    const auto first = lowered_config(config);
    const std::string idmap = *object<Container>(first, "web").idmap;
    REQUIRE(idmap != "0:100000:65536");
    CHECK(object<Netns>(first, "web").idmap == idmap);
    CHECK(object<Volume>(first, "default/web").idmap == idmap);
    REQUIRE(first.allocations.size() == 1);
    const Allocations none;
    Allocator other(none, first.allocations, "");
    CHECK("0:" + std::to_string(other.id_range("ids/web", 65536)) + ":65536" != idmap);
    Allocator larger(none, first.allocations, "");
    for (int i = 0; i < 100; ++i) {
        const auto base = larger.id_range("ids/c" + std::to_string(i), 1 << 22);
        const auto taken = std::stoll(idmap.substr(2));
        CHECK((base + (1 << 22) <= taken || taken + 65536 <= base));
    }
    CHECK(container("{security.idmap.base: 200000, security.idmap.size: 70000}").idmap == "0:200000:70000");
    CHECK(lowered_config("{security.idmap.base: 4294967000}").diagnostics.has_errors());
    CHECK(lowered_config("{security.idmap.size: 0}").diagnostics.has_errors());
}

TEST_CASE("a device node is named by the host's device or by its numbers") {
    CHECK(devices("{type: unix-char, source: /dev/fuse}") == "/dev/fuse=c /dev/fuse 0660 0:0;");
    CHECK(devices("{type: unix-block, path: /dev/a b}") == "/dev/a b=b /dev/a\\040b 0660 0:0;");
    CHECK(devices("{type: unix-char, path: /x, major: 1, minor: 5, mode: 600, uid: 7, gid: 8, required: false}") ==
          "/x=c 1:5 0600 7:8 optional;");
    CHECK(devices("{type: unix-char}") == "10:missing-path");
    CHECK(devices("{type: unix-char, path: /x, major: 1}") == "10:bad-device");
    CHECK(devices("{type: unix-char, path: /x, major: 4096, minor: 1}") == "10:bad-device");
    CHECK(devices("{type: unix-char, source: /dev/zero}") == "10:standard-device");
    CHECK(devices("{type: unix-char, source: /dev/../etc/x}") == "10:bad-value");
    CHECK(devices("{type: tpm, path: /dev/tpm0, pathrm: /dev/tpmrm0}").find("unsupported") != std::string::npos);
}

#include <doctest/doctest.h>

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

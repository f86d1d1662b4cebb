#include "rounds.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

namespace ctl::testing {

namespace {

const std::string program = CTL_BINARY_DIR "/ctl";
const std::string die_at = CTL_BINARY_DIR "/tests/ctl-die-at.so";

constexpr const char* small_manifest = R"(stack: small
storage_pools: [{name: default, driver: dir}]
networks: [{name: smallbr0, config: {ipv4.address: 10.60.0.1/24, ipv4.dhcp: false}}]
images: [{name: busybox, source: {type: busybox}}]
profiles:
- name: default
  devices: {root: {type: disk, path: /, pool: default}}
containers:
- name: bridged
  image: busybox
  config: {limits.memory: 64MiB}
  devices: {eth0: {type: nic, nictype: bridged, parent: smallbr0, name: eth0, ipv4.address: 10.60.0.2}}
- name: trusted
  image: busybox
  config: {security.privileged: true}
  devices: {logs: {type: disk, source: /var/log, path: /host/log, readonly: true}}
- name: pointed
  image: busybox
  devices: {eth0: {type: nic, nictype: p2p, name: eth0, host_name: pointed0, ipv4.address: 10.61.0.2/30}}
- name: parked
  image: busybox
  state: stopped
)";

constexpr const char* foreign_things = R"(set -e
ip link add ctlfeedbeef type bridge
ip link add foreign0 type veth peer name foreign1
ip link set foreign0 master ctlfeedbeef up
ip addr add 192.0.2.1/24 dev ctlfeedbeef
ip netns add foreign
mkdir -p /run/foreign /var/lib/ctl/containers/foreign /var/lib/ctl/pools/foreign
mount -t tmpfs tmpfs /run/foreign
echo lxc.uts.name = foreign > /var/lib/ctl/containers/foreign/config
echo precious > /var/lib/ctl/pools/foreign/data
setsid ip netns exec foreign sleep 86400 > /dev/null 2>&1 &
)";

}  // namespace

Rounds::Rounds(std::string manifest, std::vector<std::string> options)
    : manifest_(std::move(manifest)), options_(std::move(options)) {
    sandbox_.must(foreign_things);
    sandbox_.must(fmt::format("cat > {} <<'END'\n{}END", small_stack, small_manifest));
    // Twice: what ctl and liblxc make once for all (empty folders, the cgroup lxc.pivot) is there from then on.
    for (int round = 0; round < 2; ++round) {
        REQUIRE(whole("apply").exit_code == 0);
        applied_ = take_inventory(sandbox_);
        REQUIRE(whole("delete").exit_code == 0);
        empty_ = take_inventory(sandbox_);
    }
}

int Rounds::dying(const std::string& command, const std::string& at) const {
    return sandbox_.run(with(command, preloaded(at))).exit_code;
}

int Rounds::dying_after(const std::string& command, double seconds) const {
    return sandbox_.run(with(command, {"timeout", "--signal=KILL", fmt::format("{:.6f}", seconds)})).exit_code;
}

long Rounds::points(const std::string& command, const std::string& kind) const {
    auto argv = preloaded(kind + ":0");
    argv.emplace_back("DIE_REPORT=/run/points");
    const auto output = sandbox_.run(with(command, argv));
    REQUIRE(output.exit_code == 0);
    return std::stol(sandbox_.must("cat /run/points && rm /run/points"));
}

void Rounds::check_apply_completes() const {
    const auto output = whole("apply");
    CHECK_MESSAGE(output.exit_code == 0, output.out, output.err);
    const auto plan = sandbox_.plan(manifest_);
    CHECK_MESSAGE(plan.exit_code == 0, plan.out, plan.err);
    // A delete that was killed has thrown away what this one had to make anew.
    sandbox_.must("rm -rf /var/lib/ctl/pools/default/trash");
    CHECK(lasting_differences(sandbox_, applied_) == "");
}

void Rounds::check_delete_completes() const {
    const auto output = whole("delete");
    CHECK_MESSAGE(output.exit_code == 0, output.out, output.err);
    CHECK(lasting_differences(sandbox_, empty_) == "");
}

std::vector<std::string> Rounds::with(const std::string& command, std::vector<std::string> argv) const {
    argv.insert(argv.end(), {program, command, "-f", manifest_, "--yes"});
    argv.insert(argv.end(), options_.begin(), options_.end());
    return argv;
}

std::vector<std::string> Rounds::preloaded(const std::string& at) const {
    return {"env", "LD_PRELOAD=" + die_at, "ASAN_OPTIONS=verify_asan_link_order=0", "DIE_AT=" + at};
}

void kill_at_every_commit(const Rounds& rounds) {
    const long applying = rounds.points("apply", "commit");
    const long deleting = rounds.points("delete", "commit");
    MESSAGE(applying, " commits in apply, ", deleting, " in delete");
    CHECK(applying >= 10);
    CHECK(deleting >= 10);
    // The order in which drivers come to their batches varies, and with it the number of the commits by a few.
    for (long n = 1; n <= std::max(applying, deleting); ++n) {
        CAPTURE(n);
        const auto at = fmt::format("commit:{}", n);
        const bool straight = n % 2 != 0;
        const int apply_code = rounds.dying("apply", at);
        CHECK((apply_code == killed || n > applying / 2));
        if (straight && apply_code == killed) rounds.check_apply_completes();
        const int delete_code = rounds.dying("delete", at);
        CHECK((delete_code == killed || n > deleting / 2));
        if (!straight) rounds.check_apply_completes();
        rounds.check_delete_completes();
    }
}

}  // namespace ctl::testing

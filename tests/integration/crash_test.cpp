// What is left when ctl is killed, and what the next ctl makes of it.

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "support/inventory.h"
#include "support/sandbox.h"
#include "support/skip.h"

using namespace ctl::testing;

namespace {

const std::string program = CTL_BINARY_DIR "/ctl";
const std::string die_at = CTL_BINARY_DIR "/tests/ctl-die-at.so";
const std::string twenty = CTL_SOURCE_DIR "/manifests/examples/twenty.yaml";
const std::string small = "/run/small.yaml";

constexpr int killed = 128 + 9;

/// One container of each kind of trouble: bridged and unprivileged, privileged with a bind mount, point to point, stopped.
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

/// Things of other people that look as much like ours as they can.
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

/// A host with a stack on it that is applied and deleted over and over, each time as if ctl were killed.
class Rounds {
public:
    explicit Rounds(std::string manifest, std::vector<std::string> options = {})
        : manifest_(std::move(manifest)), options_(std::move(options)) {
        sandbox_.must(foreign_things);
        sandbox_.must(fmt::format("cat > {} <<'END'\n{}END", small, small_manifest));
        // Twice: what ctl and liblxc make once for all (empty folders, the cgroup lxc.pivot) is there from then on.
        for (int round = 0; round < 2; ++round) {
            REQUIRE(whole("apply").exit_code == 0);
            applied_ = take_inventory(sandbox_);
            REQUIRE(whole("delete").exit_code == 0);
            empty_ = take_inventory(sandbox_);
        }
    }

    [[nodiscard]] const Sandbox& sandbox() const { return sandbox_; }

    /// Its exit code: `killed`, or that of a program that never came to the point.
    int dying(const std::string& command, const std::string& at) const {
        return sandbox_
            .run(with(command, {"env", "LD_PRELOAD=" + die_at, "ASAN_OPTIONS=verify_asan_link_order=0", "DIE_AT=" + at}))
            .exit_code;
    }

    int dying_after(const std::string& command, double seconds) const {
        return sandbox_.run(with(command, {"timeout", "--signal=KILL", fmt::format("{:.6f}", seconds)})).exit_code;
    }

    /// How many points of a kind an undisturbed run passes.
    long points(const std::string& command, const std::string& kind) const {
        const auto output =
            sandbox_.run(with(command, {"env", "LD_PRELOAD=" + die_at, "ASAN_OPTIONS=verify_asan_link_order=0",
                                        "DIE_AT=" + kind + ":0", "DIE_REPORT=/run/points"}));
        REQUIRE(output.exit_code == 0);
        return std::stol(sandbox_.must("cat /run/points && rm /run/points"));
    }

    /// The next apply does the rest and leaves what a run without a crash leaves.
    void check_apply_completes() const {
        const auto output = whole("apply");
        CHECK_MESSAGE(output.exit_code == 0, output.out, output.err);
        const auto plan = sandbox_.plan(manifest_);
        CHECK_MESSAGE(plan.exit_code == 0, plan.out, plan.err);
        CHECK(lasting_differences(sandbox_, applied_) == "");
    }

    /// The next delete does the rest; the host is as before the first apply.
    void check_delete_completes() const {
        const auto output = whole("delete");
        CHECK_MESSAGE(output.exit_code == 0, output.out, output.err);
        CHECK(lasting_differences(sandbox_, empty_) == "");
    }

private:
    [[nodiscard]] Output whole(const std::string& command) const { return sandbox_.run(with(command, {})); }

    [[nodiscard]] std::vector<std::string> with(const std::string& command, std::vector<std::string> argv) const {
        argv.insert(argv.end(), {program, command, "-f", manifest_, "--yes"});
        argv.insert(argv.end(), options_.begin(), options_.end());
        return argv;
    }

    Sandbox sandbox_;
    std::string manifest_;
    std::vector<std::string> options_;
    Inventory applied_;
    Inventory empty_;
};

/// Kills apply and delete at every `stride`th commit of their journals, an odd number. What follows a killed run is in turn
/// the same command and the other one: nobody may have to come back to what they have given up.
void kill_at_commits(const Rounds& rounds, long stride) {
    const long applying = rounds.points("apply", "commit");
    const long deleting = rounds.points("delete", "commit");
    MESSAGE(applying, " commits in apply, ", deleting, " in delete");
    CHECK(applying >= 10);
    CHECK(deleting >= 10);
    // The order in which drivers come to their batches varies, and with it the number of the commits by a few.
    for (long n = 1; n <= std::max(applying, deleting); n += n < applying ? stride : 3) {
        CAPTURE(n);
        const auto at = fmt::format("commit:{}", n);
        const bool straight = n % 2 != 0;
        const int apply_code = rounds.dying("apply", at);
        CHECK((apply_code == killed || n > applying / 2));
        if (straight) rounds.check_apply_completes();
        const int delete_code = rounds.dying("delete", at);
        CHECK((delete_code == killed || n > deleting / 2));
        if (!straight) rounds.check_apply_completes();
        rounds.check_delete_completes();
    }
}

}  // namespace

TEST_CASE("Twenty containers: apply and delete, killed at any commit of the journal, are completed by the next run") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    kill_at_commits(Rounds(twenty), 1);
}

TEST_CASE("One step at a time: apply and delete, killed before and after steps, are completed by the next run") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    kill_at_commits(Rounds(small, {"--parallelism", "1"}), 3);
}

TEST_CASE("Apply and delete, killed within a step, are completed by the next run") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    const Rounds rounds(small);
    std::mt19937 random(20240607);
    const auto any_of = [&](long points) {
        return fmt::format("change:{}", std::uniform_int_distribution<long>(1, points)(random));
    };
    const long applying = rounds.points("apply", "change");
    const long deleting = rounds.points("delete", "change");
    MESSAGE(applying, " changing calls in apply, ", deleting, " in delete");
    int kills = 0;
    for (int round = 0; round < 12; ++round) {
        const auto in_apply = any_of(applying);
        const auto in_delete = any_of(deleting);
        CAPTURE(in_apply);
        CAPTURE(in_delete);
        kills += rounds.dying("apply", in_apply) == killed;
        rounds.check_apply_completes();
        kills += rounds.dying("delete", in_delete) == killed;
        rounds.check_delete_completes();
    }
    MESSAGE("killed ", kills, " times");
    CHECK(kills >= 18);
}

TEST_CASE("Apply, killed at any moment, is completed by the next") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    const Rounds rounds(small);
    std::mt19937 random(19700101);
    std::uniform_real_distribution<double> moment(0.02, 0.4);
    int kills = 0;
    for (int round = 0; round < 20; ++round) {
        const double seconds = moment(random);
        CAPTURE(seconds);
        kills += rounds.dying_after("apply", seconds) == killed;
        rounds.check_apply_completes();
        rounds.check_delete_completes();
    }
    MESSAGE("killed ", kills, " times");
    CHECK(kills >= 5);
}

TEST_CASE("An apply that is killed several times in a row is completed by the next") {
    CTL_SKIP_IF(Sandbox::why_impossible(), *Sandbox::why_impossible());
    const Rounds rounds(small);
    for (const long n : {9, 6, 3, 12, 2, 15}) (void)rounds.dying("apply", fmt::format("commit:{}", n));
    rounds.check_apply_completes();
    rounds.check_delete_completes();
}

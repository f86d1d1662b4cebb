#include "drivers/lxc/devices.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "drivers/lxc/cgroups.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Devices of running containers on a host that this machine may not be.

namespace {

using namespace ctl;
using namespace ctl::drivers::lxc;

/// What a helper that nobody has would be asked for.
constexpr const char* no_helper = "/nonexistent/helper";

Status replug(const Cgroups& cgroups, const std::string& idmap, const Devices& from, const Devices& to) {
    model::Container container;
    container.idmap = idmap;
    container.devices = to;
    const ConfigPlace place{"web", testing::run_dir(), testing::run_dir() + "/web"};
    return replug_devices(no_helper, ::getpid(), from, container, place, cgroups);
}

}  // namespace

TEST_CASE("without device rules that can change, a privileged container's devices stay as they are, and that is said") {
    const std::string why = testing::enter_own_namespaces();
    CTL_SKIP_IF(!why.empty(), why);
    const Cgroups rules;
    // As on a host with version 2 alone, where device rules are a program.
    testing::sh("mount -t tmpfs none /sys/fs/cgroup");
    const Cgroups program = Cgroups::find();
    REQUIRE(program.is_unified("devices"));

    const Devices none;
    const Devices zero{{"/dev/zero2", "c 1:5 0666 0:0"}};
    for (const auto& [from, to] : {std::pair{none, zero}, {zero, none}}) {
        const Status refused = replug(program, "none", from, to);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == ErrorCode::unsupported);
        CHECK(::access((testing::run_dir() + "/web").c_str(), F_OK) != 0);
        // Where there are rules, or an id map that keeps others' devices away, it goes on to the helper.
        for (const auto& tried : {replug(rules, "none", from, to), replug(program, "0:100000:65536", from, to)}) {
            REQUIRE_FALSE(tried);
            CHECK(tried.error().code() != ErrorCode::unsupported);
        }
        testing::sh("rm -rf " + testing::run_dir() + "/web");
    }
    // What stays as it is changes nothing, and is refused nowhere.
    const Status same = replug(program, "none", none, none);
    CHECK_MESSAGE(same, (same ? "" : same.error().str()));
}

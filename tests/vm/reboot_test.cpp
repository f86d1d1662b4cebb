#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "base/process.h"
#include "base/text.h"
#include "support/skip.h"
#include "support/spawn.h"
#include "support/wait.h"

// A host that restarts, in two boots of one virtual machine: the first one applies a stack and loses its power, the second
// one starts `ctl watch`, as an init system would, and looks. There is nothing of the stack in any other configuration.

namespace ctl::testing {
namespace {

constexpr std::chrono::seconds deadline{120};
const std::string program = CTL_BINARY_DIR "/ctl";
const std::filesystem::path stacks = "/etc/ctl/stacks";

ProcessResult run(const std::vector<std::string>& argv) {
    const auto result = run_process(argv, deadline);
    REQUIRE_MESSAGE(result, (result ? std::string() : result.error().str()));
    return *result;
}

bool answers(const std::string& address) { return run({"ping", "-c1", "-W1", address}).exit_code == 0; }

void apply_once() {
    std::filesystem::create_directories(stacks);
    std::filesystem::copy_file(CTL_SOURCE_DIR "/manifests/examples/quickstart.yaml", stacks / "stack.yaml");
    const ProcessResult applied = run({program, "apply", "-f", stacks.native(), "--yes"});
    REQUIRE_MESSAGE(applied.exit_code == 0, applied.out, applied.err);
    CHECK(answers("10.28.0.11"));
}

}  // namespace

TEST_CASE("a host that lost its power comes back as declared when watch starts") {
    CTL_SKIP_IF(std::getenv("CTL_VM") == nullptr, "this test restarts its machine, and only a virtual one is for that");
    if (!std::filesystem::exists(stacks)) {
        apply_once();
        return;
    }
    CHECK(run({"ip", "link", "show", "lanbr0"}).exit_code != 0);
    REQUIRE(spawn_beside({program, "watch", stacks.native()}) > 0);
    for (const auto* address : {"10.28.0.11", "10.28.0.12", "10.28.0.13"})
        CHECK_MESSAGE(wait_until([&] { return answers(address); }, deadline), address, " does not answer");
    const auto is_settled = [] {
        return run({program, "plan", "-f", stacks.native(), "--detailed-exitcode"}).exit_code == 0;
    };
    CHECK(wait_until(is_settled, deadline));
}

}  // namespace ctl::testing

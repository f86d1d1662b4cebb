#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// boot.stop.priority, with each container's own word on when it was asked to stop.

namespace ctl::testing {
namespace {

/// Containers that write their name into /run/log/stops as they shut down.
std::string stack_with(const std::string& containers) { return busybox_ground("order") + "containers:\n" + containers; }

std::string container(const std::string& name, const std::string& more) {
    return fmt::format(R"(- name: {0}
  image: busybox
  {1}
  devices:
    log: {{type: disk, path: /log, source: /run/log}}
)",
                       name, more);
}

/// Has the container's init run something before it ends; it has read that when it runs the other line.
void let_it_tell(const Lab& lab, const std::string& name) {
    lab.must("rm -f /run/log/ready");
    REQUIRE(lab.attach(name, "echo '::shutdown:/bin/sh -c \"echo " + name +
                                 " >> /log/stops\"\n::respawn:/bin/sh -c \"touch /log/ready; tail -f /dev/null\"' >> "
                                 "/etc/inittab && kill -HUP 1")
                .exit_code == 0);
    REQUIRE(wait_until([&] { return lab.sh("test -e /run/log/ready").exit_code == 0; }, std::chrono::seconds{10}));
}

}  // namespace

TEST_CASE("containers stop by priority, the highest first, unless one needs another") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("mkdir -m 1777 /run/log && install -m 666 /dev/null /run/log/stops");
    const std::string file =
        lab.write("stack.yaml", stack_with(container("a", "") + container("b", "config: {boot.stop.priority: 5}") +
                                           container("c", "config: {boot.stop.priority: 10}") +
                                           container("d", "config: {boot.stop.priority: -1}")));
    lab.must_apply(file);
    for (const char* name : {"a", "b", "c", "d"}) let_it_tell(lab, name);
    const auto stops = [&] { return lab.must("tr '\\n' ' ' < /run/log/stops; : > /run/log/stops"); };

    REQUIRE(lab.ctl({"stop", "a", "b", "c", "d"}).exit_code == 0);
    CHECK(stops() == "c b a d ");
    REQUIRE(lab.ctl({"start", "a", "b", "c", "d"}).exit_code == 0);

    // A live change: who runs goes on running, and the next stop knows.
    const std::string init = lab.init_pid("a");
    lab.write(
        "stack.yaml",
        stack_with(container("a", "config: {boot.stop.priority: 20}") + container("b", "config: {boot.stop.priority: 5}") +
                   container("c", "depends_on: [b]") + container("d", "config: {boot.stop.priority: -1}")));
    CHECK(lab.planned(file).size() == 2);
    lab.must_apply(file);
    CHECK(lab.init_pid("a") == init);
    lab.must_delete(file);
    CHECK_MESSAGE(stops() == "a c b d ", "c needs b");
}

}  // namespace ctl::testing

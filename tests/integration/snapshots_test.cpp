#include <doctest/doctest.h>

#include <fmt/format.h>

#include "lab.h"

// Snapshots of containers: what a person does beside a stack, and what the stack makes of it.

namespace ctl::testing {
namespace {

bool has_btrfs(const Lab& lab) {
    return lab.sh("command -v mkfs.btrfs && grep -qw btrfs /proc/filesystems && test -e /dev/loop-control").exit_code == 0;
}

std::string stack(const std::string& driver, const std::string& state = "running") {
    return fmt::format(
        "stack: kept\nstorage_pools: [{{name: default, driver: {}{}}}]\n"
        "images: [{{name: busybox, source: {{type: busybox}}}}]\n"
        "profiles: [{{name: default, devices: {{root: {{type: disk, path: /, pool: default}}}}}}]\n"
        "containers: [{{name: web, image: busybox, state: {}}}, {{name: db, image: busybox}}]\n",
        driver, driver == "btrfs" ? ", config: {size: 256MiB}" : "", state);
}

std::string names(const Lab& lab) {
    const Output listed = lab.ctl({"snapshot", "list", "web"});
    CHECK(listed.exit_code == 0);
    std::string found;
    for (const char* name : {"snap0", "snap1", "release"})
        if (listed.out.find(std::string("\n") + name + " ") != std::string::npos) found += std::string(name) + " ";
    return found;
}

void check_rounds(const Lab& lab, const std::string& driver) {
    CAPTURE(driver);
    const auto before = lab.traces();
    const std::string file = lab.write("stack.yaml", stack(driver));
    lab.must_apply(file);
    const std::string db = lab.init_pid("db");
    CHECK(lab.attach("web", "echo one > /root/file && rm /etc/passwd").exit_code == 0);
    const std::string pid = lab.init_pid("web");
    CHECK(lab.ctl({"snapshot", "web"}).exit_code == 0);
    CHECK(lab.init_pid("web") == pid);
    CHECK(lab.attach("web", "echo two > /root/file && echo x > /etc/passwd && mkdir /late").exit_code == 0);
    CHECK(lab.ctl({"snapshot", "web", "release"}).exit_code == 0);
    CHECK(lab.ctl({"snapshot", "web"}).exit_code == 0);
    CHECK(names(lab) == "snap0 snap1 release ");
    CHECK(lab.ctl({"snapshot", "web", "release"}).exit_code != 0);
    CHECK(lab.ctl({"snapshot", "web", "../x"}).exit_code != 0);
    CHECK(lab.ctl({"snapshot", "nobody"}).exit_code != 0);
    CHECK(lab.plan(file).exit_code == 0);

    // What was written since is lost: that takes a yes where nobody can be asked.
    CHECK(lab.ctl({"restore", "web", "snap0"}).exit_code == 9);
    CHECK(lab.attach("web", "cat /root/file").out == "two\n");
    const Output restored = lab.ctl({"restore", "web", "snap0", "--yes"});
    CHECK_MESSAGE(restored.exit_code == 0, restored.out, restored.err);
    CHECK(lab.attach("web", "cat /root/file; ls -d /etc/passwd /late 2>/dev/null").out == "one\n");
    CHECK(lab.attach("web", "touch /root/more && stat -c %u /root/file").out == "0\n");
    CHECK(lab.init_pid("web") != pid);
    CHECK(lab.init_pid("db") == db);
    CHECK(lab.plan(file).exit_code == 0);
    CHECK(names(lab) == "snap0 snap1 release ");

    CHECK(lab.ctl({"snapshot", "delete", "web", "snap1"}).exit_code == 9);
    CHECK(lab.ctl({"snapshot", "delete", "web", "snap1", "--yes"}).exit_code == 0);
    CHECK(lab.ctl({"snapshot", "delete", "web", "snap1", "--yes"}).exit_code != 0);
    CHECK(names(lab) == "snap0 release ");
    CHECK(lab.ctl({"state", "rebuild"}).exit_code == 0);
    lab.must_apply(file);
    CHECK(names(lab) == "snap0 release ");

    // A container that is stopped stays so.
    lab.must_apply(lab.write("stack.yaml", stack(driver, "stopped")));
    CHECK(lab.ctl({"restore", "web", "release", "--yes"}).exit_code == 0);
    CHECK(lab.init_pid("web") == "-1");
    CHECK(lab.plan(file).exit_code == 0);
    lab.must_apply(lab.write("stack.yaml", stack(driver)));
    CHECK(lab.attach("web", "cat /root/file; ls -d /late").out == "two\n/late\n");

    lab.must_delete(file);
    lab.check_nothing_left(before);
}

}  // namespace

TEST_CASE("a container is put back as it was, in a directory") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    check_rounds(lab, "dir");
}

TEST_CASE("a container is put back as it was, on btrfs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_IF(!has_btrfs(lab), "needs btrfs");
    check_rounds(lab, "btrfs");
    CHECK(lab.sh("losetup -a | grep disks/default.img").out.empty());
}

}  // namespace ctl::testing

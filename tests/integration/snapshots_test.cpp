#include <doctest/doctest.h>

#include <fmt/format.h>

#include <chrono>

#include "lab.h"
#include "support/wait.h"

// Snapshots of containers: what a person does beside a stack, and what the stack makes of it.

namespace ctl::testing {
namespace {

std::string stack(const std::string& driver, const std::string& state = "running") {
    const std::string pool = driver == "btrfs" ? "driver: btrfs, config: {size: 256MiB}" : "driver: " + driver;
    return replaced(busybox_ground("kept"), "driver: dir", pool) +
           fmt::format("containers: [{{name: web, image: busybox, state: {}}}, {{name: db, image: busybox}}]\n", state);
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
    // By its number, for other hosts' loop files are seen too.
    const std::string loop =
        driver != "btrfs" ? "none" : ":" + lab.must("stat -c %i /var/lib/ctl/disks/default.img | tr -d '\\n'") + " ";
    CHECK(has(lab.must("losetup -a"), loop) == (driver == "btrfs"));
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
    CHECK_FALSE(has(lab.must("losetup -a"), loop));
}

/// Makes a snapshot older than it is: as if it had been made long ago, when nobody watched.
void age(const Lab& lab, const std::string& path, bool has_expired = false) {
    lab.must(fmt::format("sed -i -e 's/^made=.*/made=2020-01-01T00:00:00.000Z/' {} /var/lib/ctl/pools/default/{}/snapshot",
                         has_expired ? "-e 's/^expires=.*/expires=2020-01-02T00:00:00.000Z/'" : "", path));
}

std::string listed(const Lab& lab) { return lab.ctl({"get", "snapshots"}).out; }

/// Runs `ctl watch` until the condition holds and it is at rest again, and ends it.
template <typename Condition>
void watch_until(const Lab& lab, const Condition& condition) {
    const Watch watch(lab, "/run/kept");
    CHECK_MESSAGE(wait_until(condition, std::chrono::seconds(30)), watch.log());
    CHECK_MESSAGE(watch.end() == 0, watch.log());
}

}  // namespace

TEST_CASE("a watch takes the snapshots that are due, once, and deletes those that have expired") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto before = lab.traces();
    lab.must("mkdir /run/kept");
    const std::string file = "/run/kept/stack.yaml";
    lab.must("cat > " + file + " <<'END'\n" + R"(stack: kept
storage_pools: [{name: default, driver: dir, config: {volume.snapshots.schedule: "@yearly"}}]
volumes: [{name: data, pool: default, config: {snapshots.pattern: "data-%d"}}]
images: [{name: busybox, source: {type: busybox}}]
profiles:
- name: default
  config: {snapshots.schedule: "0 0 1 1 *", snapshots.expiry: 1w 1H}
  devices: {root: {type: disk, path: /, pool: default}}
containers:
- {name: web, image: busybox, config: {snapshots.pattern: auto%d}}
- {name: off, image: busybox, state: stopped}
END)");
    lab.must_apply(file);
    for (const char* owner : {"web", "off", "default/data"}) CHECK(lab.ctl({"snapshot", owner, "first"}).exit_code == 0);
    CHECK(lab.ctl({"snapshot", "web", "old", "--expires", "1m"}).exit_code == 0);
    CHECK(lab.ctl({"snapshot", "web", "other", "--expires", "soon"}).exit_code == 64);
    age(lab, "containers/web/snapshots/first");
    age(lab, "containers/web/snapshots/old", true);
    age(lab, "containers/off/snapshots/first");
    age(lab, "custom/data/snapshots/first");
    // One that can't be made keeps none of the others, and is tried again.
    const std::string kept = "/var/lib/ctl/pools/default/custom/data/snapshots";
    lab.must(fmt::format("mount --bind {0} {0} && mount -o remount,bind,ro {0}", kept));
    bool is_writable = false;
    const auto is_done = [&] {
        const std::string all = listed(lab);
        if (!has(all, "web@auto0 ") || has(all, "web@old ")) return false;
        if (!is_writable && has(lab.sh("cat /run/watch/log").out, "1 of 3 steps failed")) {
            CHECK_FALSE(has(all, "data-0"));
            lab.must("umount " + kept);
            is_writable = true;
        }
        return has(all, "default/data@data-0 ");
    };
    watch_until(lab, is_done);
    const std::string all = listed(lab);
    CHECK(has(all, "web@first "));
    CHECK_FALSE(has(all, "off@snap0 "));
    const std::string week = lab.must("date -u -d '1 week 1 hour' +%Y-%m-%dT | tr -d '\\n'");
    CHECK_MESSAGE(has(lab.must("grep ^expires= /var/lib/ctl/pools/default/containers/web/snapshots/auto0/snapshot"), week),
                  all);
    CHECK(lab.plan(file).exit_code == 0);

    // Nothing is due a second time: the next watch finds the stopped container's only, when it is asked to.
    lab.must("sed -i 's/state: stopped/state: stopped, config: {snapshots.schedule.stopped: true}/' " + file);
    watch_until(lab, [&] { return has(listed(lab), "off@snap0 "); });
    CHECK_FALSE(has(listed(lab), "auto1"));
    CHECK_FALSE(has(listed(lab), "data-1"));

    lab.must_delete(file);
    lab.check_nothing_left(before);
}

TEST_CASE("a custom volume is put back as it was") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml",
                                       "stack: kept\nstorage_pools: [{name: default, driver: dir}]\n"
                                       "volumes: [{name: data, pool: default, config: {security.unmapped: true}}]\n");
    lab.must_apply(file);
    const std::string content = "/var/lib/ctl/pools/default/custom/data/rootfs/file";
    lab.must("echo one > " + content);
    CHECK(lab.ctl({"snapshot", "default/data"}).exit_code == 0);
    lab.must("echo two > " + content);
    CHECK(has(lab.ctl({"snapshot", "list", "default/data"}).out, "snap0 "));
    CHECK(lab.ctl({"restore", "default/data", "snap0", "--yes"}).exit_code == 0);
    CHECK(lab.must("cat " + content) == "one\n");
    CHECK(lab.ctl({"snapshot", "delete", "default/data", "snap0", "--yes"}).exit_code == 0);
    CHECK_FALSE(has(listed(lab), "default/data@snap0"));
    CHECK(lab.plan(file).exit_code == 0);
    lab.must_delete(file);
}

TEST_CASE("a container is put back as it was, in a directory") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    check_rounds(lab, "dir");
}

TEST_CASE("a container is put back as it was, on btrfs") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_IF(!lab.has_btrfs(), "needs btrfs");
    check_rounds(lab, "btrfs");
}

}  // namespace ctl::testing

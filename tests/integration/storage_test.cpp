#include <doctest/doctest.h>

#include <cstdlib>

#include "lab.h"

// Pools, sizes and custom volumes under whole stacks: what a person sees from inside the containers.

namespace ctl::testing {
namespace {

const char* const example = "manifests/examples/18-storage.yaml";

/// How many MiB can be written below a directory of a container.
int room_in(const Lab& lab, const std::string& container, const std::string& directory) {
    const Output done =
        lab.attach(container, "dd if=/dev/zero of=" + directory + "/fill bs=1M count=400 2>/dev/null; wc -c < " + directory +
                                  "/fill; rm " + directory + "/fill");
    return static_cast<int>(std::strtol(done.out.c_str(), nullptr, 10) >> 20);
}

}  // namespace

TEST_CASE("example 18: sizes hold and grow while all runs, and a volume is shared") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_IF(!lab.has_btrfs(), "needs btrfs");
    const auto before = lab.traces();
    const std::string text = Lab::source(example);
    const std::string file = lab.write("stack.yaml", text);
    lab.must_apply(file);
    CHECK(lab.attach("writer", "echo hello > /srv/data/letter && echo note > /srv/notes/note").exit_code == 0);
    CHECK(lab.attach("reader", "cat /srv/data/letter").out == "hello\n");
    CHECK(lab.attach("reader", "echo no > /srv/data/letter").exit_code != 0);
    const int root = room_in(lab, "writer", "/");
    const int data = room_in(lab, "writer", "/srv/data");
    CHECK(root > 200);
    CHECK(root < 256);
    CHECK(data > 160);
    CHECK(data < 200);

    const std::string pid = lab.init_pid("writer");
    std::string grown = replaced(text, "size: 256MiB", "size: 350MiB");
    grown = replaced(grown, "size: 200MiB", "size: 250MiB");
    grown = replaced(grown, "size: 1GiB", "size: 2GiB");
    lab.must_apply(lab.write("stack.yaml", grown));
    CHECK(lab.init_pid("writer") == pid);
    CHECK(room_in(lab, "writer", "/") > 300);
    CHECK(room_in(lab, "writer", "/srv/data") > 200);
    CHECK(lab.must("df --output=size -m /var/lib/ctl/pools/fast | tail -n1 | tr -d ' '") == "2048\n");
    CHECK(lab.ctl({"get", "volumes"}).out.find("fast/custom/data") != std::string::npos);

    lab.must_delete(file);
    lab.check_nothing_left(before);
    CHECK(lab.sh("losetup -a | grep disks/fast.img").out.empty());
}

TEST_CASE("a volume is plugged into a running container, moves to another and keeps its files") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto stack = [](const std::string& a, const std::string& b) {
        return busybox_ground("moving") +
               "volumes: [{name: data, pool: default}]\n"
               "containers:\n- name: a\n  image: busybox\n" +
               a + "- name: b\n  image: busybox\n" + b;
    };
    const std::string disk = "  devices: {data: {type: disk, path: /data, pool: default, source: data}}\n";
    lab.must_apply(lab.write("stack.yaml", stack("", "")));
    const std::string pids = lab.init_pid("a") + lab.init_pid("b");
    lab.must_apply(lab.write("stack.yaml", stack(disk, "")));
    CHECK(lab.attach("a", "echo kept > /data/file && stat -c %u /data/file").out == "0\n");
    lab.must_apply(lab.write("stack.yaml", stack("", disk)));
    CHECK(lab.attach("b", "cat /data/file").out == "kept\n");
    CHECK(lab.attach("a", "cat /data/file").exit_code != 0);
    CHECK(lab.init_pid("a") + lab.init_pid("b") == pids);

    // Files that a person put there don't go without being asked for.
    const std::string without = replaced(stack("", ""), "volumes: [{name: data, pool: default}]\n", "");
    const std::string file = lab.write("stack.yaml", without);
    CHECK(lab.ctl({"apply", "-f", file}).exit_code == 9);
    CHECK(lab.must("cat /var/lib/ctl/pools/default/custom/data/data/file") == "kept\n");
    CHECK(lab.apply(file).exit_code == 0);
    CHECK(lab.sh("ls /var/lib/ctl/pools/default/custom/data").exit_code != 0);
    lab.must_delete(file);
}

TEST_CASE("a plan that would take a protected volume with its pool is refused as a whole") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string both = replaced(busybox_ground("kept"), "{name: default, driver: dir}",
                                      "{name: default, driver: dir}, {name: second, driver: dir}");
    const std::string volume = "volumes: [{name: data, pool: second, lifecycle: {prevent_destroy: true}}]\n";
    const std::string file = lab.write("stack.yaml", both + volume);
    lab.must_apply(file);
    lab.must("echo kept > /var/lib/ctl/pools/second/custom/data/data/file");
    // What else the manifest says isn't done either.
    lab.write("stack.yaml", busybox_ground("kept") + "containers: [{name: web, image: busybox}]\n");
    const Output gone = lab.apply(file);
    lab.write("stack.yaml", both + volume);
    const Output deleted = lab.ctl({"delete", "-f", file, "--yes"});
    for (const Output& refused : {gone, deleted}) {
        CHECK(refused.exit_code == 9);
        CHECK_MESSAGE(has(refused.err, "volume/second/custom/data of Volume/second/data would be deleted"), refused.err);
    }
    CHECK(lab.sh("test -e /var/lib/ctl/containers/web").exit_code != 0);
    CHECK(lab.must("cat /var/lib/ctl/pools/second/custom/data/data/file") == "kept\n");
    CHECK(lab.planned(file).empty());
    lab.must_apply(lab.write("stack.yaml", both + replaced(volume, "true", "false")));
    lab.must_delete(file);
}

TEST_CASE("a pool in a file never gets smaller") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_IF(!lab.has_btrfs(), "needs btrfs");
    const std::string large = replaced(busybox_ground("size"), "driver: dir", "driver: btrfs, config: {size: 256MiB}");
    const std::string file = lab.write("stack.yaml", large);
    lab.must_apply(file);
    lab.write("stack.yaml", replaced(large, "256MiB", "128MiB"));
    const Output refused = lab.apply(file);
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(has(refused.err, "a pool can't shrink"), refused.err);
    CHECK(lab.must("df --output=size -m /var/lib/ctl/pools/default | tail -n1 | tr -d ' '") == "256\n");
    lab.write("stack.yaml", large);
    CHECK(lab.planned(file).empty());
    lab.must_delete(file);
}

}  // namespace ctl::testing

#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// Device nodes in containers, put in and taken out while they run.

namespace ctl::testing {
namespace {

std::string stack(const std::string& config, const std::string& devices) {
    return busybox_ground("devices") + fmt::format(R"(containers:
- name: a
  image: busybox
  config: {{user.note: x{}}}
  devices:
    none: {{type: none}}
{})",
                                                   config, devices);
}

/// What `stat` inside says of a node: mode in hexadecimal with its kind, owner and device numbers in hexadecimal.
std::string node(const Lab& lab, const std::string& path) {
    return std::string(trimmed(lab.attach("a", "stat -c '%f %u:%g %t:%T' " + path).out));
}

constexpr const char* zero = "    z: {type: unix-char, source: /dev/zero, path: /dev/my-zero}\n";
constexpr const char* by_numbers =
    "    f: {type: unix-char, path: /opt/de v/full, major: 1, minor: 7, mode: '0640', uid: 5, gid: 6}\n";

}  // namespace

TEST_CASE("device nodes are plugged into and pulled out of a running container, privileged or not") {
    CTL_SKIP_WITHOUT_SANDBOX();
    for (const char* config : {"", ", security.privileged: true"}) {
        CAPTURE(config);
        const Lab lab;
        const auto before = lab.traces();
        const std::string file = lab.write("stack.yaml", stack(config, ""));
        lab.must_apply(file);
        const std::string init = lab.init_pid("a");
        const std::string without = lab.must("cat /proc/" + init + "/mountinfo");

        lab.write("stack.yaml", stack(config, std::string(zero) + by_numbers));
        CHECK(lab.planned(file) == std::vector<std::string>{"container/a update hotplug: devices changed"});
        lab.must_apply(file);
        CHECK(node(lab, "/dev/my-zero") == "21b0 0:0 1:5");
        CHECK(node(lab, "'/opt/de v/full'") == "21a0 5:6 1:7");
        CHECK(lab.attach("a", "head -c 3 /dev/my-zero | wc -c").out == "3\n");
        CHECK(has(lab.attach("a", "echo x > '/opt/de v/full'").err, "No space left"));
        CHECK(lab.init_pid("a") == init);

        // Another owner, and one less.
        lab.write("stack.yaml", stack(config, "    z: {type: unix-char, source: /dev/zero, path: /dev/my-zero, gid: 9}\n"));
        lab.must_apply(file);
        CHECK(node(lab, "/dev/my-zero") == "21b0 0:9 1:5");
        CHECK(lab.attach("a", "test -c '/opt/de v/full'").exit_code != 0);

        // What the container's root takes out is put back.
        lab.must("nsenter -t " + init + " --mount umount /dev/my-zero");
        CHECK(lab.planned(file) == std::vector<std::string>{"container/a update hotplug: devices drifted"});
        lab.must_apply(file);
        CHECK(node(lab, "/dev/my-zero") == "21b0 0:9 1:5");

        lab.write("stack.yaml", stack(config, ""));
        lab.must_apply(file);
        CHECK(lab.attach("a", "head -c 3 /dev/my-zero").out.empty());
        CHECK(lab.must("cat /proc/" + init + "/mountinfo") == without);
        CHECK(lab.init_pid("a") == init);
        lab.must_delete(file);
        lab.check_nothing_left(before);
    }
}

TEST_CASE("a container starts with its devices, and a block device is one") {
    CTL_SKIP_WITHOUT_SANDBOX();
    for (const char* config : {"", ", security.privileged: true"}) {
        CAPTURE(config);
        const Lab lab;
        // An own node with the numbers of a disk without a file behind it: opening it is refused by the disk, not by us.
        const std::string file =
            lab.write("stack.yaml",
                      stack(config, std::string(zero) + by_numbers +
                                        "    l: {type: unix-block, source: /dev/loop0, path: /dev/disk, mode: '0600'}\n"));
        lab.must_apply(file);
        CHECK(node(lab, "/dev/my-zero") == "21b0 0:0 1:5");
        CHECK(node(lab, "'/opt/de v/full'") == "21a0 5:6 1:7");
        CHECK(node(lab, "/dev/disk") == "6180 0:0 7:0");
        CHECK(lab.attach("a", "head -c 3 /dev/my-zero | wc -c").out == "3\n");
        lab.must("lxc-stop -P /var/lib/ctl/containers -n a -k");
        lab.must_apply(file);
        CHECK(node(lab, "/dev/disk") == "6180 0:0 7:0");
    }
}

TEST_CASE("a device that is not there is an error before anything is made, or waited for when it is not required") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string missing = "    m: {type: unix-char, source: /run/lab/m, path: /dev/m";
    const Output refused = lab.apply(lab.write("stack.yaml", stack("", missing + "}\n")));
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(has(refused.err, "device \"/run/lab/m\" is not on the host"), refused.err);
    CHECK(lab.sh("test -e /var/lib/ctl/containers/a").exit_code != 0);
    const std::string file = lab.write("stack.yaml", stack("", missing + ", required: false}\n"));
    lab.must_apply(file);
    CHECK(lab.attach("a", "test -e /dev/m").exit_code != 0);
    const std::string init = lab.init_pid("a");
    lab.must("mknod /run/lab/m c 1 5");
    CHECK(lab.planned(file) == std::vector<std::string>{"container/a update hotplug: devices drifted"});
    lab.must_apply(file);
    CHECK(node(lab, "/dev/m") == "21b0 0:0 1:5");
    CHECK(lab.init_pid("a") == init);

    const Output other =
        lab.apply(lab.write("other.yaml", stack("", "    m: {type: unix-block, source: /dev/zero, path: /dev/m}\n")));
    CHECK_MESSAGE(has(other.err, "\"/dev/zero\" is no block device"), other.err);
    const Output owner = lab.apply(
        lab.write("other.yaml", stack("", "    m: {type: unix-char, source: /dev/zero, path: /dev/m, uid: 70000}\n")));
    CHECK_MESSAGE(has(owner.err, "shall be owned by 70000, an id that the container doesn't have"), owner.err);
}

TEST_CASE("the root of an unprivileged container gets at no device but those it is given") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string file = lab.write("stack.yaml", stack("", zero));
    lab.must_apply(file);
    CHECK(lab.attach("a", "mknod /dev/x c 1 5").exit_code != 0);
    CHECK(lab.attach("a", "chmod 777 /dev/my-zero").exit_code == 0);
    CHECK(lab.planned(file) == std::vector<std::string>{"container/a update hotplug: devices drifted"});
    lab.must_apply(file);
    CHECK(node(lab, "/dev/my-zero") == "21b0 0:0 1:5");
}

}  // namespace ctl::testing

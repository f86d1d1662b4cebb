#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// limits.read, limits.write and limits.max of disks, where the kernel keeps them, on a pool that has a block device.

namespace ctl::testing {
namespace {

/// A pool and a disk of the host's, on loop devices of their own.
std::string with_limits(const std::string& root, const std::string& data) {
    return fmt::format(R"(stack: disks
storage_pools: [{{name: fast, driver: dir, config: {{source: /run/pool}}}}]
images: [{{name: busybox, source: {{type: busybox}}}}]
containers:
- name: a
  image: busybox
  profiles: []
  devices:
    root: {{type: disk, path: /, pool: fast{}}}
    data: {{type: disk, path: /data, source: /run/data{}}}
)",
                       root, data);
}

/// What the kernel holds the container's processes to on a device: "READ WRITE READ_IOPS WRITE_IOPS", 0 for no limit.
std::string kernel_limits(const Lab& lab, const std::string& device) {
    return std::string(trimmed(lab.must(fmt::format(R"(
numbers=$(lsblk -ndo MAJ:MIN {} | tr -d ' ')
cd /sys/fs/cgroup
if [ -d blkio/ctl/a/payload ]; then
    for file in read_bps write_bps read_iops write_iops; do
        awk -v d=$numbers '$1 == d {{v = $2}} END {{printf "%d ", v}}' blkio/ctl/a/payload/ns/blkio.throttle.${{file}}_device
    done
else
    cat ctl/a/payload/io.max unified/ctl/a/payload/io.max 2>/dev/null |
        awk -v d=$numbers '$1 == d {{gsub("[rw](bps|iops)=", ""); gsub("max", 0); print $2, $3, $4, $5; f = 1}} END {{if (!f) print "0 0 0 0"}}'
fi)",
                                                    device))));
}

}  // namespace

TEST_CASE("a disk's limits are set, changed, mended and taken away while the container runs, and hold") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    CTL_SKIP_IF(lab.sh("test -e /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device || grep -qw io "
                       "/sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers")
                        .exit_code != 0,
                "this kernel's cgroups don't limit disks");
    const auto before = lab.traces();
    lab.must(
        "for disk in data pool; do mkdir /run/$disk && truncate -s 64M /run/$disk.img && mkfs.ext4 -q /run/$disk.img && "
        "mount -o loop /run/$disk.img /run/$disk || exit; done; "
        "head -c 8M /dev/urandom > /run/data/file && chmod -R a+rX /run/data");
    const std::string data = std::string(trimmed(lab.must("findmnt -no SOURCE /run/data")));
    const std::string file = lab.write("stack.yaml", with_limits("", ""));
    lab.must_apply(file);
    const std::string init = lab.init_pid("a");
    const std::string pool = std::string(trimmed(lab.must("findmnt -no SOURCE /run/pool")));
    CHECK(kernel_limits(lab, pool) == "0 0 0 0");

    const auto apply = [&](const std::string& root_limits, const std::string& data_limits) {
        lab.write("stack.yaml", with_limits(root_limits, data_limits));
        lab.must_apply(file);
        CHECK(lab.init_pid("a") == init);
    };
    apply(", limits.read: 10MiB, limits.write: 5MB", "");
    CHECK(kernel_limits(lab, pool) == "10485760 5000000 0 0");
    CHECK(kernel_limits(lab, data) == "0 0 0 0");
    apply(", limits.max: 200iops", ", limits.read: 1MiB, limits.write: 100iops");
    CHECK(kernel_limits(lab, pool) == "0 0 200 200");
    CHECK(kernel_limits(lab, data) == "1048576 0 0 100");

    const std::string took = lab.must(R"(start=$(date +%s%N)
lxc-attach -P /var/lib/ctl/containers -n a -- dd if=/data/file of=/dev/null bs=1M count=3 iflag=direct 2>/dev/null
echo $(( ($(date +%s%N) - start) / 1000000 )))");
    CHECK_MESSAGE(std::stol(took) >= 2000, "3 MiB at 1 MiB a second");

    // What somebody sets by hand is seen and put back.
    const bool v1 = lab.sh("test -d /sys/fs/cgroup/blkio/ctl").exit_code == 0;
    const std::string numbers = std::string(trimmed(lab.must("lsblk -ndo MAJ:MIN " + data)));
    lab.must(fmt::format("lxc-cgroup -P /var/lib/ctl/containers -n a {} '{} {}3000000'",
                         v1 ? "blkio.throttle.read_bps_device" : "io.max", numbers, v1 ? "" : "rbps="));
    CHECK(lab.planned(file) == std::vector<std::string>{"container/a update live: disk_limits drifted"});
    lab.must_apply(file);
    CHECK(kernel_limits(lab, data) == "1048576 0 0 100");

    // They hold from the next start on, too.
    REQUIRE(lab.ctl({"restart", "a"}).exit_code == 0);
    CHECK(kernel_limits(lab, data) == "1048576 0 0 100");
    CHECK(lab.plan(file).exit_code == 0);

    lab.write("stack.yaml", with_limits("", ""));
    lab.must_apply(file);
    CHECK(kernel_limits(lab, data) == "0 0 0 0");
    CHECK(kernel_limits(lab, pool) == "0 0 0 0");
    lab.must_delete(file);
    lab.must("umount /run/data /run/pool");
    lab.check_nothing_left(before);
}

TEST_CASE("a limit on what is on no disk is refused before anything is changed") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("mkdir /run/memory && mount -t tmpfs none /run/memory");
    const std::string stack = busybox_ground("disks") + R"(containers:
- name: a
  image: busybox
  devices:
    memory: {type: disk, path: /memory, source: /run/memory, limits.max: 1MiB}
)";
    const Output refused = lab.apply(lab.write("stack.yaml", stack));
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(has(refused.err, "the files of \"/run/memory\" are on no disk that can be limited"), refused.err);
    CHECK(lab.init_pid("a") == "-1");
    const Output wrong = lab.ctl({"validate", "-f", lab.write("wrong.yaml", with_limits(", limits.read: fast", ""))});
    CHECK_MESSAGE(has(wrong.err + wrong.out, "neither bytes nor operations a second"), wrong.out, wrong.err);
}

}  // namespace ctl::testing

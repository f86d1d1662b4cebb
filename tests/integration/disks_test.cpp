#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"

// What a disk's keys make of a directory of the host: whose its files are, what may be done with them, which mounts pass.

namespace ctl::testing {
namespace {

std::string stack(const std::string& keys, const std::string& config = "") {
    return busybox_ground("disks") +
           fmt::format(R"(containers:
- name: a
  image: busybox
  config: {{user.note: x{}}}
  devices:
    none: {{type: none}}
{})",
                       config,
                       keys.empty() ? "" : fmt::format("    d: {{type: disk, source: /run/d, path: /mnt/d{}}}\n", keys));
}

constexpr const char* plain = ", readonly: false";

/// The keys of a disk in a container that runs, and in the same container started with them.
class DiskLab : public Lab {
public:
    DiskLab() {
        must(
            "mkdir -p /run/d/below && mount --bind /run/d /run/d && mount --make-shared /run/d && cd /run/d && "
            "echo secret > key && chmod 600 key && cp /bin/busybox .");
    }

    void plug(const std::string& keys, const std::string& config = "") const {
        must_apply(write("stack.yaml", stack("", config)));
        const std::string init = init_pid("a");
        write("stack.yaml", stack(keys, config));
        CHECK(planned("/run/lab/stack.yaml") == std::vector<std::string>{"container/a update hotplug: mounts changed"});
        must_apply("/run/lab/stack.yaml");
        CHECK(init_pid("a") == init);
    }
    void restart() const {
        must("lxc-stop -P /var/lib/ctl/containers -n a -k");
        must_apply("/run/lab/stack.yaml");
    }
    void unplug(const std::string& config = "") const {
        const std::string init = init_pid("a");
        must_apply(write("stack.yaml", stack("", config)));
        CHECK(init_pid("a") == init);
        CHECK(attach("a", "ls -A /mnt/d").out.empty());
    }
    [[nodiscard]] bool can(const std::string& script) const { return attach("a", script).exit_code == 0; }
};

}  // namespace

TEST_CASE("with shifted ids the files of the host's root are those of the container's") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const DiskLab lab;
    const auto before = lab.traces();
    const auto is_shifted = [&] {
        CHECK(lab.attach("a", "cat /mnt/d/key").out == "secret\n");
        CHECK(lab.attach("a", "stat -c %u:%g /mnt/d/key").out == "0:0\n");
        CHECK(lab.can("echo x > /mnt/d/made && chown 5:6 /mnt/d/made"));
        CHECK(lab.must("stat -c %u:%g /run/d/made; rm /run/d/made") == "5:6\n");
    };
    lab.plug(plain);
    CHECK_FALSE(lab.can("cat /mnt/d/key"));
    CHECK(lab.attach("a", "stat -c %u /mnt/d/key").out == "65534\n");
    lab.restart();
    CHECK_FALSE(lab.can("cat /mnt/d/key"));
    lab.unplug();

    lab.plug(", shift: true");
    is_shifted();
    lab.restart();
    is_shifted();
    lab.unplug();
    lab.plug(", shift: true", ", security.privileged: true");
    is_shifted();
    lab.must_delete("/run/lab/stack.yaml");
    lab.check_nothing_left(before);
}

TEST_CASE("ids that a file system can't shift are refused before anything is made") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const Output refused = lab.apply(lab.write("stack.yaml", replaced(stack(", shift: true"), "/run/d,", "/sys/kernel,")));
    CHECK(refused.exit_code != 0);
    CHECK_MESSAGE(
        refused.err.find("disk \"/mnt/d\" can't have its ids shifted: shift the ids of /sys/kernel: Invalid argument") !=
            std::string::npos,
        refused.err);
    CHECK(lab.sh("test -e /var/lib/ctl/containers/a").exit_code != 0);
}

TEST_CASE("mount options forbid programs and writing") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const DiskLab lab;
    const auto before = lab.traces();
    const std::string runs = "/mnt/d/busybox true";
    lab.plug(plain);
    CHECK(lab.can(runs));
    lab.unplug();
    const auto is_bound = [&] {
        CHECK_FALSE(lab.can(runs));
        CHECK(lab.attach("a", "touch /mnt/d/x").err.find("Read-only") != std::string::npos);
        const std::string options = lab.must("findmnt --task " + lab.init_pid("a") + " -n -o OPTIONS /mnt/d");
        for (const char* option : {"ro", "nosuid", "nodev", "noexec"})
            CHECK_MESSAGE(options.find(option) != std::string::npos, options);
    };
    lab.plug(", raw.mount.options: \"ro, nosuid,noexec,nodev\"");
    is_bound();
    lab.restart();
    is_bound();
    lab.must_delete("/run/lab/stack.yaml");
    lab.check_nothing_left(before);
}

TEST_CASE("what the host mounts later passes into a container where the disk says so, and never back") {
    CTL_SKIP_WITHOUT_SANDBOX();
    for (const char* config : {"", ", security.privileged: true"}) {
        CAPTURE(config);
        const DiskLab lab;
        const auto before = lab.traces();
        const auto passes = [&] {
            lab.must("mount -t tmpfs none /run/d/below && touch /run/d/below/new");
            const bool passed = lab.can("test -e /mnt/d/below/new");
            lab.must("umount /run/d/below");
            lab.must("nsenter -t " + lab.init_pid("a") + " -m mount -t tmpfs none /mnt/d/below && touch /run/d/below/mine");
            CHECK_MESSAGE(lab.sh("findmnt -n /run/d/below").out.empty(), "never back");
            lab.must("nsenter -t " + lab.init_pid("a") + " -m umount /mnt/d/below; rm /run/d/below/mine");
            return passed;
        };
        std::vector<std::pair<const char*, bool>> rows{{plain, false}, {", propagation: shared", true}};
        if (*config == '\0')
            rows.insert(rows.end(), {{", recursive: true, propagation: rprivate", false},
                                     {", propagation: slave", true},
                                     {", recursive: true, propagation: rslave", true}});
        for (const auto& [keys, expected] : rows) {
            const auto& which = keys;
            CAPTURE(which);
            lab.plug(keys, config);
            CHECK(passes() == expected);
            lab.restart();
            CHECK(passes() == expected);
            lab.unplug(config);
        }
        lab.must_delete("/run/lab/stack.yaml");
        lab.check_nothing_left(before);
    }
}

}  // namespace ctl::testing

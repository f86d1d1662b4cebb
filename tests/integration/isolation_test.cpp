#include <doctest/doctest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/wait.h"

// What the root of an unprivileged container tries to get out of it, and what it then finds: nothing. Each attempt is made
// with other people's tools, and each has a twin that shows the tool would have found it.

namespace ctl::testing {
namespace {

std::string stack(const std::string& image, const std::string& container, const std::string& more = "") {
    return fmt::format(R"(stack: isolation
storage_pools: [{{name: default, driver: dir}}]
images: [{{name: small, source: {}}}]
profiles: [{{name: default, devices: {{root: {{type: disk, path: /, pool: default}}}}}}]
containers:
- name: a
  image: small
{}{})",
                       image, container, more);
}

constexpr const char* busybox = "{type: busybox}";
constexpr const char* rootfs = "/var/lib/ctl/pools/default/containers/a/rootfs";
/// Somebody on the host who is nobody.
std::string as_nobody(const std::string& command) {
    // A shell between: setpriv itself has all capabilities until it runs something.
    return fmt::format("setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '{}'", command);
}

/// As a user of the container with this id, by the host's nsenter.
Output as_user(const Lab& lab, unsigned id, const std::string& script) {
    return lab.run({"nsenter", "--target", lab.init_pid("a"), "--user", "--mount", "--pid", "--root", "--wd", "--setuid",
                    std::to_string(id), "--setgid", std::to_string(id), "sh", "-c", script});
}

/// Root of the container tries it in vain, and not for want of the program.
void check_fails_inside(const Lab& lab, const std::string& attempt) {
    const Output said = lab.attach("a", attempt);
    CHECK_MESSAGE((said.exit_code != 0 && said.exit_code != 126 && said.exit_code != 127), attempt, ": ", said.out,
                  said.err);
}

/// The same of what the host's root can do with the same words: the attempt itself is sound.
void check_fails_only_inside(const Lab& lab, const std::string& attempt) {
    const Output said = lab.sh(attempt);
    CHECK_MESSAGE(said.exit_code == 0, "no attempt at all: ", attempt, ": ", said.err);
    check_fails_inside(lab, attempt);
}

/// An image of busybox whose root filesystem `change`, a shell script that runs in there, has altered.
std::string image_with(const Lab& lab, const std::string& change, const std::string& metadata = "") {
    lab.must(fmt::format(R"sh(set -e
mkdir -p /run/image/templates /run/image/rootfs && cd /run/image/rootfs
mkdir -p bin sbin etc proc sys dev tmp var/lib srv
cp /bin/busybox bin/busybox && ln -s busybox bin/sh && ln -s ../bin/busybox sbin/init
printf '::sysinit:/bin/true\n' > etc/inittab
echo templated > ../templates/t.tpl
printf 'architecture: %s\ncreation_date: 1\n%s' "$(uname -m)" '{}' > ../metadata.yaml
{}
cd .. && tar -cf image.tar metadata.yaml templates rootfs)sh",
                         metadata, change));
    return "{type: file, path: /run/image/image.tar}";
}

}  // namespace

TEST_CASE("what only the host's root may read stays unread, in a directory that a container is given too") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must(
        "mkdir -p /run/shared /run/later && cd /run/shared && echo secret | tee key ../later/key > /dev/null && "
        "chmod 600 key ../later/key && echo open > public && mknod zero c 1 5 && chmod 600 zero && "
        "cp /bin/busybox busybox-suid && chmod 4755 busybox-suid && ln -s /run/shared/key link && mkdir closed && "
        "chmod 700 closed && echo secret > closed/key");
    const std::string shared = "  devices:\n    s: {type: disk, source: /run/shared, path: /mnt/s}\n";
    const std::string file = lab.write("stack.yaml", stack(busybox, shared));
    lab.must_apply(file);
    lab.write("stack.yaml", stack(busybox, shared + "    l: {type: disk, source: /run/later, path: /mnt/l}\n" +
                                               "    f: {type: disk, source: /run/shared/key, path: /mnt/f}\n"));
    lab.must_apply(file);
    CHECK_MESSAGE(lab.attach("a", "cat /mnt/s/public").out == "open\n", "it is there");

    for (const char* attempt :
         {"cat /mnt/s/key", "cat /mnt/l/key", "cat /mnt/f", "cat /mnt/s/closed/key", "ls /mnt/s/closed", "cat /mnt/s/link",
          "cp /mnt/s/key /tmp/", "head -c 1 /mnt/s/zero", "chmod 644 /mnt/s/key", "chown 0:0 /mnt/s/key",
          "ln /mnt/s/key /mnt/s/again", "mv /mnt/s/key /mnt/s/again", "rm -f /mnt/s/key", "echo x > /mnt/s/key",
          "mkdir /tmp/m && mount -o bind /mnt/s /tmp/m && cat /tmp/m/key", "unshare -U -r cat /mnt/s/key",
          "cd /tmp && /mnt/s/busybox-suid cat /mnt/s/key",
          "mount -t overlay -o lowerdir=/mnt/s:/tmp o /tmp/m && cat /tmp/m/key", "cat /proc/1/root/mnt/s/key"}) {
        const Output said = lab.attach("a", attempt);
        CHECK_MESSAGE(said.exit_code != 0, attempt, ": ", said.out);
        CHECK_MESSAGE(said.out.find("secret") == std::string::npos, attempt);
    }
    CHECK(lab.must("stat -c '%a %u:%g' /run/shared/key; cat /run/shared/key") == "600 0:0\nsecret\n");
}

TEST_CASE("a device node is for whom its mode says, inside and on the host") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    // A file system that the host has mounted, on a loop device that goes with it.
    lab.must(
        "truncate -s 8M /run/disk && mkfs.ext4 -q /run/disk && mkdir -p /run/mounted && mount -o loop /run/disk "
        "/run/mounted");
    const std::string disk = lab.line("findmnt -no SOURCE /run/mounted");
    lab.must_apply(lab.write("stack.yaml", stack(busybox, R"(  devices:
    r: {type: unix-char, source: /dev/zero, path: /dev/roots, mode: '0600'}
    u: {type: unix-char, source: /dev/zero, path: /dev/users, mode: '0600', uid: 1000}
    e: {type: unix-char, source: /dev/zero, path: /dev/everybodys, mode: '0666'}
    d: {type: unix-block, mode: '0666', source: )" + disk + "}\n")));
    const auto reads = [&](unsigned id, const std::string& path) {
        return as_user(lab, id, "head -c 3 " + path + " | wc -c").out == "3\n";
    };
    CHECK(reads(0, "/dev/roots"));
    CHECK_FALSE(reads(1000, "/dev/roots"));
    CHECK(reads(1000, "/dev/users"));
    CHECK_FALSE(reads(1001, "/dev/users"));
    CHECK(reads(1001, "/dev/everybodys"));

    const std::string nodes = lab.must("find /var/lib/ctl/containers/a/devices -type c");
    CHECK(split(trimmed(nodes), '\n').size() == 3);
    for (const auto node : split(trimmed(nodes), '\n'))
        CHECK_MESSAGE(lab.sh(as_nobody(fmt::format("head -c 1 {}", node))).exit_code != 0, node);
    // It may read the disk, and write it; to have it mounted it would have to be trusted.
    CHECK(lab.attach("a", "head -c 1024 " + disk + " | wc -c").out == "1024\n");
    for (const std::string& attempt :
         {std::string("mkdir -p /run/try && mknod /run/try/zero c 1 5"),
          "mkdir -p /run/try && mknod /run/try/disk b 7 $(echo " + disk + " | tr -dc 0-9)",
          std::string("mkdir -p /run/try && mount -t devtmpfs none /run/try && umount /run/try"),
          "mkdir -p /run/try && mount -t ext4 " + disk + " /run/try && umount /run/try"})
        check_fails_only_inside(lab, attempt);
}

TEST_CASE("an image's set-id programs give nobody on the host another's rights") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const std::string image =
        image_with(lab, "cp bin/busybox bin/busybox-suid && chmod 6755 bin/busybox-suid && chmod 0755 . bin");
    lab.must_apply(
        lab.write("stack.yaml", stack(image, "", "- {name: p, image: small, config: {security.privileged: true}}\n")));
    CHECK(lab.must(fmt::format("stat -c '%a %u:%g' {}/bin/busybox-suid", rootfs)) == "6755 100000:100000\n");
    CHECK_MESSAGE(as_user(lab, 1000, "/bin/busybox-suid true").exit_code == 0, "it is there for those inside");
    const std::string copies = lab.must("find /var/lib/ctl -name busybox-suid -type f");
    CHECK_MESSAGE(split(trimmed(copies), '\n').size() >= 2, copies);
    for (const auto copy : split(trimmed(copies), '\n'))
        CHECK_MESSAGE(lab.sh(as_nobody(fmt::format("{} id -u", copy))).exit_code != 0, copy);
}

TEST_CASE("links in a root filesystem lead nothing that is put in there out of it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must("mkdir -p /run/precious /run/source && chmod 777 /run/precious && echo shared > /run/source/file");
    const auto is_untouched = [&] { return lab.must("ls -A /run/precious").empty(); };
    const std::string seed = "  config: {user.user-data: \"#cloud-config\"}\n";
    const std::string deep = "  devices: {d: {type: disk, source: /run/source, path: /srv/out/deep}}\n";
    const auto fails = [&](const std::string& image, const std::string& container, const std::string& words) {
        const Output said = lab.apply(lab.write("bad.yaml", stack(image, container)));
        CHECK_MESSAGE((said.exit_code != 0 && has(said.err, words)), said.out, said.err);
        CHECK(is_untouched());
        CHECK(lab.sh("findmnt -n -o TARGET | grep precious").out.empty());
        static_cast<void>(lab.ctl({"delete", "-f", "/run/lab/bad.yaml", "--yes"}));
        CHECK(is_untouched());
        lab.must("rm -rf /run/image");
    };
    SUBCASE("cloud-init's seed") {
        fails(image_with(lab, "ln -s /run/precious var/lib/cloud"), seed,
              "writing cloud-init's seed: \"cloud\" is or leads through a symbolic link");
        fails(image_with(lab, "rmdir var/lib && ln -s ../../../../../../../../../../run/precious var/lib"), seed,
              "writing cloud-init's seed: \"lib\" is or leads through a symbolic link");
    }
    SUBCASE("what an image makes of a template") {
        fails(image_with(lab, "mv etc/inittab . && rmdir etc && ln -s /run/precious etc",
                         "templates: {/etc/hostname: {when: [create], template: t.tpl}}"),
              "", "making \"/etc/hostname\" of the image's template \"t.tpl\": \"etc\" is or leads through a symbolic link");
    }
    SUBCASE("a mount, when it starts") {
        fails(image_with(lab, "ln -s /run/precious srv/out"), deep, "\"srv/out/deep\" is or leads through a symbolic link");
    }
    SUBCASE("a device node, when it starts") {
        fails(image_with(lab, "ln -s /run/precious srv/out"),
              "  devices: {z: {type: unix-char, source: /dev/zero, path: /srv/out/deep/z}}\n",
              "\"srv/out/deep/z\" is or leads through a symbolic link");
    }
    SUBCASE("liblxc's own mounts") {
        for (const char* directory : {"dev", "proc", "sys"}) {
            static_cast<void>(lab.apply(lab.write(
                "own.yaml", stack(image_with(lab, fmt::format("rmdir {0} && ln -s /run/precious {0}", directory)), ""))));
            CHECK_MESSAGE(is_untouched(), directory);
            CHECK(lab.sh("findmnt -n -o TARGET | grep precious").out.empty());
            static_cast<void>(lab.ctl({"delete", "-f", "/run/lab/own.yaml", "--yes"}));
            lab.must("rm -rf /run/image");
        }
    }
    SUBCASE("mounts and nodes while it runs") {
        const std::string file = lab.write("stack.yaml", stack(busybox, ""));
        lab.must_apply(file);
        REQUIRE(lab.attach("a", "ln -s /run/precious /srv/out && mkdir -p /run/precious").exit_code == 0);
        for (const std::string& devices :
             {deep, std::string("  devices: {z: {type: unix-char, source: /dev/zero, path: /srv/out/z}}\n")}) {
            lab.write("stack.yaml", stack(busybox, devices));
            const Output refused = lab.apply(file);
            CHECK(refused.exit_code != 0);
            CHECK_MESSAGE(refused.err.find("no symbolic link on the way to /srv/out/") != std::string::npos, refused.err);
            CHECK(is_untouched());
            CHECK(lab.attach("a", "ls -A /run/precious").out.empty());
        }
        lab.must_delete(file);
    }
    CHECK(lab.must("cat /run/source/file") == "shared\n");
}

TEST_CASE("a container has its own part of the host and nothing of what started it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    // Its user on the host is the container's root: only that it isn't seen in there protects it.
    const std::string as_their_root = "setpriv --reuid 100000 --regid 100000 --clear-groups ";
    lab.must(as_their_root + "sleep 1000 > /dev/null 2>&1 & echo $! > /run/victim");
    const std::string file =
        lab.write("stack.yaml", stack(busybox, "", "- {name: p, image: small, config: {security.privileged: true}}\n"));
    lab.must("SECRET_OF_THE_HOST=x " + program + " apply --yes -f " + file);
    const std::string init = lab.init_pid("a");
    CHECK_MESSAGE(lab.must("ps -o uid= -p " + init + " | tr -d ' '") == "100000\n", "no privileges that nobody declared");
    CHECK(lab.must("ps -o uid= -p " + lab.init_pid("p") + " | tr -d ' '") == "0\n");
    CHECK(lab.must("grep -c . /proc/" + init + "/uid_map; cat /proc/" + init + "/setgroups") == "1\nallow\n");
    for (const char* kind : {"mnt", "uts", "ipc", "pid", "net", "user", "cgroup"})
        CHECK_MESSAGE(lab.must(fmt::format("readlink /proc/{}/ns/{}", init, kind)) !=
                          lab.must(fmt::format("readlink /proc/self/ns/{}", kind)),
                      kind);
    // An open directory of the host would be a way out.
    const std::string open = lab.must("readlink /proc/" + init + "/fd/* /proc/" + init + "/cwd");
    CHECK_MESSAGE(open.find("/var/lib/ctl") == std::string::npos, open);
    CHECK_MESSAGE(open.find("/run/") == std::string::npos, open);
    const std::string environment = lab.must("tr '\\0' '\\n' < /proc/" + init + "/environ");
    CHECK_MESSAGE(environment.find("SECRET_OF_THE_HOST") == std::string::npos, environment);

    const std::string victim = lab.line("cat /run/victim");
    lab.must(as_their_root + "kill -0 " + victim);
    check_fails_inside(lab, "kill -0 " + victim);
    lab.must("kill " + victim);
    // Opened to write, but not written: what holds for the whole machine isn't a test's to change.
    for (const std::string file_of_all : {"/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
                                          "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled"})
        if (lab.sh("test -e " + file_of_all).exit_code == 0) check_fails_only_inside(lab, ": >> " + file_of_all);
    const Output clock = lab.attach("a", "date -s 2001-01-01");
    CHECK_MESSAGE(has(clock.err, "Operation not permitted"), clock.err);
}

TEST_CASE("the root directory of a container has nothing above it") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(
        lab.write("stack.yaml", stack(busybox, "", "- {name: p, image: small, config: {security.privileged: true}}\n")));
    lab.must("mkdir -p /run/above && echo secret > /run/above/key");
    // Whoever may change the root directory sees more than the new one, if a descriptor of the old one is open.
    const std::string climb = R"sh(exec 3< / && mkdir -p /inner/bin /inner/proc && cp /bin/busybox /inner/bin/ &&
mount -o rbind /proc /inner/proc && chroot /inner /bin/busybox ls /proc/self/fd/3/../../../../../../../../)sh";
    for (const char* container : {"a", "p"}) {
        CAPTURE(container);
        const Output seen = lab.attach(container, climb);
        CHECK_MESSAGE(seen.exit_code == 0, seen.err);
        CHECK_MESSAGE(has(seen.out, "inner\n"), seen.out);
        CHECK(lab.attach(container, replaced(climb, "busybox ls", "busybox cat") + "run/above/key").exit_code != 0);
    }
    // In a root directory that is only changed to, the same leads out.
    const std::string plain = fmt::format("mount --rbind /proc {0}/proc && chroot {0} /bin/busybox sh -c \"$1\"", rootfs);
    const Output out = lab.run(
        {"unshare", "--mount", "sh", "-c", plain, "sh", replaced(climb, "busybox ls", "busybox cat") + "run/above/key"});
    CHECK_MESSAGE(out.out == "secret\n", out.err);
}

TEST_CASE("a container can't lift its limits") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    lab.must_apply(
        lab.write("stack.yaml",
                  stack(busybox, "  config: {limits.memory: 48MiB, limits.memory.swap: false, limits.processes: 40}\n")));
    static_cast<void>(lab.attach("a", R"(cd /sys/fs/cgroup
for file in $(find . -name memory.limit_in_bytes -o -name memory.memsw.limit_in_bytes -o -name memory.max -o -name pids.max); do
    for value in -1 max 100000000000; do echo $value > $file; done
done
for up in .. ../.. ../../.. ../../../..; do for file in $up/cgroup.procs memory/$up/cgroup.procs pids/$up/cgroup.procs; do
    echo $$ > $file
done; done)"));
    CHECK_MESSAGE(lab.attach("a", "head -c 1m /dev/zero | wc -c").out == "1048576\n", "little is let through");
    const Output eaten = lab.attach("a", "tail -c 100m /dev/zero > /dev/null; echo $?");
    CHECK_MESSAGE(eaten.out == "137\n", eaten.out, eaten.err);
    // What is in memory for good can't be taken beyond it: that would be the container's end.
    REQUIRE(
        lab.attach("a", "mkdir /memory && mount -t tmpfs none /memory && head -c 20m /dev/zero > /memory/big").exit_code ==
        0);
    const std::string used = lab.must(
        "cat $(find /sys/fs/cgroup -path '*/ctl/a/payload/memory.usage_in_bytes' -o -path "
        "'*/ctl/a/payload/memory.current')");
    CHECK_MESSAGE(std::stol(used) >= 20L << 20U, "files in memory count: ", used);
    REQUIRE(lab.attach("a", "umount /memory").exit_code == 0);
    const std::string bomb = "i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done";
    const Output forks = lab.attach("a", bomb);
    CHECK_MESSAGE(forks.err.find("can't fork") != std::string::npos, forks.err);
    REQUIRE(wait_until([&] { return lab.attach("a", "true").exit_code == 0; }, std::chrono::seconds{20}));
    const Output nested = lab.attach("a", R"(for up in /sys/fs/cgroup/pids /sys/fs/cgroup /sys/fs/cgroup/unified; do
    mkdir -p $up/more && echo $$ > $up/more/cgroup.procs; done
)" + bomb);
    CHECK_MESSAGE(nested.err.find("can't fork") != std::string::npos, "in a group of its own: ", nested.err);
}

TEST_CASE("a container whose MAC is filtered hears and takes nothing that is for another") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    const auto nic = [](const char* name, unsigned last, const char* security) {
        return fmt::format(
            "  devices: {{eth0: {{type: nic, name: eth0, network: iso0, hwaddr: \"00:16:3e:00:00:0{1}\", ipv4.address: "
            "10.29.1.{1}, host_name: iso{1}{2}}}}}\n{0}",
            name, last, security);
    };
    const std::string filtered = ", security.mac_filtering: true, security.ipv4_filtering: true";
    const std::string file = lab.write(
        "stack.yaml",
        stack(busybox, nic("", 5, filtered.c_str()),
              "- name: v\n  image: small\n" + nic("", 6, filtered.c_str()) + "- name: w\n  image: small\n" +
                  nic("", 7, filtered.c_str()) +
                  "networks: [{name: iso0, config: {ipv4.address: 10.29.1.1/24, ipv4.dhcp: false, ipv6.address: none}}]\n"));
    lab.must_apply(file);
    REQUIRE(wait_until([&] { return lab.in_netns("v", "ping -c 1 -W 1 10.29.1.7").exit_code == 0; }));
    const auto neighbour = [&] { return lab.in_netns("w", "ip neigh show 10.29.1.6").out; };
    REQUIRE(neighbour().find("00:16:3e:00:00:06") != std::string::npos);

    REQUIRE(lab.in_netns("a",
                         "tcpdump --immediate-mode -n -i eth0 -w /run/dump -U > /dev/null 2> /run/dump.log < /dev/null & "
                         "echo $! > /run/dump.pid")
                .exit_code == 0);
    lab.wait_for("grep -q listening /run/dump.log");
    // It claims the victim's address and MAC, in what it says and as its own.
    REQUIRE(lab.in_netns("a", R"(python3 -c '
import socket, struct
def mac(text): return bytes.fromhex(text.replace(":", ""))
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
for ether, sender in ((5, 5), (6, 6), (5, 6), (6, 5)):
    own = lambda n: mac("00:16:3e:00:00:0%d" % n)
    for kind in (1, 2):
        s.send(mac("00:16:3e:00:00:07") + own(ether) + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, kind) + own(sender)
               + socket.inet_aton("10.29.1.6") + own(7) + socket.inet_aton("10.29.1.7"))')")
                .exit_code == 0);
    REQUIRE(lab.in_netns("a", "ip link set eth0 address 00:16:3e:00:00:06 && ip addr add 10.29.1.6/24 dev eth0").exit_code ==
            0);
    CHECK(lab.in_netns("a", "ping -c 2 -i 0.2 -W 1 -I 10.29.1.6 10.29.1.7").exit_code != 0);
    // Asked before the victim speaks again: the bridge knows it where it is.
    const std::string learned = lab.must(
        "bridge -j fdb show br iso0 | jq -r '.[] | select(.mac == \"00:16:3e:00:00:06\" and .state != \"permanent\") | "
        ".ifname'");
    CHECK_MESSAGE(learned == "iso6\n", learned);
    CHECK(lab.in_netns("v", "ping -c 3 -i 0.2 -W 1 10.29.1.7").exit_code == 0);
    CHECK(lab.in_netns("v", "ping -c 3 -i 0.2 -W 1 10.29.1.1").exit_code == 0);
    CHECK_MESSAGE(neighbour().find("00:16:3e:00:00:06") != std::string::npos, neighbour());
    // Heard last, so that all that went before has been heard too.
    static_cast<void>(lab.in_netns("w", "ping -c 1 -b -W 1 10.29.1.255"));
    lab.wait_for("tcpdump -n -r /run/dump 'icmp and dst host 10.29.1.255' 2> /dev/null | grep -q .");
    lab.must("kill $(cat /run/dump.pid)");
    lab.wait_for("! kill -0 $(cat /run/dump.pid) 2> /dev/null");
    const std::string heard =
        lab.must("tcpdump -n -e -r /run/dump 'icmp[icmptype] = icmp-echoreply or icmp and dst host 10.29.1.6' 2> /dev/null");
    CHECK_MESSAGE(heard.empty(), heard);
}

}  // namespace ctl::testing

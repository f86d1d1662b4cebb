#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>

#include "base/text.h"
#include "drivers/api/mark.h"
#include "drivers/lxc/config_file.h"
#include "drivers/lxc/devices.h"
#include "drivers/lxc/facts.h"
#include "drivers/lxc/start.h"
#include "drivers/lxc/subordinate_ids.h"

namespace {

using namespace ctl;
using namespace ctl::drivers::lxc;
using model::Container;
using Texts = std::map<std::string, std::string>;

const ConfigPlace place{"web", "/run/ctl"};
const std::string mark = drivers::make_mark({"lab", "Container", "web"}, {model::ObjectKind::container, "web"});

Container minimal(const char* idmap = "0:100000:65536") {
    Container container;
    container.rootfs = "/pools/default/containers/web/rootfs";
    container.idmap = idmap;
    container.environment.emplace();
    container.mounts.emplace();
    container.raw.emplace();
    return container;
}

Container full(const char* idmap = "0:100000:65536") {
    Container container = minimal(idmap);
    container.environment =
        Texts{{"PATH", "/bin:/usr/bin"}, {"EMPTY", ""}, {"QUOTED", "\"a\" 'b' \\ = # $x ${y}"}, {"NAME.with-dots", "é"}};
    container.mounts = Texts{{"/data", "/srv/da\\040ta"},
                             {"/with blank", "/srv/x ro rbind optional"},
                             {"/a\\b", "/srv/\\134y"},
                             {"/home", "/home shift rslave nodev nosuid"}};
    container.memory_limit = 1 << 30;
    container.process_limit = 100;
    container.cpu_set = "0-1,3";
    container.memory_soft_limit = 1 << 29;
    container.swap_limit = 4097;
    container.swappiness = 0;
    container.hugepage_limits = Texts{{"2MB", "4194304"}, {"1GB", "0"}};
    container.cpu_nodes = "0";
    container.cpu_shares = 1019;
    container.cpu_quota = "25000/100000";
    container.disk_weight = 700;
    container.seccomp = "2\ndenylist\n[all]\nkeyctl errno 1 \\ #\n";
    container.kernel_modules = std::vector<std::string>{"ip_tables", "overlay"};
    container.stop_priority = -7;
    container.stop_timeout = 30;
    container.disk_limits = Texts{{"/srv/a b", "read=1048576 write=100iops"}, {"/srv/c", "write=1"}};
    container.devices = Texts{{"/dev/z", "c 1:5 0660 0:0"}, {"/opt/a b", "b /dev/no\\040such 0600 5:6 optional"}};
    container.kernel_limits = Texts{{"core", "unlimited:unlimited"}, {"nofile", "100:200"}};
    container.raw = {"lxc.cap.drop = sys_ptrace", "lxc.environment = RAW=1", "lxc.autodev = 1",
                     "lxc.mount.entry = a b none bind,create=dir 0 0"};
    container.autostart = false;
    container.autostart_priority = 10;
    container.autostart_delay = 5;
    return container;
}

std::string rendered(const Container& container, const ConfigFacts& facts = {}) {
    const auto text = render_config(container, mark, place, facts);
    REQUIRE(text);
    return *text;
}

bool has_line(const std::string& text, std::string_view line) {
    for (const auto one : split(text, '\n'))
        if (one == line) return true;
    return false;
}

ErrorCode refusal(const Container& container) {
    const auto text = render_config(container, mark, place, {});
    return text ? ErrorCode::internal : text.error().code();
}

TEST_CASE("what is rendered is read back the same on any kind of host") {
    for (const char* idmap : {"none", "0:100000:65536"})
        for (const auto& unified :
             {std::set<std::string>{}, std::set<std::string>{"memory", "pids", "cpuset", "cpu", "io", "hugetlb", "devices"}})
            for (const char* signal : {"", "SIGUSR1", "SIGRTMIN+3"})
                for (const char* apparmor : {"", "generated", "unconfined"})
                    for (const auto& container : {minimal(idmap), full(idmap)}) {
                        const ConfigFacts facts{
                            .seccomp = *apparmor != '\0',
                            .unified = unified,
                            .apparmor = apparmor,
                            .halt_signal = signal,
                            .disk_weight_file = unified.contains("io") ? "io.weight" : "blkio.bfq.weight",
                            .files = {"/srv/x"}};
                        const std::string text = rendered(container, facts);
                        CAPTURE(text);
                        const auto parsed = parse_config(text, place);
                        CHECK(parsed.mark == mark);
                        CHECK(parsed.container == container);
                        CHECK(rendered(parsed.container, facts) == text);
                    }
}

TEST_CASE("a config names the namespaces, cgroups and limits of its container") {
    const auto text =
        rendered(full(), {.seccomp = true, .unified = {"memory"}, .halt_signal = "SIGUSR1", .files = {"/srv/da ta"}});
    for (const char* line : {"lxc.rootfs.path = dir:/pools/default/containers/web/rootfs",
                             "lxc.idmap = u 0 100000 65536",
                             "lxc.idmap = g 0 100000 65536",
                             "lxc.namespace.share.net = /run/ctl/namespaces/web/net",
                             "lxc.namespace.share.user = /run/ctl/namespaces/web/user",
                             "lxc.cgroup.dir.container = ctl/web/payload",
                             "lxc.uts.name = web",
                             "lxc.signal.halt = SIGUSR1",
                             "lxc.cgroup2.memory.max = 1073741824",
                             "lxc.cgroup.pids.max = 100",
                             "lxc.cgroup.cpuset.cpus = 0-1,3",
                             "lxc.cgroup2.memory.swap.max = 4097",
                             "lxc.cgroup.cpu.cfs_period_us = 100000",
                             "lxc.cgroup.cpu.cfs_quota_us = 25000",
                             "lxc.cgroup.cpu.shares = 1019",
                             "lxc.prlimit.nofile = 100:200",
                             "#= swappiness 0",
                             "lxc.mount.entry = /srv/da\\040ta data none bind,private,create=file 0 0",
                             "lxc.mount.entry = /home home none "
                             "bind,nodev,nosuid,idmap=/run/ctl/namespaces/web/user,rslave,create=dir 0 0",
                             "lxc.mount.entry = /srv/x with\\040blank none rbind,ro,optional,rprivate,create=dir 0 0",
                             "lxc.start.auto = 0"})
        CHECK_MESSAGE(has_line(text, line), line);
    CHECK(text.find("lxc.net.") == std::string::npos);
    CHECK(text.find("lxc.cap.drop = mac_admin") == std::string::npos);
    const auto privileged = rendered(full("none"));
    CHECK(privileged.find("share.user") == std::string::npos);
    CHECK(has_line(privileged, "lxc.cgroup.devices.deny = a"));
    CHECK(has_line(privileged, "lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio"));
}

TEST_CASE("edits by hand show up in the field they change, or as raw lines") {
    std::string text = rendered(full());
    const auto replace = [&](std::string_view from, std::string_view to) {
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
    };
    replace("pids.max = 100", "pids.max = 7");
    replace("lxc.autodev = 1", "lxc.autodev=0");
    replace("u 0 100000", "u 0 200000");
    replace("lxc.start.order = 10", "lxc.start.order = soon");
    replace("lxc.environment = EMPTY=", "lxc.environment = EMPTY=no\nlxc.environment = EMPTY=twice");
    const auto container = parse_config(text, place).container;
    CHECK(container.process_limit == 7);
    CHECK(container.environment->at("EMPTY") == "no");
    CHECK_FALSE(container.idmap);
    CHECK_FALSE(container.autostart_priority);
    for (const char* line :
         {"lxc.autodev = 0", "lxc.idmap = u 0 200000 65536", "lxc.start.order = soon", "lxc.environment = EMPTY=twice"})
        CHECK_MESSAGE(std::find(container.raw->begin(), container.raw->end(), line) != container.raw->end(), line);
}

TEST_CASE("a policy for system calls takes the place of liblxc's, and an empty one of both") {
    auto container = minimal();
    const std::string common = "lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp";
    CHECK(has_line(rendered(container, {.seccomp = true}), common));
    for (const char* policy : {"2\ndenylist\n", ""}) {
        container.seccomp = policy;
        const std::string text = rendered(container, {.seccomp = true});
        CHECK_FALSE(has_line(text, common));
        CHECK(has_line(text, "lxc.seccomp.profile = /run/ctl/containers/web.seccomp") == (*policy != '\0'));
        CHECK(parse_config(text, place).container == container);
    }
}

TEST_CASE("a device is bound from its node, and a privileged container may use it") {
    auto container = minimal("none");
    container.devices = Texts{{"/dev/my z", "c 1:5 0660 0:0"}, {"/dev/gone", "c /no/such 0660 0:0 optional"}};
    const ConfigPlace with_directory{"web", "/run/ctl", "/c/web"};
    const auto text = render_config(container, mark, with_directory, {});
    REQUIRE(text);
    CHECK(has_line(*text, "lxc.cgroup.devices.allow = c 1:5 rwm"));
    CHECK(
        has_line(*text, "lxc.mount.entry = /c/web/devices/-2fdev-2fmy-20z dev/my\\040z none bind,optional,create=file 0 0"));
    CHECK(text->find("gone none") == std::string::npos);
    CHECK(parse_config(*text, with_directory).container == container);
    for (const char* bad : {"", "c", "x 1:5 0660 0:0", "c 1 0660 0:0", "c 1:5 0999 0:0", "c 1:5 77777 0:0", "c 1:5 0660 0",
                            "c 1:5 0660 0:0 maybe", "c relative 0660 0:0", "c /a/../b 0660 0:0"})
        CHECK_FALSE_MESSAGE(parse_device("/dev/x", bad).has_value(), bad);
    CHECK_FALSE(parse_device("/dev/../etc/x", "c 1:5 0660 0:0"));
}

TEST_CASE("ids are held against what a table gives to root") {
    const auto good = [](const char* idmap, const char* table) {
        return check_subordinate_ids(idmap, table, "/etc/subuid").has_value();
    };
    for (const char* table :
         {"", "user:100000:65536\n", "root:100000:65536", "root:1:5\nroot:65536:1000000\n", "# text\nroot:x:y\n"})
        CHECK_MESSAGE(good("0:100000:65536", table), table);
    for (const char* table : {"root:100000:65535", "root:100001:65536", "0:1:5", "root:100000:1000\nroot:101000:64536"})
        CHECK_FALSE_MESSAGE(good("0:100000:65536", table), table);
    CHECK(good("none", "root:1:1"));
}

TEST_CASE("a whole share of the processor is written, though it is the kernel's own") {
    auto container = minimal();
    container.cpu_shares = 1024;
    const std::string text = rendered(container);
    CHECK(has_line(text, "lxc.cgroup.cpu.shares = 1024"));
    CHECK(parse_config(text, place).container == container);
    const std::string unified = rendered(container, {.unified = {"cpu"}});
    CHECK(has_line(unified, "lxc.cgroup2.cpu.weight = 100"));
    CHECK(parse_config(unified, place).container == container);
}

TEST_CASE("a limit that only its version of cgroups can't keep stays in the config") {
    auto container = minimal();
    container.swap_limit = 0;
    container.swappiness = 10;
    container.cpu_shares = 1019;
    CHECK(parse_config(rendered(container), place).container == container);
    const std::string text = rendered(container, {.unified = {"memory", "cpu"}});
    CHECK(has_line(text, "lxc.cgroup2.cpu.weight = 99"));
    CHECK(has_line(text, "lxc.cgroup2.memory.swap.max = 0"));
    CHECK(parse_config(text, place).container == container);
    std::string edited = text;
    edited.replace(edited.find("cpu.weight = 99"), 15, "cpu.weight = 50");
    CHECK(parse_config(edited, place).container.cpu_shares == 512);
}

TEST_CASE("a config of somebody else is read as far as it can be") {
    const auto parsed = parse_config(
        "# Template used\nlxc.include = /x\nlxc.net.0.type=veth\n\n lxc.rootfs.path = overlay:/a:/b\ngarbage\n", place);
    CHECK(parsed.mark.empty());
    CHECK(parsed.container.idmap == "none");
    CHECK_FALSE(parsed.container.rootfs);
    CHECK(*parsed.container.raw == std::vector<std::string>{"lxc.include = /x", "lxc.net.0.type = veth",
                                                            "lxc.rootfs.path = overlay:/a:/b", "garbage"});
}

TEST_CASE("no value can add a line or be read differently by liblxc") {
    auto container = minimal();
    CHECK(refusal(container) == ErrorCode::internal);
    for (const char* value : {"a\nlxc.hook.start = /evil", "a\r", "a ", "\x01", "a\t"}) {
        CAPTURE(escaped(value));
        container = minimal();
        container.environment = Texts{{"A", value}};
        CHECK(refusal(container) == ErrorCode::invalid);
        container = minimal();
        container.raw = {value};
        CHECK(refusal(container) == ErrorCode::invalid);
        container = minimal();
        container.rootfs = std::string("/x/") + value;
        CHECK(refusal(container) == ErrorCode::invalid);
    }
    for (const char* name : {"", "A=B", "\nA", " A"}) {
        container = minimal();
        container.environment = Texts{{name, "x"}};
        CHECK(refusal(container) == ErrorCode::invalid);
    }
    for (const char* list : {"", "0 1", "0\n", "a"}) {
        container = minimal();
        container.cpu_set = list;
        CHECK(refusal(container) == ErrorCode::invalid);
    }
    for (const char* idmap : {"", "0:1", "0:1:2:3", "a:b:c", "0::1", "0:1:2 3"}) {
        container = minimal();
        container.idmap = idmap;
        CHECK(refusal(container) == ErrorCode::invalid);
    }
    container = minimal();
    container.raw = {"# a comment"};
    CHECK(refusal(container) == ErrorCode::invalid);
    container = minimal();
    container.rootfs.reset();
    CHECK(refusal(container) == ErrorCode::invalid);
    container.rootfs = "relative";
    CHECK(refusal(container) == ErrorCode::invalid);
}

TEST_CASE("a mount has absolute paths without steps up and known options only") {
    using Pair = std::pair<const char*, const char*>;
    for (const auto& [target, text] : {Pair{"data", "/srv"},
                                       {"/", "/srv"},
                                       {"/a/../b", "/srv"},
                                       {"/a", "srv"},
                                       {"/a", "/srv/.."},
                                       {"/a", "/srv\\012x"},
                                       {"/a\nb", "/srv"},
                                       {"/a", "/srv rw"},
                                       {"/a", "/srv  ro"},
                                       {"/a", "/srv private"},
                                       {"/a", "/srv slave shared"},
                                       {"/a", "/srv idmap=/proc/1/ns/user"},
                                       {"/a", ""}}) {
        const std::string which = escaped(target) + ": " + escaped(text);
        CAPTURE(which);
        CHECK_FALSE(parse_mount(target, text));
    }
    const auto mount = parse_mount("/a", "/da\\040ta ro optional");
    REQUIRE(mount);
    CHECK(mount->source == "/da ta");
    CHECK(mount->read_only);
    CHECK_FALSE(mount->recursive);
    CHECK(mount_text(*mount) == "/da\\040ta ro optional");
}

TEST_CASE("the mark is put before a config, exchanged and taken out") {
    CHECK(with_mark("lxc.autodev = 1\n", "ctl:1:x") == "# ctl:1:x\nlxc.autodev = 1\n");
    CHECK(with_mark("# ctl:1:x\nlxc.autodev = 1\n", "ctl:1:y") == "# ctl:1:y\nlxc.autodev = 1\n");
    CHECK(with_mark("# ctl:1:x\nlxc.autodev = 1\n", "") == "lxc.autodev = 1\n");
    CHECK(with_mark("# ctl:1:x", "").empty());
    CHECK(with_mark("# theirs\n", "") == "# theirs\n");
}

TEST_CASE("the halt signal is the last that a config names") {
    CHECK(halt_signal_in("") == SIGPWR);
    CHECK(halt_signal_in("lxc.signal.halt = SIGUSR1\n") == SIGUSR1);
    CHECK(halt_signal_in("lxc.signal.halt = SIGUSR1\nlxc.signal.halt=SIGRTMIN+3\n") == SIGRTMIN + 3);
    CHECK(halt_signal_in("lxc.signal.halt = 15\n") == SIGTERM);
    CHECK(halt_signal_in("lxc.signal.halt = NONSENSE\n") == SIGPWR);
    CHECK(halt_signal_in("lxc.signal.halt = 0\n") == SIGPWR);
    CHECK(halt_signal_in("lxc.signal.halt = 900\n") == SIGPWR);
}

TEST_CASE("the first error of a log is its message without time and place") {
    CHECK(
        first_error(
            "lxc web 20261121 INFO  x - a.c:f:1 - fine\n"
            "lxc web 20261121 ERROR    start - ../src/lxc/start.c:start:321 - No such file - Failed to exec \"/sbin/init\"\n"
            "lxc web 20261121 ERROR    other - a.c:f:1 - later\n") == "No such file - Failed to exec \"/sbin/init\"");
    CHECK(first_error("").empty());
    CHECK(first_error("x ERROR short").compare("short") == 0);
}

}  // namespace

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/text.h"
#include "lab.h"
#include "support/skip.h"

// NICs of the host in containers, judged by ip and ping; an end of a veth pair stands for the hardware.

namespace ctl::testing {
namespace {

const std::string ground = busybox_ground("hardware") + R"(containers:
)";

std::string container(const std::string& name, const std::string& devices, const std::string& more = "  state: stopped\n") {
    return fmt::format("- name: {}\n  image: busybox\n{}  devices: {{{}}}\n", name, more, devices);
}

std::string nic(const std::string& hardware, const std::string& more = "") {
    return fmt::format("eth0: {{type: nic, nictype: physical, parent: {}{}}}", hardware, more);
}

/// A NIC as the maker of the machine left it: with a MAC and an MTU of its own, up, on a LAN with 192.0.2.2.
void add_hardware(const Lab& lab) {
    lab.add_lan("enp4s0f0", {}, {"192.0.2.2/24"});
    lab.must("ip link set enp4s0f0 address 02:00:00:00:00:77 mtu 1450 alias 'uplink to the lab'");
}

/// Name, MAC, MTU, flag and alias of the host's NIC; "" if it isn't there.
std::string on_host(const Lab& lab, const std::string& name = "enp4s0f0") {
    const Output shown = lab.sh("ip -j link show " + name +
                                " | jq -r '.[] | \"\\(.ifname) \\(.address) \\(.mtu) \\(.flags | index(\"UP\") != null) "
                                "\\(.ifalias // \"\")\"'");
    return std::string(trimmed(shown.out));
}

const std::string untouched = "enp4s0f0 02:00:00:00:00:77 1450 true uplink to the lab";

/// What the container's NIC is called, its MAC and its MTU.
std::string in_container(const Lab& lab, const std::string& name) {
    return std::string(
        trimmed(lab.in_netns(name, "ip -j link show eth0 | jq -r '.[] | \"\\(.ifname) \\(.address) \\(.mtu)\"'").out));
}

}  // namespace

TEST_CASE("a NIC of the host is a container's as long as the container is there, and then the host's again") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    add_hardware(lab);
    const auto before = lab.traces();
    const std::string file =
        lab.write("stack.yaml", ground + container("web", nic("enp4s0f0", ", mtu: 1400, hwaddr: '02:00:00:00:00:88'"),
                                                   "  config: {raw.lxc: lxc.network.ipv4 = 192.0.2.20/24}\n"));
    lab.must_apply(file);
    CHECK(on_host(lab).empty());
    CHECK(in_container(lab, "web") == "eth0 02:00:00:00:00:88 1400");
    CHECK(lab.pings("web", "192.0.2.2"));

    SUBCASE("and it stays there while the container starts again") {
        REQUIRE(lab.attach("web", "reboot").exit_code == 0);
        CHECK(lab.pings("web", "192.0.2.2"));
    }
    SUBCASE("what somebody changes there is put back") {
        REQUIRE(lab.in_netns("web", "ip link set eth0 mtu 1300").exit_code == 0);
        lab.must_apply(file);
        CHECK(in_container(lab, "web") == "eth0 02:00:00:00:00:88 1400");
    }
    SUBCASE("its name on the host is taken meanwhile") {
        lab.must("ip link add enp4s0f0 type bridge");
        const Output deleted = lab.ctl({"delete", "-f", file, "--yes"});
        CHECK(deleted.exit_code != 0);
        CHECK_MESSAGE(deleted.err.find("the host has another link of its name, enp4s0f0") != std::string::npos, deleted.err);
        lab.must("ip link del enp4s0f0");
    }
    lab.must_delete(file);
    CHECK(on_host(lab) == untouched);
    lab.check_nothing_left(before);
}

TEST_CASE("a NIC goes from one container to another in one apply, and gives way to another NIC") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    add_hardware(lab);
    lab.must("ip link add enp4s0f1 type veth peer name far1");
    lab.must_apply(lab.write("stack.yaml", ground + container("web", nic("enp4s0f0")) + container("db", "")));
    CHECK(in_container(lab, "web") == "eth0 02:00:00:00:00:77 1450");
    lab.must_apply(lab.write("stack.yaml", ground + container("web", "") + container("db", nic("enp4s0f0"))));
    CHECK(in_container(lab, "web").empty());
    CHECK(in_container(lab, "db") == "eth0 02:00:00:00:00:77 1450");
    lab.must_apply(lab.write("stack.yaml", ground + container("web", "") + container("db", nic("enp4s0f1"))));
    CHECK(on_host(lab) == untouched);
    CHECK(on_host(lab, "enp4s0f1").empty());
    lab.must_delete("/run/lab/stack.yaml");
    CHECK_FALSE(on_host(lab, "enp4s0f1").empty());
}

TEST_CASE("a NIC that isn't there, is a bridge's port or has the host's address is refused") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    add_hardware(lab);
    const auto refusal = [&](const std::string& hardware) {
        const Output applied = lab.apply(lab.write("refused.yaml", ground + container("web", nic(hardware))));
        CHECK(applied.exit_code != 0);
        return applied.err;
    };
    CHECK(refusal("enp9s0").find("the NIC that link/web:eth0 shall be, enp9s0, is not there") != std::string::npos);
    lab.must("ip addr add 192.0.2.1/24 dev enp4s0f0");
    CHECK(refusal("enp4s0f0").find("enp4s0f0 has the host's address 192.0.2.1/24, which would be lost") !=
          std::string::npos);
    lab.must("ip addr del 192.0.2.1/24 dev enp4s0f0");
    lab.must("ip link add others type bridge && ip link set enp4s0f0 master others");
    CHECK(refusal("enp4s0f0").find("enp4s0f0 is a port of others") != std::string::npos);
    CHECK_FALSE(on_host(lab).empty());
}

TEST_CASE("a NIC is never lost, wherever ctl is killed while it lends it or takes it back") {
    CTL_SKIP_WITHOUT_SANDBOX();
    const Lab lab;
    add_hardware(lab);
    const std::string with = lab.write("with.yaml", ground + container("web", nic("enp4s0f0", ", mtu: 1400")));
    const std::string without = lab.write("without.yaml", ground + container("web", ""));
    const auto dying = [&](const std::string& file, long point) {
        return lab
            .sh(fmt::format("LD_PRELOAD={0}/tests/ctl-die-at.so ASAN_OPTIONS=verify_asan_link_order=0 DIE_AT=change:{1} "
                            "DIE_REPORT=/run/points {0}/ctl apply -f {2} --yes",
                            CTL_BINARY_DIR, point, file))
            .exit_code;
    };
    const auto points = [&](const std::string& file) {
        REQUIRE(dying(file, 0) == 0);
        return std::stol(lab.must("cat /run/points"));
    };
    const auto check_is_lent = [&] {
        lab.must_apply(with);
        CHECK(on_host(lab).empty());
        CHECK(in_container(lab, "web") == "eth0 02:00:00:00:00:77 1400");
    };
    const auto check_is_back = [&] {
        lab.must_apply(without);
        CHECK(on_host(lab) == untouched);
        CHECK(in_container(lab, "web").empty());
    };
    check_is_back();
    const long lending = points(with);
    const long giving_back = points(without);
    MESSAGE(lending, " changing calls to lend it, ", giving_back, " to take it back");
    constexpr int killed = 128 + 9;
    long kills = 0;
    // At every other call, there at the odd and here at the even ones; what was interrupted is in turn completed and given
    // up.
    for (long n = 1; n <= lending; n += 2) {
        CAPTURE(n);
        check_is_back();
        kills += dying(with, n) == killed;
        if (n % 4 == 1) check_is_lent();
    }
    for (long n = 2; n <= giving_back; n += 2) {
        CAPTURE(n);
        check_is_lent();
        kills += dying(without, n) == killed;
        if (n % 4 == 0) check_is_back();
    }
    check_is_back();
    CHECK(kills > (lending + giving_back) * 3 / 8);
}

}  // namespace ctl::testing

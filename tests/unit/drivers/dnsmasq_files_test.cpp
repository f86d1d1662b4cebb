#include <doctest/doctest.h>

#include "drivers/dnsmasq/config_file.h"
#include "drivers/dnsmasq/lease.h"

using namespace ctl::drivers::dnsmasq;

namespace {

const Paths paths{"/var/lib/ctl/networks/lxdbr0"};
const std::string mark = "ctl:1:lab:Network/lxdbr0:dns_service/lxdbr0";

std::string text_of(const Config& config) { return *to_text(config, "lxdbr0", paths); }

}  // namespace

TEST_CASE("a configuration is read back as it was written") {
    const Config config{mark, 17, std::vector<std::string>{"dhcp-range=10.0.3.2,10.0.3.254,1h", "# a note", "domain=lxd"}};
    const Config again = parse_config(text_of(config), "lxdbr0", paths);
    CHECK(again.mark == mark);
    CHECK(again.interface_index == 17);
    CHECK(again.options == config.options);
    CHECK(parse_config(text_of({}), "lxdbr0", paths).options == std::vector<std::string>{});
}

TEST_CASE("no option can bring a second line with it") {
    for (const char* option : {"domain=lxd\ndhcp-script=/bin/sh", "domain=lxd\r", "", "a\x7f"})
        CHECK_MESSAGE(!to_text({mark, 1, std::vector<std::string>{option}}, "lxdbr0", paths), option);
    CHECK(!to_text({"ctl:1\nuser=root", 1, std::vector<std::string>{}}, "lxdbr0", paths));
    CHECK(to_text({mark, 1, std::vector<std::string>{"txt-record=a,\tb"}}, "lxdbr0", paths));
}

TEST_CASE("a configuration that somebody edited outside of the network's own options has none") {
    const std::string text = text_of({mark, 17, std::vector<std::string>{"domain=lxd"}});
    std::string as_root = text;
    as_root.replace(as_root.find("user=nobody"), 11, "user=root");
    CHECK(!parse_config(as_root, "lxdbr0", paths).options);
    CHECK(parse_config(as_root, "lxdbr0", paths).mark == mark);
    CHECK(!parse_config(text, "lxdbr1", paths).options);
    CHECK(!parse_config(text.substr(0, text.size() / 2), "lxdbr0", paths).options);
    for (const char* other : {"", "\n", "# x\n", "interface=eth0\nno-ping\n"}) {
        CHECK(parse_config(other, "lxdbr0", paths).interface_index == 0);
        CHECK(!parse_config(other, "lxdbr0", paths).options);
    }
}

TEST_CASE("leases are read from whole lines of either family") {
    const auto leases = parse_leases(
        "1795255049 00:16:3e:11:22:33 10.99.0.66 web 01:00:16:3e:11:22:33\n"
        "0 00:16:3e:11:22:34 10.99.0.67 * *\n"
        "duid 00:01:00:01:32:94:19:79:0e:f5:7a:59:6c:1b\n"
        "1795255050 286400051 fd42:9::66 web 00:01:00:01:aa\n");
    REQUIRE(leases.size() == 3);
    CHECK(leases[0] == Lease{1795255049, "00:16:3e:11:22:33", "10.99.0.66", "web", "01:00:16:3e:11:22:33"});
    CHECK(to_text(leases[0]) == "10.99.0.66 web 00:16:3e:11:22:33 until 2026-11-21T09:57:29Z");
    CHECK(leases[1] == Lease{0, "00:16:3e:11:22:34", "10.99.0.67", "", ""});
    CHECK(to_text(leases[1]) == "10.99.0.67 - 00:16:3e:11:22:34");
    CHECK(leases[2].address == "fd42:9::66");
}

TEST_CASE("a lease line that is half written or damaged is left out") {
    const std::string whole = "1795255049 00:16:3e:11:22:33 10.99.0.66 web 01:00\n";
    for (std::size_t size = 0; size < whole.size(); ++size) CHECK(parse_leases(whole.substr(0, size)).empty());
    CHECK(parse_leases(whole).size() == 1);
    CHECK(parse_leases("soon 00:16:3e:11:22:33 10.99.0.66 web 01:00\n" + whole).size() == 1);
    CHECK(parse_leases("1 00:16:3e:11:22:33 10.99.0.666 web 01:00\n\n\n" + whole).size() == 1);
    CHECK(parse_leases(std::string("1 a\0b c d e\n", 12) + whole).size() == 1);
}

#include "model/value_types.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using namespace ctl::model;

TEST_CASE("a boolean has LXD's eight spellings in any case and no other") {
    for (const auto* yes : {"true", "TRUE", "1", "yes", "Yes", "on", "ON"}) CHECK_MESSAGE(parse_bool(yes) == true, yes);
    for (const auto* no : {"false", "False", "0", "no", "NO", "off", "Off"}) CHECK_MESSAGE(parse_bool(no) == false, no);
    for (const auto* other : {"", " true", "true ", "t", "y", "2", "truefalse", "none", "falsey"})
        CHECK_MESSAGE(!parse_bool(other), other);
}

TEST_CASE("rates are bits a second in decimal and binary units") {
    const std::vector<std::pair<std::string, std::int64_t>> good{
        {"0", 0}, {"8", 8}, {"10bit", 10}, {"2kbit", 2'000}, {"10Mbit", 10'000'000}, {"1Gibit", std::int64_t{1} << 30}};
    for (const auto& row : good) CHECK_MESSAGE(parse_rate(row.first) == row.second, row.first);
    for (const auto* bad : {"", "bit", "10 Mbit", "10MB", "10mbit", "-1bit", "1.5Mbit", "9Ebit9", "10Ebit"})
        CHECK_MESSAGE(!parse_rate(bad), bad);
}

TEST_CASE("sizes are bytes in decimal and binary units") {
    const std::vector<std::pair<std::string, std::int64_t>> good{{"0", 0},
                                                                 {"4096", 4096},
                                                                 {"1B", 1},
                                                                 {"7bytes", 7},
                                                                 {"1kB", 1000},
                                                                 {"512MB", 512'000'000},
                                                                 {"512MiB", 536'870'912},
                                                                 {"1GiB", 1'073'741'824},
                                                                 {"8 GiB", 8'589'934'592},
                                                                 {"7EiB", 8'070'450'532'247'928'832}};
    for (const auto& row : good) CHECK_MESSAGE(parse_size(row.first) == row.second, row.first);
    for (const auto* bad : {"", "MiB", "-1", "+1", "1.5GiB", "1mib", "1K", "1G", "8EiB", "50%", "1  MB", "1MB ",
                            "99999999999999999999", "0x10"})
        CHECK_MESSAGE(!parse_size(bad), bad);
}

TEST_CASE("integers keep to their bounds and take no sign but minus") {
    CHECK(parse_int("-5", -10, 10) == -5);
    CHECK_FALSE(parse_int("11", -10, 10));
    CHECK_FALSE(parse_int("+1", -10, 10));
    CHECK_FALSE(parse_int("1 ", -10, 10));
    CHECK_FALSE(parse_int("", -10, 10));
    CHECK(parse_uint("9223372036854775807") == 9'223'372'036'854'775'807);
    CHECK_FALSE(parse_uint("9223372036854775808"));
    CHECK_FALSE(parse_uint("-1"));
}

TEST_CASE("a MAC address is six bytes in colon form and becomes lower-case") {
    CHECK(parse_mac("00:16:3E:AB:cd:0F") == "00:16:3e:ab:cd:0f");
    for (const auto* bad :
         {"", "00:16:3e:ab:cd", "00-16-3e-ab-cd-0f", "00:16:3e:ab:cd:0g", "00:16:3e:ab:cd:0f:01", "0016.3eab.cd0f"})
        CHECK_MESSAGE(!parse_mac(bad), bad);
}

TEST_CASE("an interface carries no group address and not the zero address") {
    CHECK(parse_unicast_mac("02:00:00:00:00:01") == "02:00:00:00:00:01");
    CHECK_FALSE(parse_unicast_mac("01:00:5e:00:00:01"));
    CHECK_FALSE(parse_unicast_mac("ff:ff:ff:ff:ff:ff"));
    CHECK_FALSE(parse_unicast_mac("00:00:00:00:00:00"));
}

TEST_CASE("an MTU lies between 1280 and 16384") {
    CHECK(parse_mtu("1280") == 1280);
    CHECK(parse_mtu("16384") == 16384);
    CHECK_FALSE(parse_mtu("1279"));
    CHECK_FALSE(parse_mtu("16385"));
    CHECK_FALSE(parse_mtu("1500.0"));
}

TEST_CASE("limits.cpu is a count or a set, and a set names no CPU twice") {
    CHECK(parse_cpu_set("4") == CpuLimit{4, {}});
    CHECK(parse_cpu_set("0-3") == CpuLimit{0, {0, 1, 2, 3}});
    CHECK(parse_cpu_set("7, 0-1,2") == CpuLimit{0, {0, 1, 2, 7}});
    CHECK(parse_cpu_set("1-1") == CpuLimit{0, {1}});
    CHECK(parse_cpu_set("7,0-1,2,4")->list() == "0-2,4,7");
    CHECK(parse_cpu_set("3-3")->list() == "3");
    CHECK(parse_cpu_set("2")->list().empty());
    for (const auto* bad : {"", "0", "-1", "1-", "3-1", "1,1", "0-2,2", "a", "1,,2", "1;2", "0-99999", "1-2-3"})
        CHECK_MESSAGE(!parse_cpu_set(bad), bad);
}

TEST_CASE("a list is split at commas and freed of blanks") {
    CHECK(parse_list("").empty());
    CHECK(parse_list("  ").empty());
    CHECK(parse_list("a") == std::vector<std::string_view>{"a"});
    CHECK(parse_list(" a, b ,c") == std::vector<std::string_view>{"a", "b", "c"});
    CHECK(parse_list("a,,b") == std::vector<std::string_view>{"a", "", "b"});
}

TEST_CASE("interface names are what kernel and sysctl tree can carry") {
    for (const auto* good : {"br", "eth0", "ovs-br0", "vlan.409", "a_b", "123456789012345"})
        CHECK_MESSAGE(is_interface_name(good), good);
    for (const auto* bad :
         {"", "a", "1234567890123456", "a/b", "a:b", "a b", ".a", "..", "-a", "all", "default", "a\nb", "br\xc3\xb6"})
        CHECK_MESSAGE(!is_interface_name(bad), bad);
}

TEST_CASE("instance names are host names that start with a letter") {
    for (const auto* good : {"a", "web", "web-1", "W3b"}) CHECK_MESSAGE(is_instance_name(good), good);
    for (const auto* bad : {"", "1web", "-web", "web-", "web_1", "web.1", "../x", "a;rm -rf /", "a\nb"})
        CHECK_MESSAGE(!is_instance_name(bad), bad);
    CHECK(is_instance_name(std::string(63, 'a')));
    CHECK_FALSE(is_instance_name(std::string(64, 'a')));
}

TEST_CASE("resource names are safe as a path component") {
    for (const auto* good : {"default", "lab.1", "_x", "user@host", "c++", "0a"})
        CHECK_MESSAGE(is_resource_name(good), good);
    for (const auto* bad : {"", ".", "..", ".hidden", "-rf", "a/b", "a:b", "a b", "a\\b", "a\tb", "a;b", "$(x)", "a\x01"})
        CHECK_MESSAGE(!is_resource_name(bad), bad);
}

TEST_CASE("a profile's name may have blanks inside") {
    CHECK(is_profile_name("Control plane"));
    CHECK_FALSE(is_profile_name(" x"));
    CHECK_FALSE(is_profile_name("x "));
    CHECK_FALSE(is_profile_name("a\nb"));
}

TEST_CASE("device names, digests and absolute paths keep their shapes") {
    CHECK(is_device_name("eth0"));
    CHECK(is_device_name("a/b:c"));
    CHECK_FALSE(is_device_name(".a"));
    CHECK_FALSE(is_device_name("a b"));
    CHECK(is_sha256(std::string(64, 'a')));
    CHECK_FALSE(is_sha256(std::string(63, 'a')));
    CHECK_FALSE(is_sha256(std::string(64, 'A')));
    CHECK(is_absolute_path("/"));
    CHECK(is_absolute_path("/srv/a b"));
    CHECK_FALSE(is_absolute_path("srv"));
    CHECK_FALSE(is_absolute_path("/srv/../etc"));
    CHECK_FALSE(is_absolute_path("/srv\n/etc"));
    CHECK_FALSE(is_absolute_path(""));
}

#include <doctest/doctest.h>

#include "model/ip.h"

using namespace ctl::model;

TEST_CASE("addresses are read in their strict spellings only") {
    CHECK(IpAddress::parse("10.0.3.1")->str() == "10.0.3.1");
    CHECK(IpAddress::parse("FD42:0:0::1")->str() == "fd42::1");
    CHECK(IpAddress::parse("::ffff:1.2.3.4")->str() == "::ffff:1.2.3.4");
    for (const auto text :
         {"", "10.0.3", "010.0.0.1", "10.0.3.1 ", "10.0.3.256", "1.2.3.4/24", "fe80::1%eth0", "fd42::1::2", "x"})
        CHECK_FALSE_MESSAGE(IpAddress::parse(text).has_value(), text);
}

TEST_CASE("a prefix length is decimal and fits the family") {
    CHECK(Cidr::parse("10.0.3.1/24")->str() == "10.0.3.1/24");
    CHECK(Cidr::parse("fd42::1/64")->prefix == 64);
    CHECK(Cidr::parse("0.0.0.0/0").has_value());
    for (const auto text :
         {"10.0.3.1", "10.0.3.1/", "10.0.3.1/33", "10.0.3.1/-1", "10.0.3.1/ 8", "10.0.3.1/8x", "fd42::1/129", "/24"})
        CHECK_FALSE_MESSAGE(Cidr::parse(text).has_value(), text);
    CHECK(Cidr::parse("10.0.3.1", true)->prefix == 32);
    CHECK(Cidr::parse("fd42::1", true)->prefix == 128);
}

TEST_CASE("a subnet knows its first and last address and what it contains") {
    const auto cidr = *Cidr::parse("10.0.3.77/26");
    CHECK(cidr.network().str() == "10.0.3.64/26");
    CHECK(cidr.last().str() == "10.0.3.127");
    CHECK(cidr.contains(*IpAddress::parse("10.0.3.127")));
    CHECK_FALSE(cidr.contains(*IpAddress::parse("10.0.3.128")));
    CHECK_FALSE(cidr.contains(*IpAddress::parse("a00:34d::")));
    CHECK(Cidr::parse("fd42::1/64")->contains(*IpAddress::parse("fd42::ffff:1")));
    CHECK(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("255.255.255.255")));
}

TEST_CASE("subnets overlap when one contains the other") {
    const auto overlap = [](const char* a, const char* b) { return Cidr::parse(a)->overlaps(*Cidr::parse(b)); };
    CHECK(overlap("10.0.0.0/8", "10.1.2.3/24"));
    CHECK(overlap("10.1.2.3/24", "10.0.0.0/8"));
    CHECK_FALSE(overlap("10.0.0.0/24", "10.0.1.0/24"));
    CHECK_FALSE(overlap("0.0.0.0/0", "::/0"));
}

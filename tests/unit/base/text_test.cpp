#include <array>

#include <doctest/doctest.h>

#include "base/text.h"

using namespace ctl;

TEST_CASE("escaped text can't break a line or drive a terminal") {
    CHECK(escaped("a\nb\tc\rd") == "a\\nb\\tc\\rd");
    CHECK(escaped("\x1b[31m") == "\\x1b[31m");
    CHECK(escaped(std::string_view("\0", 1)) == "\\x00");
    CHECK(escaped("\x7f") == "\\x7f");
    CHECK(escaped("\xc2\x9b") == "\\u009b");
    CHECK(escaped("\xff\xc3") == "\\xff\\xc3");
    CHECK(escaped("C:\\x") == "C:\\\\x");
    CHECK(escaped("gr\xc3\xbcn") == "gr\xc3\xbcn");
}

TEST_CASE("quoted text shows where it ends") {
    CHECK(quoted("") == "\"\"");
    CHECK(quoted("a\"b") == "\"a\\\"b\"");
    CHECK(quoted("a\nb") == "\"a\\nb\"");
}

TEST_CASE("split keeps empty pieces") {
    CHECK(split("", ',') == std::vector<std::string_view>{""});
    CHECK(split("a,,b,", ',') == std::vector<std::string_view>{"a", "", "b", ""});
}

TEST_CASE("trimmed takes blanks from both sides") {
    CHECK(trimmed(" \t a b \r\n") == "a b");
    CHECK(trimmed(" \n") == "");
}

TEST_CASE("joined puts the separator between pieces") {
    const std::array<std::string, 3> parts{"a", "a", "b"};
    CHECK(joined(parts, ", ") == "a, a, b");
    CHECK(joined({}, ", ").empty());
}

TEST_CASE("nearest finds slips of the finger and nothing far off") {
    constexpr std::array<std::string_view, 3> known{"ipv4.address", "ipv6.address", "description"};
    CHECK(nearest("ipv4.adress", known) == "ipv4.address");
    CHECK(nearest("desciption", known) == "description");
    CHECK(nearest("xyz", known) == "");
    CHECK(nearest(std::string(10'000, 'i'), known) == "");
    constexpr std::array<std::string_view, 1> one{"br0"};
    CHECK(nearest("br1", one) == "br0");
    CHECK(nearest("eth", one) == "");
}

TEST_CASE("UTF-8 is checked strictly") {
    CHECK(is_utf8("plain"));
    CHECK(is_utf8("\xf0\x9f\x90\xa7"));
    for (const auto text :
         {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"})
        CHECK_FALSE(is_utf8(text));
}

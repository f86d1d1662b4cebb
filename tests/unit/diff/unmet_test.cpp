#include <doctest/doctest.h>

#include <algorithm>

#include "diff/diff.h"
#include "diff/render.h"
#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;

TEST_CASE("an object that isn't there has one finding without a name") {
    const auto missing = diff::unmet(bridge(), nullptr);
    REQUIRE(missing.size() == 1);
    CHECK(missing[0].name.empty());
}

TEST_CASE("what the host has beyond what was wanted does not matter") {
    model::Link seen = bridge();
    seen.mtu = 1500;
    seen.addresses = cidrs({"10.0.0.1/24", "10.0.0.9/24"});
    model::Link want = bridge();
    want.addresses = cidrs({"10.0.0.1/24"});
    const model::Object object = seen;
    CHECK(diff::unmet(want, &object).empty());
}

TEST_CASE("each field that is not as wanted is named with both values") {
    model::Link want = bridge();
    want.mtu = 1400;
    want.addresses = cidrs({"10.0.0.1/24"});
    const model::Object seen = bridge();
    const auto missing = diff::unmet(want, &seen);
    REQUIRE(missing.size() == 2);
    CHECK(missing[0].name == "mtu");
    CHECK_FALSE(missing[0].from);
    CHECK(missing[1].name == "addresses");
}

TEST_CASE("a change is shown with its symbol, its fields and where the manifest says so") {
    diff::Change change;
    change.id = id("link/br0");
    change.reason = "mtu changed";
    change.fields = {{"mtu", std::int64_t{1500}, std::int64_t{1400}, model::Effect::live, diff::Cause::changed, place(12)}};
    CHECK(to_text(change, {}) ==
          "  ~ link/br0 will be updated: mtu changed\n"
          "      ~ mtu: 1500 → 1400   (live, changed at stack.yaml:12:1)\n");
    CHECK(to_text(change, {.colour = true}).starts_with("\x1b[33m  ~\x1b[0m link/br0"));
}

TEST_CASE("hostile values can neither break a line nor drive a terminal") {
    diff::Change change;
    change.id = id("link/br0");
    change.fields = {{"mode", std::string("a\n\x1b[31m"), std::nullopt, model::Effect::live, diff::Cause::unset, {}}};
    const std::string text = to_text(change, {});
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(std::count(text.begin(), text.end(), '\n') == 2);
}

TEST_CASE("a long list or map is shown a member a line, and only what comes and goes of it") {
    const std::string many = "type filter hook forward priority filter; policy accept;\niifname br0 accept";
    const auto before = wanted(model::NftTable{
        .family = "inet",
        .chains = {{{"forward", many + "\noifname br0 ct state established,related accept"}, {"out", many}}}});
    const auto after =
        wanted(model::NftTable{.family = "inet", .chains = {{{"forward", many + "\noifname br0 drop"}, {"out", many}}}});
    CHECK(to_text(diff::Change{.id = id("nft_table/t"), .verb = diff::Verb::create, .desired = after}, {}) ==
          "  + nft_table/t will be created\n"
          "      + family: inet\n"
          "      + chains:\n"
          "          forward: type filter hook forward priority filter; policy accept;\n"
          "          forward: iifname br0 accept\n"
          "          forward: oifname br0 drop\n"
          "          out: type filter hook forward priority filter; policy accept;\n"
          "          out: iifname br0 accept\n");
    const auto value = [](const model::Entry& entry) { return model::fields_of(entry.object).at(1).value; };
    const diff::Change change{.id = id("nft_table/t"),
                              .fields = {{.name = "chains", .from = value(before), .to = value(after), .where = {}}}};
    CHECK(to_text(change, {}) ==
          "  ~ nft_table/t will be updated\n"
          "      ~ chains:   (live, changed)\n"
          "          - forward: oifname br0 ct state established,related accept\n"
          "          + forward: oifname br0 drop\n");
}

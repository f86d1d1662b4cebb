#include "drivers/nftables/driver.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "drivers/api/mark.h"
#include "drivers/nftables/table_text.h"
#include "support/builders.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// The driver on the kernel's nf_tables, in a network namespace of its own, judged by nft.

using namespace ctl;
using namespace ctl::drivers;
using ctl::testing::sh;
using diff::Change;
using diff::Verb;
using model::NftTable;

#define CTL_SKIP_WITHOUT_NAMESPACES()                                \
    const std::string reason = ctl::testing::enter_own_namespaces(); \
    CTL_SKIP_IF(!reason.empty(), reason);                            \
    sh("nft flush ruleset")

namespace {

const std::string nat = "type nat hook postrouting priority srcnat; policy accept;\n";

NftTable table(std::map<std::string, std::string> chains, std::string family = "inet") {
    return {.family = std::move(family), .chains = std::move(chains)};
}

Change change(Verb verb, const std::string& name, std::optional<NftTable> wanted = std::nullopt) {
    Change change;
    change.id = test::id("nft_table/" + name);
    change.verb = verb;
    if (wanted) change.desired = test::wanted(*wanted);
    return change;
}

std::vector<Status> apply(Driver& driver, const std::vector<Change>& changes) {
    std::vector<Status> outcomes(changes.size());
    driver.apply(changes, [&](std::size_t index, Status outcome) { outcomes[index] = std::move(outcome); }, {});
    return outcomes;
}

void must_apply(Driver& driver, const std::vector<Change>& changes) {
    for (const auto& outcome : apply(driver, changes)) {
        INFO((outcome ? std::string() : outcome.error().str()));
        REQUIRE(outcome.has_value());
    }
}

std::unique_ptr<Driver> make() { return std::move(*make_nftables_driver({})); }

std::string mark_of(const std::string& name) {
    return make_mark({test::stack_name, "Network", "net"}, test::id("nft_table/" + name));
}

}  // namespace

TEST_CASE("a table is made, seen as it was wanted, replaced and deleted, and nft shows it") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    const NftTable first =
        table({{"postrouting", nat + "ip saddr 10.1.0.0/24 ip daddr != 10.1.0.0/24 masquerade"}, {"empty", ""}});
    must_apply(*driver, {change(Verb::create, "ctl_lab-0.x", first)});
    CHECK(sh("nft list table inet ctl_lab-0.x").find("ip daddr != 10.1.0.0/24 masquerade") != std::string::npos);
    const auto id = test::id("nft_table/ctl_lab-0.x");
    auto seen = driver->observe({}, {});
    REQUIRE(seen.has_value());
    REQUIRE(seen->contains(id));
    CHECK(std::get<NftTable>(seen->at(id).object) == first);
    CHECK(seen->at(id).mark == model::Mark::complete);
    CHECK(seen->at(id).owner == model::ResourceRef{test::stack_name, "Network", "net"});

    const NftTable second =
        table({{"postrouting", nat + "ip saddr 10.1.0.0/24 ip daddr != 10.1.0.0/24 snat ip to 192.0.2.1"}});
    must_apply(*driver, {change(Verb::update, "ctl_lab-0.x", second)});
    seen = driver->observe(Interest::only({id}), {});
    CHECK(std::get<NftTable>(seen->at(id).object) == second);
    CHECK(sh("nft list table inet ctl_lab-0.x").find("masquerade") == std::string::npos);

    must_apply(*driver, {change(Verb::remove, "ctl_lab-0.x")});
    CHECK(sh("nft list ruleset").empty());
    must_apply(*driver, {change(Verb::remove, "ctl_lab-0.x")});
}

TEST_CASE("chains may jump to chains that stand behind them") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    const NftTable wanted =
        table({{"a", "type filter hook forward priority filter; policy accept;\niifname \"x\" jump b"}, {"b", "drop"}});
    must_apply(*driver, {change(Verb::create, "ctl_x", wanted)});
    CHECK(std::get<NftTable>(driver->observe({}, {})->at(test::id("nft_table/ctl_x")).object) == wanted);
}

TEST_CASE("a table that is as it shall be isn't touched") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    const NftTable wanted = table({{"a", "counter accept"}});
    must_apply(*driver, {change(Verb::create, "ctl_x", table({{"a", "accept"}}))});
    const std::string before = sh("nft -a list table inet ctl_x");
    must_apply(*driver, {change(Verb::update, "ctl_x", table({{"a", "accept"}})), change(Verb::create, "ctl_y", wanted)});
    CHECK(sh("nft -a list table inet ctl_x") == before);
}

TEST_CASE("a refused line comes back with nft's words and the table's name, and the others of the batch are made") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    must_apply(*driver, {change(Verb::create, "ctl_bad", table({{"a", "accept"}}))});
    const auto outcomes = apply(*driver, {change(Verb::create, "ctl_good", table({{"a", "accept"}})),
                                          change(Verb::update, "ctl_bad", table({{"a", "drop\nfrobnicate 7\naccept"}})),
                                          change(Verb::create, "ctl_odd", table({{"a", "jump nowhere"}}))});
    CHECK(outcomes[0].has_value());
    REQUIRE(!outcomes[1].has_value());
    CHECK(outcomes[1].error().str().find("while changing nft_table/ctl_bad: nft says: ") != std::string::npos);
    CHECK(outcomes[1].error().str().find("frobnicate 7") != std::string::npos);
    REQUIRE(!outcomes[2].has_value());
    CHECK(outcomes[2].error().str().find("No such file or directory") != std::string::npos);
    CHECK(sh("nft list table inet ctl_bad").find("accept") != std::string::npos);
    CHECK(sh("nft list tables").find("ctl_good") != std::string::npos);
    CHECK(sh("nft list tables").find("ctl_odd") == std::string::npos);
}

TEST_CASE("tables of others are neither replaced nor deleted nor, unless they have our names, seen") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    sh("nft add table inet ctl_theirs '{ chain a { accept; }; }'");
    sh("nft add table inet filter '{ chain forward { type filter hook forward priority 0; }; }'");
    sh("nft 'add table inet ctl_copy { comment \"" + mark_of("ctl_other") + "\"; }'");
    const std::string before = sh("nft list ruleset");
    const auto seen = driver->observe({}, {});
    REQUIRE(seen.has_value());
    CHECK(seen->size() == 2);
    CHECK(seen->at(test::id("nft_table/ctl_theirs")).mark == model::Mark::none);
    CHECK(seen->at(test::id("nft_table/ctl_copy")).mark == model::Mark::none);

    const auto outcomes = apply(*driver, {change(Verb::create, "ctl_theirs", table({{"a", "drop"}})),
                                          change(Verb::remove, "ctl_theirs"), change(Verb::update, "filter", table({}))});
    REQUIRE(!outcomes[0].has_value());
    CHECK(outcomes[0].error().code() == ErrorCode::conflict);
    CHECK(outcomes[1].has_value());
    CHECK(!outcomes[2].has_value());
    CHECK(sh("nft list ruleset") == before);
}

TEST_CASE("what others put into our table is a difference, and the next change takes it out") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    const NftTable wanted = table({{"a", "accept"}});
    const auto id = test::id("nft_table/ctl_x");
    for (const std::string meddling :
         {"nft add rule inet ctl_x a drop", "nft add chain inet ctl_x b", "nft flush chain inet ctl_x a",
          "nft 'add set inet ctl_x s { type ipv4_addr; elements = { 1.2.3.4 }; }'",
          "nft 'add table inet ctl_x { flags dormant; }'"}) {
        CAPTURE(meddling);
        must_apply(*driver, {change(Verb::create, "ctl_x", wanted)});
        sh(meddling);
        CHECK(std::get<NftTable>(driver->observe({}, {})->at(id).object) != wanted);
        must_apply(*driver, {change(Verb::update, "ctl_x", wanted)});
        CHECK(std::get<NftTable>(driver->observe({}, {})->at(id).object) == wanted);
    }
}

TEST_CASE("a mark that is longer than a comment is kept whole") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    Change made = change(Verb::create, "ctl_x", table({{"a", "accept"}}));
    const model::ResourceRef owner{std::string(63, 's'), "Container", std::string(63, 'c')};
    made.desired.edit().owner = owner;
    must_apply(*driver, {made});
    const auto seen = driver->observe({}, {});
    const auto& entry = seen->at(made.id);
    CHECK(entry.mark == model::Mark::complete);
    CHECK(entry.owner == owner);
    CHECK(std::get<NftTable>(entry.object) == table({{"a", "accept"}}));
}

TEST_CASE("a table changes its family and its owner, and is left behind without a mark when it is forgotten") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    must_apply(*driver, {change(Verb::create, "ctl_x", table({{"a", "accept"}}, "ip"))});
    Change adopted = change(Verb::adopt, "ctl_x", table({{"a", "accept"}}, "bridge"));
    adopted.desired.edit().owner.name = "other";
    must_apply(*driver, {adopted});
    CHECK(sh("nft list tables") == "table bridge ctl_x");
    CHECK(driver->observe({}, {})->at(adopted.id).owner.name == "other");
    must_apply(*driver, {change(Verb::forget, "ctl_x")});
    CHECK(sh("nft list ruleset").find("accept") != std::string::npos);
    CHECK(driver->observe({}, {})->at(adopted.id).mark == model::Mark::none);
}

TEST_CASE("a table with a container's name before its own is in that container's namespace") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const std::string pin = ctl::testing::run_dir() + "/namespaces/web/net";
    sh("mkdir -p $(dirname " + pin + ") && touch " + pin + " && unshare --net=" + pin + " true");
    DriverContext context;
    context.run_dir = ctl::testing::run_dir();
    const auto driver = std::move(*make_nftables_driver(context));
    const NftTable inner = table({{"a", "drop"}}, "ip");
    must_apply(*driver, {change(Verb::create, "web:ctl_router", inner),
                         change(Verb::create, "ctl_router", table({{"a", "accept"}}))});
    CHECK(sh("nsenter --net=" + pin + " nft list ruleset").find("drop") != std::string::npos);
    CHECK(sh("nft list ruleset").find("drop") == std::string::npos);
    const auto id = test::id("nft_table/web:ctl_router");
    const auto seen = driver->observe(Interest::only({id}), {});
    REQUIRE(seen.has_value());
    CHECK(seen->size() == 1);
    CHECK(std::get<NftTable>(seen->at(id).object) == inner);
    CHECK(seen->at(id).mark == model::Mark::complete);
    must_apply(*driver, {change(Verb::remove, "web:ctl_router")});
    CHECK(sh("nsenter --net=" + pin + " nft list ruleset").empty());
    CHECK(sh("nft list ruleset").find("accept") != std::string::npos);
    sh("umount " + pin);
    CHECK(driver->observe(Interest::only({id, test::id("nft_table/gone:ctl_router")}), {})->empty());
}

TEST_CASE("lines and names that would reach beyond their chain are refused before anything is run") {
    for (const std::string line : {"accept }", "accept\n} chain b {", "log prefix \"x", "accept # rest", "a\\", "drop\tx"})
        CHECK_MESSAGE(!nftables::put_table("ctl_x", table({{"a", line}}), ""), line);
    for (const std::string name : {"", "a b", "a{", "0a", "a;b", "a\"b"}) {
        CHECK_MESSAGE(!nftables::put_table(name, table({}), ""), name);
        CHECK_MESSAGE(!nftables::put_table("ctl_x", table({{name, "accept"}}), ""), name);
    }
    CHECK(!nftables::put_table("ctl_x", table({}), "a\"b"));
    CHECK(!nftables::put_table("ctl_x", table({}, "inet x; flush ruleset"), ""));
    CHECK(nftables::put_table("ctl_x", table({{"a", "iifname { \"x\", \"y\" } log prefix \"a } b\" drop"}}), "ctl:1"));
}

TEST_CASE("a flush by hand is heard, the changes of other tables are not") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    must_apply(*driver, {change(Verb::create, "ctl_x", table({{"a", "accept"}}))});
    const auto sources = driver->events();
    REQUIRE(sources.size() == 1);
    const int fd = sources.front().fd;
    (void)driver->drain(fd);
    const auto hears = [&](const std::string& command) {
        sh(command);
        pollfd waiting{fd, POLLIN, 0};
        return ::poll(&waiting, 1, 5000) == 1 && driver->drain(fd);
    };
    CHECK(!hears("nft add table inet filter"));
    CHECK(hears("nft add rule inet ctl_x a drop"));
    CHECK(hears("nft flush ruleset"));
}

TEST_CASE("without the right to change the network a plan says so") {
    CTL_SKIP_WITHOUT_NAMESPACES();
    const auto driver = make();
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) std::_Exit(3);
        const auto faults = driver->preflight(std::vector{change(Verb::create, "ctl_x", table({{"a", "accept"}}))});
        const auto seen = driver->observe(Interest::only({test::id("nft_table/ctl_x")}), {});
        const bool is_told = faults.size() == 1 && faults[0].code() == ErrorCode::permission &&
                             faults[0].str().find("nft_table/ctl_x") != std::string::npos;
        std::_Exit(is_told && !seen && driver->observe({}, {})->empty() ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

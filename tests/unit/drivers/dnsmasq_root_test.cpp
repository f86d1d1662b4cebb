#include <doctest/doctest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "diff/diff.h"
#include "drivers/dnsmasq/driver.h"
#include "drivers/dnsmasq/process.h"
#include "support/own_namespaces.h"
#include "support/skip.h"
#include "support/wait.h"

// The driver with a real dnsmasq on a bridge, and busybox's DHCP client and nslookup in a second namespace.

using namespace ctl;
using namespace ctl::drivers;
using ctl::testing::sh;
using ctl::testing::wait_until;
using diff::Verb;
using model::DnsService;
using model::ObjectId;
using model::ObjectKind;
using Lines = std::map<std::string, std::string>;

namespace {

#define CTL_SKIP_WITHOUT_DNSMASQ()                                   \
    const std::string reason = ctl::testing::enter_own_namespaces(); \
    CTL_SKIP_IF(!reason.empty(), reason);                            \
    const auto program = dnsmasq::find_dnsmasq();                    \
    CTL_SKIP_IF(!program, program.error().str())

/// The daemons of a test are orphans of its own, not of the machine's first process.
bool is_gone(pid_t pid) {
    return wait_until([&] { return ::waitpid(pid, nullptr, WNOHANG) == pid || ::kill(pid, 0) != 0; });
}

/// A bridge, and a namespace "lan" with one interface on it. Everything it started is ended with it.
class World {
public:
    World() {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        sh("rm -rf /run/state && mkdir -m 711 /run/state && mkdir -p /run/netns");
        sh("ip link add dns0 type bridge && ip addr add 10.99.0.1/24 dev dns0 && ip link set dns0 up");
        sh("ip netns add lan && ip link add port0 type veth peer name eth0 netns lan && ip link set port0 master dns0 up");
        sh("ip -n lan link set eth0 address 00:16:3e:00:00:01 up && ip -n lan link set lo up");
        sh("printf '%s\\n' '#!/bin/sh' '[ \"$1\" = bound ] && echo \"$ip $router $dns $domain $mtu $search\" > /run/bound' "
           "'exit 0' > /run/udhcpc && chmod +x /run/udhcpc");
        driver_ = std::move(*make_dnsmasq_driver({"/run/state", "/run/ctl", "", ""}));
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World() {
        if (pid() > 0) ::kill(pid(), SIGKILL);
        while (::waitpid(-1, nullptr, 0) > 0) continue;
        // The kernel takes its time with a namespace, and until then with the links in it.
        sh("ip link del port0; ip netns del lan; ip link del dns0 2>/dev/null; true");
    }

    static DnsService wanted() {
        DnsService service;
        service.options = std::vector<std::string>{"listen-address=10.99.0.1", "dhcp-range=10.99.0.100,10.99.0.200,1h",
                                                   "domain=lab", "local=/lab/", "dhcp-ignore-names"};
        service.reservations.emplace();
        service.records.emplace();
        service.running = true;
        return service;
    }

    static diff::Change change(Verb verb, const DnsService& service) {
        diff::Change change;
        change.id = {ObjectKind::dns_service, "dns0"};
        change.verb = verb;
        if (verb != Verb::remove) {
            change.desired.edit().object = service;
            change.desired.edit().owner = {"lab", "Network", "dns0"};
        }
        return change;
    }

    Status apply(Verb verb, const DnsService& service) {
        Status outcome;
        driver_->apply(std::vector{change(verb, service)}, [&](std::size_t, Status result) { outcome = std::move(result); },
                       {});
        return outcome;
    }
    void must(Verb verb, const DnsService& service) {
        const Status outcome = apply(verb, service);
        REQUIRE_MESSAGE(outcome.has_value(), outcome.error().str());
    }
    std::vector<Error> preflight(const DnsService& service) {
        return driver_->preflight(std::vector{change(Verb::create, service)});
    }

    std::optional<model::Entry> observe() {
        auto state = driver_->observe({}, {});
        REQUIRE(state.has_value());
        const auto found = state->find({ObjectKind::dns_service, "dns0"});
        return found != state->end() ? std::optional(found->second) : std::nullopt;
    }
    DnsService seen() { return std::get<DnsService>(observe()->object); }
    std::vector<std::string> leases() {
        const ObjectId id{ObjectKind::dns_service, "dns0"};
        const auto facts = driver_->facts({id}, {});
        REQUIRE(facts.has_value());
        return std::get<std::vector<std::string>>(facts->at(id).at("leases"));
    }

    static std::string file(const std::string& name) { return "/run/state/networks/dns0/" + name; }
    static pid_t pid() {
        const auto process = dnsmasq::find_process(file("dnsmasq.conf"), file("pid"));
        return process ? process->pid : -1;
    }

    /// What a client in the namespace is given: address, router, name server, domain, MTU, search; "" for no lease.
    static std::string lease(const std::string& arguments = "") {
        sh("rm -f /run/bound; ip netns exec lan busybox udhcpc -n -q -t 5 -T 1 -i eth0 -s /run/udhcpc -S " + arguments +
           " >/dev/null 2>&1; true");
        const auto bound = read_file("/run/bound");
        return bound ? std::string(trimmed(*bound)) : std::string();
    }
    /// The address a name has, as the namespace is told; "" for none.
    static std::string resolve(const std::string& name) {
        return sh("ip -n lan addr replace 10.99.0.9/24 dev eth0; ip netns exec lan busybox nslookup -type=a " + name +
                  " 10.99.0.1 2>/dev/null | sed -n '/^Name/,$s/^Address: //p'; ip -n lan addr del 10.99.0.9/24 dev eth0");
    }

    Driver& driver() { return *driver_; }

private:
    std::unique_ptr<Driver> driver_;
};

}  // namespace

TEST_CASE("a network is served: a lease with its options, a reservation, names") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    CHECK(!world.observe());
    DnsService service = World::wanted();
    service.reservations = Lines{{"web:eth0", "00:16:3e:00:00:01,10.99.0.66,web"}};
    service.records = Lines{{"db:eth0", "10.99.0.7 db.lab db"}};
    CHECK(world.preflight(service).empty());
    world.must(Verb::create, service);
    const auto entry = world.observe();
    REQUIRE(entry);
    CHECK(entry->mark == model::Mark::complete);
    CHECK(entry->owner == model::ResourceRef{"lab", "Network", "dns0"});
    CHECK(diff::unmet(service, &entry->object).empty());

    CHECK(World::lease("-x hostname:forged") == "10.99.0.66 10.99.0.1 10.99.0.1 lab");
    CHECK(World::resolve("web.lab") == "10.99.0.66");
    CHECK(World::resolve("web") == "10.99.0.66");
    CHECK(World::resolve("db.lab") == "10.99.0.7");
    CHECK(World::resolve("forged.lab").empty());
    const auto leases = world.leases();
    REQUIRE(leases.size() == 1);
    CHECK(leases.front().starts_with("10.99.0.66 web 00:16:3e:00:00:01 until "));

    // It is on no terminal, and not root.
    CHECK(sh(fmt::format("ps -o user= -p {}", World::pid())) == "nobody");
    CHECK(sh(fmt::format("ps -o sid= -p {} | tr -d ' '", World::pid())) != sh("ps -o sid= -p $$ | tr -d ' '"));

    const pid_t pid = World::pid();
    world.must(Verb::remove, service);
    CHECK(is_gone(pid));
    CHECK(!world.observe());
    CHECK(!std::filesystem::exists("/run/state/networks"));
    world.must(Verb::remove, service);
}

TEST_CASE("reservations and names come and go while it runs, and a lease whose reservation goes is given back") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    DnsService service = World::wanted();
    world.must(Verb::create, service);
    const pid_t pid = World::pid();
    REQUIRE(pid > 0);

    service.reservations = Lines{{"web:eth0", "00:16:3e:00:00:01,10.99.0.66,web"}};
    world.must(Verb::update, service);
    CHECK(World::lease().starts_with("10.99.0.66 "));
    service.reservations = Lines{{"web:eth0", "00:16:3e:00:00:01,10.99.0.67,web"}};
    service.records = Lines{{"db:eth0", "10.99.0.7 db.lab db"}};
    world.must(Verb::update, service);
    CHECK(World::resolve("db.lab") == "10.99.0.7");
    CHECK(World::resolve("web.lab") == "10.99.0.66");  // who has the address keeps it until he asks again
    CHECK(World::lease().starts_with("10.99.0.67 "));
    CHECK(World::resolve("web.lab") == "10.99.0.67");

    service.reservations->clear();
    service.records->clear();
    world.must(Verb::update, service);
    CHECK(wait_until([&] { return world.leases().empty(); }));
    CHECK(World::resolve("web.lab").empty());
    CHECK(World::resolve("db.lab").empty());
    CHECK(World::lease().starts_with("10.99.0.1"));
    CHECK(diff::unmet(service, &world.observe()->object).empty());
    CHECK(World::pid() == pid);
}

TEST_CASE("other settings start it again, and leases outlive that") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    DnsService service = World::wanted();
    world.must(Verb::create, service);
    const std::string first = World::lease();
    const pid_t pid = World::pid();
    service.options->push_back("dhcp-option-force=26,1400");
    world.must(Verb::update, service);
    CHECK(World::pid() > 0);
    CHECK(World::pid() != pid);
    CHECK(World::lease() == first + " 1400");
    CHECK(diff::unmet(service, &world.observe()->object).empty());
}

TEST_CASE("what somebody else does to it shows, and is put right") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    const DnsService service = World::wanted();
    world.must(Verb::create, service);
    const auto differs = [&] { return !diff::unmet(service, &world.observe()->object).empty(); };
    SUBCASE("it is killed, and the watch hears of it once") {
        const auto sources = world.driver().events();
        REQUIRE(sources.size() == 1);
        CHECK(!world.driver().drain(sources[0].fd));
        ::kill(World::pid(), SIGKILL);
        CHECK(wait_until([&] { return world.driver().drain(sources[0].fd); }));
        CHECK(!world.driver().drain(sources[0].fd));
    }
    SUBCASE("another process got its number") {
        ::kill(World::pid(), SIGKILL);
        REQUIRE(wait_until([] { return World::pid() < 0; }));
        sh(fmt::format("echo {} > {}", ::getpid(), World::file("pid")));
    }
    SUBCASE("its interface is made again, under the same name") {
        sh("ip link del dns0 && ip link add dns0 type bridge && ip addr add 10.99.0.1/24 dev dns0 && "
           "ip link set dns0 up && ip link set port0 master dns0");
    }
    SUBCASE("its configuration is edited") { sh("echo domain=evil >> " + World::file("dnsmasq.conf")); }
    SUBCASE("a reservation appears") { sh("echo 00:16:3e:00:00:01,10.99.0.250 > " + World::file("hosts/x")); }
    SUBCASE("its hosts directory is gone") { sh("rm -r " + World::file("hosts") + " && touch " + World::file("unread")); }
    CHECK(differs());
    world.must(Verb::update, service);
    CHECK(!differs());
    CHECK(World::lease().starts_with("10.99.0.1"));
}

TEST_CASE("a process file that is gone does not hide the process") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    const DnsService service = World::wanted();
    world.must(Verb::create, service);
    const pid_t pid = World::pid();
    sh("rm " + World::file("pid"));
    CHECK(World::pid() == pid);
    CHECK(world.seen().running == true);
    world.must(Verb::remove, service);
    CHECK(is_gone(pid));
}

TEST_CASE("whatever an interrupted run left is brought to its end") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    DnsService service = World::wanted();
    SUBCASE("a directory and nothing in it") {
        sh("mkdir -p /run/state/networks/dns0");
        CHECK(world.observe()->mark == model::Mark::begun);
    }
    SUBCASE("files, but no process yet") {
        world.must(Verb::create, service);
        ::kill(World::pid(), SIGKILL);
        REQUIRE(wait_until([] { return World::pid() < 0; }));
        sh("rm -r " + World::file("hosts"));
        CHECK(world.seen().running == false);
    }
    SUBCASE("reservations that were written and not read") {
        world.must(Verb::create, service);
        service.reservations = Lines{{"web:eth0", "00:16:3e:00:00:01,10.99.0.66,web"}};
        sh("touch " + World::file("unread") + " && echo 00:16:3e:00:00:01,10.99.0.66,web > " +
           World::file("hosts/web:eth0"));
        CHECK(!diff::unmet(service, &world.observe()->object).empty());
        world.must(Verb::update, service);
        CHECK(World::lease().starts_with("10.99.0.66 "));
    }
    SUBCASE("a removal that got as far as the process") {
        world.must(Verb::create, service);
        ::kill(World::pid(), SIGKILL);
        sh("rm -r " + World::file("hosts") + " " + World::file("leases"));
        world.must(Verb::remove, service);
        CHECK(!world.observe());
        return;
    }
    world.must(Verb::create, service);
    CHECK(diff::unmet(service, &world.observe()->object).empty());
    CHECK(World::pid() > 0);
}

TEST_CASE("what can't be served is told in dnsmasq's own words") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    DnsService service = World::wanted();
    SUBCASE("a setting that it doesn't know, before anything is changed") {
        service.options->push_back("no-such-option=1");
        const auto errors = world.preflight(service);
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].str().find("dnsmasq refuses the settings of network dns0: bad option: \"no-such-option=1\"") !=
              std::string::npos);
        CHECK(!std::filesystem::exists("/run/state/networks"));
        const Status outcome = world.apply(Verb::create, service);
        REQUIRE(!outcome);
        CHECK(outcome.error().str().find("bad option at line") != std::string::npos);
    }
    SUBCASE("a port that another has") {
        sh("dnsmasq --conf-file=/dev/null --bind-interfaces --interface=dns0 --except-interface=lo --pid-file=/run/other");
        const Status outcome = world.apply(Verb::create, service);
        sh("kill $(cat /run/other)");
        REQUIRE(!outcome);
        const std::string words = outcome.error().str();
        CHECK(words.find("serving network dns0") != std::string::npos);
        CHECK(words.find("failed to create listening socket for 10.99.0.1: Address already in use") != std::string::npos);
        CHECK(words.find("ss -lntup") != std::string::npos);
    }
    SUBCASE("an interface that is not there") {
        sh("ip link del dns0");
        const Status outcome = world.apply(Verb::create, service);
        REQUIRE(!outcome);
        CHECK(outcome.error().str().find("interface dns0 is not there to be served") != std::string::npos);
    }
    SUBCASE("a state directory that nobody may pass through") {
        sh("chmod 700 /run/state");
        const auto errors = world.preflight(service);
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].str().find("runs as nobody, who can't pass through \"/run/state\"") != std::string::npos);
        CHECK(errors[0].hint().starts_with("chmod o+x /run/state"));
    }
    SUBCASE("a line with a line break in it") {
        service.reservations = Lines{{"web:eth0", "00:16:3e:00:00:01,10.99.0.66\n00:16:3e:00:00:02,10.99.0.67"}};
        CHECK(!world.apply(Verb::create, service));
    }
}

TEST_CASE("what carries no mark of ours is left alone") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    const DnsService service = World::wanted();
    world.must(Verb::create, service);
    const pid_t pid = World::pid();
    world.must(Verb::forget, service);
    CHECK(world.observe()->mark == model::Mark::none);
    CHECK(World::pid() == pid);
    CHECK(!world.apply(Verb::remove, service));
    CHECK(World::pid() == pid);
    world.must(Verb::adopt, service);
    CHECK(world.observe()->mark == model::Mark::complete);
    CHECK(World::pid() == pid);
}

TEST_CASE("two networks of one host are served side by side") {
    CTL_SKIP_WITHOUT_DNSMASQ();
    World world;
    world.must(Verb::create, World::wanted());
    sh("ip link add dns1 type bridge && ip addr add 10.98.0.1/24 dev dns1 && ip link set dns1 up");
    diff::Change second = World::change(Verb::create, World::wanted());
    second.id.name = "dns1";
    second.desired.edit().owner.name = "dns1";
    std::get<DnsService>(second.desired.edit().object).options =
        std::vector<std::string>{"listen-address=10.98.0.1", "dhcp-range=10.98.0.2,10.98.0.254,1h"};
    world.driver().apply(std::vector{second}, [](std::size_t, const Status& outcome) { CHECK(outcome.has_value()); }, {});
    CHECK(World::lease().starts_with("10.99.0.1"));
    sh("ip link set port0 master dns1");
    CHECK(World::lease().starts_with("10.98.0."));
    second.verb = Verb::remove;
    second.desired.reset();
    world.driver().apply(std::vector{second}, [](std::size_t, const Status& outcome) { CHECK(outcome.has_value()); }, {});
    sh("ip link del dns1");
    CHECK(World::pid() > 0);
}

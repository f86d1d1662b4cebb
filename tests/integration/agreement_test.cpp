#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <random>

#include "diff/diff.h"
#include "drivers/netlink/driver.h"
#include "drivers/sysctl/driver.h"
#include "model/lower.h"
#include "model/parse.h"
#include "model/validate.h"
#include "model/yaml.h"
#include "reconcile/plan.h"
#include "support/builders.h"
#include "support/fake_host.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// The host in memory, on which property tests run plans, and the kernel itself: the same stacks and the same mishaps lead to
// the same plans and the same state.

using namespace ctl;
using namespace ctl::test;
using model::HostState;
using model::ObjectId;
using model::ObjectKind;

namespace {

/// A random stack of networks and containers' NICs, of what the kernel takes.
class Manifest {
public:
    explicit Manifest(std::mt19937& random) : random_(random) {}

    std::string make() {
        text_ = "stack: lab\nstorage_pools: [{name: default, driver: dir}]\nnetworks:\n";
        text_ += fmt::format("- {{name: br0, config: {{ipv4.address: {}, bridge.mtu: {}}}}}\n",
                             one_of({"10.1.0.1/24", "10.1.0.2/24"}), one_of({"1400", "1450", "1500"}));
        text_ += fmt::format("- {{name: br1, config: {{ipv4.address: {}, ipv6.address: {}{}}}}}\n",
                             one_of({"10.2.0.1/24", "10.3.0.1/16"}), one_of({"none", "'fd42:9::1/64'"}),
                             one_of({"", ", bridge.external_interfaces: enp0"}));
        if (below(3) != 0)
            text_ += fmt::format("- {{name: mac0, type: macvlan, config: {{parent: enp1, mode: {}}}}}\n",
                                 one_of({"bridge", "vepa", "private"}));
        text_ +=
            "images: [{name: busybox, source: {type: busybox}}]\n"
            "profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]\ncontainers:\n";
        for (unsigned i = 1; i <= 3; ++i)
            if (below(4) != 0) add_container(i);
        return text_ + (text_.ends_with("containers:\n") ? "[]\n" : "");
    }

private:
    unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
    std::string one_of(std::initializer_list<std::string> texts) {
        return *(texts.begin() + below(static_cast<unsigned>(texts.size())));
    }

    void add_container(unsigned i) {
        text_ += fmt::format("- name: c{}\n  image: busybox\n  config: {{{}}}\n  devices:\n", i,
                             one_of({"", "security.privileged: 'true'"}));
        text_ += fmt::format("    eth0: {{type: nic, {}}}\n",
                             one_of({fmt::format("network: br0, ipv4.address: 10.1.0.{}", 10 + i), "network: br0",
                                     fmt::format("nictype: bridged, parent: br0, host_name: port{}", i)}));
        if (below(2) == 0)
            text_ += fmt::format(
                "    eth1: {{type: nic, {}}}\n",
                one_of({"nictype: bridged, parent: br1", "nictype: p2p, mtu: '1300'", "nictype: macvlan, parent: enp1",
                        fmt::format("nictype: macvlan, parent: enp1, ipv4.address: 10.7.0.{}/24, "
                                    "ipv4.gateway: 10.7.0.1",
                                    10 + i),
                        fmt::format("nictype: macvlan, parent: enp1, ipv6.address: 'fd42:7::{}/64', "
                                    "ipv6.gateway: 'fd42:7::1'",
                                    10 + i)}));
    }

    std::mt19937& random_;
    std::string text_;
};

/// Links, routes and what belongs to them. A switch of the whole host changes every interface's, which the host in memory
/// does not know.
bool is_network(const ObjectId& id) {
    const bool is_of_a_link = id.name.find(".conf.") != std::string::npos && id.name.find(".conf.all.") == std::string::npos;
    return id.kind == ObjectKind::link || id.kind == ObjectKind::netns || id.kind == ObjectKind::route ||
           (id.kind == ObjectKind::sysctl && is_of_a_link);
}

/// What a manifest wants of the kernel's network.
HostState lower(const std::string& manifest, model::Allocations& allocations) {
    Diagnostics diagnostics;
    auto stack = model::parse(model::load_yaml(manifest, "stack.yaml", diagnostics), "lab", diagnostics);
    model::validate(stack, diagnostics);
    for (const auto& d : diagnostics.all()) REQUIRE_MESSAGE(d.severity != Severity::error, d.message, "\n", manifest);
    auto lowered = model::lower(stack, allocations, {});
    allocations = lowered.allocations;
    std::erase_if(lowered.desired, [](const auto& item) { return !is_network(item.first); });
    for (auto& [id, entry] : lowered.desired)
        std::erase_if(entry.needs, [](const model::Need& need) { return !is_network(need.id); });
    return std::move(lowered.desired);
}

/// The kernel, by the drivers that are shipped.
struct Kernel {
    Kernel() {
        const drivers::DriverContext context{"/run/state", ctl::testing::run_dir(), "", ""};
        netlink = std::move(*drivers::make_netlink_driver(context));
        sysctl = std::move(*drivers::make_sysctl_driver(context));
    }

    [[nodiscard]] HostState observe(const std::set<ObjectId>& ids) const {
        drivers::Interest parameters = drivers::Interest::only({});
        for (const auto& id : ids)
            if (id.kind == ObjectKind::sysctl) parameters.ids.insert(id);
        auto state = netlink->observe({true, ids}, {});
        REQUIRE_MESSAGE(state.has_value(), state.error().str());
        auto more = sysctl->observe(parameters, {});
        REQUIRE_MESSAGE(more.has_value(), more.error().str());
        state->merge(*more);
        return std::move(*state);
    }

    [[nodiscard]] Status run(const diff::Change& change) const {
        Status outcome = Error(ErrorCode::internal, "not reported");
        auto& driver = change.id.kind == ObjectKind::sysctl ? *sysctl : *netlink;
        driver.apply({&change, 1}, [&](std::size_t, Status status) { outcome = std::move(status); }, {});
        return outcome;
    }

    std::unique_ptr<drivers::Driver> netlink;
    std::unique_ptr<drivers::Driver> sysctl;
};

/// Both hosts, with the same things of other people's on them.
class Twins {
public:
    Twins() {
        ctl::testing::sh(
            "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 && ip link add enp0 type veth peer name far0 "
            "&& "
            "ip link add enp1 type veth peer name far1 && for l in enp0 enp1 far0 far1; do ip link set $l up; done");
        for (auto& [id, entry] : kernel_.observe({})) fake_.add_foreign(id, entry.object);
    }
    ~Twins() { ctl::testing::sh("ip link del enp0; ip link del enp1"); }

    void become(const HostState& desired, const std::string& manifest) {
        CAPTURE(manifest);
        const auto here = plan(desired, see_fake(desired));
        const auto there = plan(desired, see_kernel(desired));
        REQUIRE(steps_of(here) == steps_of(there));
        for (const auto& step : here.steps) must(fake_.run(step.change), step, "in memory");
        for (const auto& step : there.steps) must(kernel_.run(step.change), step, "in the kernel");
        recorded_ = desired;
        compare(desired);
        CHECK(plan(desired, see_fake(desired)).empty());
        CHECK(plan(desired, see_kernel(desired)).empty());
    }

    /// Deletes one of our links on the host on both.
    void lose_a_link(const HostState& desired, std::mt19937& random) {
        std::vector<std::string> names;
        for (const auto& [id, entry] : desired)
            if (id.kind == ObjectKind::link && !entry.borrowed && id.name.find(':') == std::string::npos)
                names.push_back(id.name);
        if (names.empty()) return;
        const std::string name = names[random() % names.size()];
        CAPTURE(name);
        ctl::testing::sh("ip link del " + name);
        fake_.vanish({ObjectKind::link, name});
        compare(desired);
    }

private:
    static void must(const Status& outcome, const reconcile::Step& step, const char* where) {
        const std::string what = fmt::format("{} {} {}", to_string(step.change.verb), step.change.id.str(), where);
        REQUIRE_MESSAGE(outcome.has_value(), what, ": ", outcome ? "" : outcome.error().str());
    }

    [[nodiscard]] std::set<ObjectId> ids(const HostState& desired) const {
        std::set<ObjectId> all;
        for (const auto* state : {&desired, &recorded_})
            for (const auto& [id, entry] : *state) all.insert(id);
        return all;
    }
    [[nodiscard]] HostState see_kernel(const HostState& desired) const { return kernel_.observe(ids(desired)); }
    [[nodiscard]] HostState see_fake(const HostState& desired) { return *fake_.observe({true, ids(desired)}, {}); }

    [[nodiscard]] reconcile::Plan plan(const HostState& desired, const HostState& observed) const {
        static const HostState nobody;
        auto output = diff::diff({desired, observed, recorded_, nobody, stack_name, std::nullopt});
        for (const auto& d : output.diagnostics.all()) FAIL(d.message);
        auto made = reconcile::make_plan(stack_name, std::move(output.changes));
        REQUIRE_MESSAGE(made.has_value(), made.error().str());
        return std::move(*made);
    }

    static std::string steps_of(const reconcile::Plan& plan) {
        std::string steps;
        for (const auto& step : plan.steps) {
            steps += fmt::format("{} {}", to_string(step.change.verb), step.change.id.str());
            for (const auto& field : step.change.fields) steps += " " + field.name;
            steps += '\n';
        }
        return steps;
    }

    /// Everything that is ours or that the stack touches, field by field. A MAC that nobody asked for is the kernel's
    /// choice.
    void compare(const HostState& desired) {
        const auto here = lines(see_fake(desired), desired);
        const auto there = lines(see_kernel(desired), desired);
        CHECK_MESSAGE(here == there, only_in(here, there), " only in memory;\n", only_in(there, here),
                      " only in the kernel");
    }

    static std::string only_in(const std::set<std::string>& these, const std::set<std::string>& those) {
        std::string text;
        for (const auto& line : these)
            if (!those.contains(line)) text += line + '\n';
        return text;
    }

    static std::set<std::string> lines(const HostState& state, const HostState& desired) {
        std::set<std::string> lines;
        for (const auto& [id, entry] : state) {
            const auto wish = desired.find(id);
            if (entry.mark == model::Mark::none && wish == desired.end()) continue;
            const auto* wanted = wish != desired.end() ? std::get_if<model::Link>(&wish->second.object) : nullptr;
            lines.insert(fmt::format("{} mark={} owner={}", id.str(), static_cast<int>(entry.mark), entry.owner.str()));
            for (const auto& view : model::fields_of(entry.object)) {
                if (view.name == "mac" && (wanted == nullptr || !wanted->mac)) continue;
                if (view.value) lines.insert(fmt::format("{} {}={}", id.str(), view.name, model::to_text(*view.value)));
            }
        }
        return lines;
    }

    FakeHost fake_;
    Kernel kernel_;
    HostState recorded_;
};

}  // namespace

TEST_CASE("stacks, changes of them and mishaps lead to the same plans and states in memory and in the kernel") {
    CTL_SKIP_IF(!ctl::testing::enter_own_namespaces().empty(), ctl::testing::enter_own_namespaces());
    for (unsigned seed = 1; seed <= 8; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        Twins twins;
        model::Allocations allocations;
        for (int i = 0; i < 4; ++i) {
            const std::string manifest = Manifest(random).make();
            const HostState desired = lower(manifest, allocations);
            twins.become(desired, manifest);
            twins.lose_a_link(desired, random);
            twins.become(desired, manifest);
        }
        twins.become({}, "nothing");
    }
}

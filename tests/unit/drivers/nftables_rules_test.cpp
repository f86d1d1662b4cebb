#include <doctest/doctest.h>

#include <random>

#include <fmt/format.h>

#include "drivers/nftables/driver.h"
#include "model/lower.h"
#include "model/parse.h"
#include "model/validate.h"
#include "model/yaml.h"
#include "support/own_namespaces.h"
#include "support/skip.h"

// Whatever a manifest makes of the firewall, the kernel lists it in the very text that was asked for: otherwise every plan
// would find a difference.

using namespace ctl;
using namespace ctl::drivers;
using model::NftTable;

namespace {

constexpr std::string_view ground = R"(stack: lab
storage_pools: [{name: default, driver: dir}]
images: [{name: busybox, source: {type: busybox}}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
)";

model::HostState tables_of(const std::string& yaml) {
    INFO(yaml);
    Diagnostics diagnostics;
    const auto documents = model::load_yaml(yaml, "stack.yaml", diagnostics);
    const auto stack = model::parse(documents, "stack", diagnostics);
    model::validate(stack, diagnostics);
    for (const auto& diagnostic : diagnostics.all()) CAPTURE(diagnostic.message);
    REQUIRE_FALSE(diagnostics.has_errors());
    auto desired = model::lower(stack, {}, {"/state", "/run/ctl", "/stacks"}).desired;
    std::erase_if(desired, [](const auto& item) { return item.first.kind != model::ObjectKind::nft_table; });
    return desired;
}

void check_round_trip(Driver& driver, const std::string& yaml, std::size_t tables) {
    const auto desired = tables_of(yaml);
    REQUIRE(desired.size() == tables);
    std::vector<diff::Change> changes;
    std::set<model::ObjectId> ids;
    for (const auto& [id, entry] : desired) {
        diff::Change change;
        change.id = id;
        change.verb = diff::Verb::create;
        change.desired = entry;
        changes.push_back(std::move(change));
        ids.insert(id);
    }
    driver.apply(changes,
                 [&](std::size_t, const Status& outcome) {
                     INFO((outcome ? std::string() : outcome.error().str()));
                     REQUIRE(outcome.has_value());
                 },
                 {});
    const auto seen = driver.observe(Interest::only(ids), {});
    REQUIRE(seen.has_value());
    for (const auto& [id, entry] : desired) {
        const auto& wanted = *std::get<NftTable>(entry.object).chains;
        const auto& listed = *std::get<NftTable>(seen->at(id).object).chains;
        for (const auto& [chain, lines] : wanted) CHECK(listed.at(chain) == lines);
        CHECK(listed.size() == wanted.size());
    }
}

/// Random but the same in every run.
class Dice {
public:
    unsigned upto(unsigned most) { return std::uniform_int_distribution<unsigned>(0, most)(engine_); }
    bool flip() { return upto(1) == 1; }

    std::string address(bool v4) {
        if (v4) return fmt::format("{}.{}.{}.{}", upto(3) == 0 ? 255 : 10, upto(2), upto(3), upto(255));
        return fmt::format("{}:{:x}::{:x}", upto(3) == 0 ? "ffff" : "fd42", upto(3), upto(20));
    }

    std::string addresses(bool v4) {
        std::string list;
        for (unsigned i = 0, count = 1 + upto(5); i < count; ++i) {
            if (!list.empty()) list += ", ";
            const std::string one = address(v4);
            const std::string other = address(v4);
            switch (upto(2)) {
                case 0: list += one; break;
                case 1: list += fmt::format("{}/{}", one, upto(v4 ? 32 : 128)); break;
                default: {
                    const bool ascends = *model::IpAddress::parse(one) <= *model::IpAddress::parse(other);
                    list += ascends ? one + "-" + other : other + "-" + one;
                }
            }
        }
        return list;
    }

    std::string ports() {
        std::string list;
        for (unsigned i = 0, count = 1 + upto(4); i < count; ++i) {
            const unsigned first = 1 + upto(upto(1) == 0 ? 20 : 65534);
            list += fmt::format("{}{}", list.empty() ? "" : ",", first);
            if (flip()) list += fmt::format("-{}", std::min(65535U, first + upto(5)));
        }
        return list;
    }

    std::string rule() {
        constexpr std::array actions{"allow", "reject", "drop"};
        constexpr std::array states{"enabled", "logged", "disabled"};
        constexpr std::array protocols{"", "tcp", "udp", "icmp4", "icmp6"};
        const std::string protocol = protocols[upto(4)];
        const bool v4 = protocol == "icmp4" || (protocol != "icmp6" && flip());
        std::string text = fmt::format("{{action: {}, state: {}", actions[upto(2)], states[upto(2)]);
        if (!protocol.empty()) text += ", protocol: " + protocol;
        if (flip()) text += fmt::format(", source: \"{}\"", addresses(v4));
        if (flip()) text += fmt::format(", destination: \"{}\"", addresses(v4));
        if (protocol.starts_with("icmp") && flip()) {
            text += fmt::format(", icmp_type: {}", upto(255));
            if (flip()) text += fmt::format(", icmp_code: {}", upto(20));
        }
        if (protocol == "tcp" || protocol == "udp") {
            if (flip()) text += fmt::format(", source_port: \"{}\"", ports());
            if (flip()) text += fmt::format(", destination_port: \"{}\"", ports());
        }
        return text + "}";
    }

private:
    std::mt19937 engine_{20260101};
};

}  // namespace

TEST_CASE("the kernel lists every rule of an ACL as it was written") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_nftables_driver({}));
    Dice dice;
    for (unsigned round = 0; round < 30; ++round) {
        std::string ingress;
        std::string egress;
        for (unsigned i = 0; i < 20; ++i) (dice.flip() ? ingress : egress) += fmt::format("  - {}\n", dice.rule());
        check_round_trip(*driver,
                         std::string(ground) +
                             "networks: [{name: lab0, config: {security.acls: a, ipv4.address: none}}]\n"
                             "network_acls:\n- name: a\n  ingress:\n" +
                             ingress + "  egress:\n" + egress,
                         1);
    }
}

TEST_CASE("the kernel lists every ICMP type and code as it was written") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_nftables_driver({}));
    std::string rules;
    for (const auto* protocol : {"icmp4", "icmp6"}) {
        for (unsigned type = 0; type < 256; ++type)
            rules += fmt::format("  - {{action: reject, protocol: {}, icmp_type: {}}}\n", protocol, type);
        for (unsigned code = 0; code < 256; ++code)
            rules += fmt::format("  - {{action: allow, protocol: {}, icmp_type: 3, icmp_code: {}}}\n", protocol, code);
    }
    check_round_trip(*driver,
                     std::string(ground) +
                         "networks: [{name: lab0, config: {security.acls: a, ipv4.address: none}}]\n"
                         "network_acls:\n- name: a\n  ingress:\n" +
                         rules,
                     1);
}

TEST_CASE("the kernel lists NAT, forwards and their order as they were written") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_nftables_driver({}));
    for (const std::string nat :
         {"ipv4.nat: true, ipv6.nat: true", "ipv4.nat: true, ipv4.nat.order: after, ipv6.nat: true",
          "ipv4.nat: true, ipv4.nat.address: 192.0.2.1, ipv6.nat: true, ipv6.nat.address: \"2001:db8::1\", ipv6.nat.order: "
          "after",
          "ipv4.nat: true, ipv4.firewall: false",
          "security.acls: a, security.acls.default.egress.action: drop, "
          "security.acls.default.egress.logged: true, security.acls.default.ingress.action: allow"}) {
        const std::string network = fmt::format(
            "networks: [{{name: lab-0.x_y, config: {{ipv4.address: 10.28.0.1/20, ipv6.address: \"fd42:1::1/64\", {}}}}}]\n"
            "network_acls: [{{name: a}}]\n",
            nat);
        check_round_trip(*driver, std::string(ground) + network, 1);
        check_round_trip(*driver, std::string(ground) + network + R"(network_forwards:
- network: lab-0.x_y
  listen_address: 192.0.2.10
  config: {target_address: 10.28.0.9}
  ports:
  - {protocol: tcp, listen_port: "80,443,8000-8010", target_address: 10.28.0.11}
  - {protocol: udp, listen_port: "53,54", target_address: 10.28.0.12, target_port: "5353,99"}
- {network: lab-0.x_y, listen_address: "2001:db8::10", config: {target_address: "fd42:1::9"},
   ports: [{protocol: tcp, listen_port: 22-24, target_address: "fd42:1::5", target_port: 2222}]}
)",
                         1);
    }
}

TEST_CASE("the kernel lists the port security of two hundred NICs as it was written") {
    const std::string reason = ctl::testing::enter_own_namespaces();
    CTL_SKIP_IF(!reason.empty(), reason);
    const auto driver = std::move(*make_nftables_driver({}));
    std::string containers = "containers:\n";
    for (unsigned i = 0; i < 200; ++i) {
        const std::string address = i % 4 == 0
                                        ? "ipv4.address: none, ipv6.address: none"
                                        : fmt::format("ipv4.address: 10.28.0.{0}, ipv6.address: \"fd42::{0:x}\"", i + 2);
        const std::string host_name = i % 5 == 0 ? fmt::format("host_name: v{}.x-{}_, ", std::string(i % 7, 'a'), i) : "";
        containers += fmt::format(
            "- {{name: c{}, image: busybox, devices: {{eth0: {{type: nic, network: lab0, {}{}, security.mac_filtering: {}, "
            "security.ipv4_filtering: true, security.ipv6_filtering: true}}}}}}\n",
            i, host_name, address, i % 3 != 0);
    }
    check_round_trip(*driver,
                     std::string(ground) +
                         "networks: [{name: lab0, config: {ipv4.address: 10.28.0.1/24, ipv6.address: \"fd42::1/64\"}}]\n" +
                         containers,
                     1);
}

#include "cli/network_report.h"

#include <doctest/doctest.h>

#include "objects.h"

using namespace ctl;
using namespace ctl::test;

namespace {

model::Entry of_network(model::Object object, const std::string& name) {
    auto entry = ours(std::move(object));
    entry.owner = {stack_name, "Network", name};
    return entry;
}

model::HostState host() {
    model::Link br0 = with_addresses(bridge(), {"10.0.0.1/24"});
    br0.mac = "00:16:3e:00:00:01";
    br0.mtu = 1500;
    model::Link eth0 = with_addresses(veth("veth1"), {"10.0.0.2/24"});
    eth0.mac = "00:16:3e:00:00:02";
    model::DnsService served;
    served.running = true;
    model::NftTable table;
    table.family = "inet";
    return {{id("link/br0"), of_network(br0, "br0")},
            {id("link/veth1"), ours(with_master(veth("web:eth0"), "br0"))},
            {id("link/web:eth0"), ours(eth0)},
            {id("link/other"), foreign(bridge())},
            {id("dns_service/br0"), of_network(served, "br0")},
            {id("nft_table/ctl_br0"), of_network(table, "br0")}};
}

cli::FactsByObject told() {
    return {{id("link/veth1"), {{"rx_bytes", 1500000}, {"rx_packets", 1200}, {"tx_bytes", 10}, {"tx_packets", 1}}},
            {id("dns_service/br0"), {{"leases", std::vector<std::string>{"10.0.0.2 00:16:3e:00:00:02 web"}}}}};
}

}  // namespace

TEST_CASE("a network's report shows its ports, services, tables, counters and leases") {
    const auto report = cli::report_network(host(), "br0");
    REQUIRE(report);
    CHECK(cli::interesting(*report) == std::set{id("link/br0"), id("link/veth1"), id("dns_service/br0")});
    CHECK(cli::to_text(*report, told()) ==
          "Name         br0\n"
          "Stack        lab\n"
          "Type         bridge\n"
          "State        up\n"
          "Addresses    10.0.0.1/24\n"
          "MAC          00:16:3e:00:00:01\n"
          "MTU          1500\n"
          "DHCP, DNS    dnsmasq, running\n"
          "Firewall     nftables ctl_br0\n"
          "Received     -\n"
          "Sent         -\n"
          "\n"
          "Attached: 1\n"
          "PORT   CONTAINER  NIC   MAC                VLAN  ADDRESSES    FROM IT                 TO IT\n"
          "veth1  web        eth0  00:16:3e:00:00:02  -     10.0.0.2/24  1.5 MB in 1200 packets  10 B in 1 packets\n"
          "\n"
          "Leases: 1\n"
          "10.0.0.2 00:16:3e:00:00:02 web\n");
}

TEST_CASE("a network that isn't ctl's has no report") {
    CHECK_FALSE(cli::report_network(host(), "other"));
    CHECK_FALSE(cli::report_network(host(), "missing"));
}

TEST_CASE("a fake bridge's ports are those of its VLAN") {
    model::OvsPort gone = ovs_port("ovs0", 409);
    gone.type = "system";
    const model::HostState state{
        {id("ovs_port/vlan409"), of_network(fake_bridge("ovs0", 409), "vlan409")},
        {id("ovs_flows/vlan409"),
         of_network(model::OvsFlows{.bridge = "ovs0", .flows = std::vector<std::string>(7)}, "vlan409")},
        {id("ovs_port/veth1"), ours(ovs_port("ovs0", 409))},
        {id("ovs_port/veth2"), ours(ovs_port("ovs0", 5))},
        {id("ovs_port/veth3"), foreign(gone)}};
    const auto report = cli::report_network(state, "vlan409");
    REQUIRE(report);
    CHECK(report->type == "fake bridge of ovs0, VLAN 409");
    REQUIRE(report->ports.size() == 2);
    CHECK(report->ports.front().name == "veth1");
    CHECK(report->ports.front().vlan == "409");
    CHECK(report->stale == std::vector<std::string>{"veth3"});
    CHECK(cli::to_text(*report, {}).find("Flows        7\n") != std::string::npos);
}

TEST_CASE("a macvlan network's NICs are attached without a port, their counters seen from inside") {
    const model::HostState state{{id("link/mv0"), of_network(macvlan("enp1"), "mv0")},
                                 {id("link/web:eth0"), ours(macvlan("mv0"))}};
    const auto report = cli::report_network(state, "mv0");
    REQUIRE(report);
    REQUIRE(report->ports.size() == 1);
    const cli::FactsByObject facts{{id("link/web:eth0"), {{"tx_bytes", 7}, {"tx_packets", 2}}}};
    CHECK(cli::to_text(*report, facts).find("7 B in 2 packets") != std::string::npos);
    CHECK(cli::to_json(*report, facts).find(R"("counters":{"tx_bytes":7,"tx_packets":2})") != std::string::npos);
}

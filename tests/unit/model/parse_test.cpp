#include "model/parse.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "model/yaml.h"

using namespace ctl;
using namespace ctl::model;

namespace {

namespace fs = std::filesystem;

struct Parsed {
    resource::Stack stack;
    Diagnostics diagnostics;

    /// "3:5 error: MESSAGE; HINT" a line.
    [[nodiscard]] std::string text() const {
        std::string out;
        for (const auto& one : diagnostics.all()) {
            out += fmt::format("{}:{} {}: {}", one.where.line, one.where.column,
                               one.severity == Severity::error ? "error" : "note", one.message);
            out += one.hint.empty() ? "\n" : "; " + one.hint + "\n";
        }
        return out;
    }
};

Parsed parsed(std::string_view yaml) {
    Parsed result;
    const auto documents = load_yaml(yaml, "t.yaml", result.diagnostics);
    result.stack = parse(documents, "default-name", result.diagnostics);
    return result;
}

std::string device_faults(std::string_view device) {
    return parsed(fmt::format("kind: Profile\nname: p\ndevices:\n  eth0: {}\n", device)).text();
}

std::string config_faults(std::string_view config) {
    return parsed(fmt::format("kind: Container\nname: c\nconfig: {}\n", config)).text();
}

std::string bridge_faults(std::string_view config) {
    return parsed(fmt::format("kind: Network\nname: br0\nconfig: {}\n", config)).text();
}

}  // namespace

TEST_CASE("a stack with all kinds of resources is read with the places of its values") {
    const auto [stack, diagnostics] = parsed(R"(stack: lab
storage_pools:
- {name: default, driver: dir, config: {source: /srv/pool}}
networks:
- name: macvlan3
  type: macvlan
  config: {parent: ens33, ipv4.address: 10.0.3.1/24}
profiles:
- name: macvlan3
  config: {user.network_mode: link-local}
  devices:
    eth0: {type: nic, nictype: macvlan, parent: macvlan3, name: eth0}
    root: {type: disk, path: /, pool: default}
images:
- {name: busybox, source: {type: busybox}}
containers:
- name: test3
  image: busybox
  profiles: [macvlan3]
  config: {boot.autostart: true, limits.processes: 100}
  devices:
    eth0: {override: {ipv4.address: 10.0.3.32, ipv4.gateway: 10.0.3.1}}
  depends_on: [test2]
  state: stopped
  lifecycle: {prevent_destroy: true, prune: no, on_restart_needed: defer}
)");
    CHECK(diagnostics.empty());
    CHECK(stack.name == "lab");
    REQUIRE(stack.storage_pools.size() == 1);
    CHECK(stack.storage_pools[0].config.at("source").value.text == "/srv/pool");
    REQUIRE(stack.networks.size() == 1);
    CHECK(stack.networks[0].type.text == "macvlan");
    CHECK(stack.networks[0].config.at("ipv4.address").value.where.line == 7);
    CHECK(stack.networks[0].config.at("ipv4.address").key_where.column == 27);
    REQUIRE(stack.profiles.size() == 1);
    CHECK(stack.profiles[0].devices.at("eth0").type.text == "nic");
    CHECK(stack.profiles[0].devices.at("eth0").keys.count("type") == 0);
    REQUIRE(stack.images.size() == 1);
    CHECK(stack.images[0].source.type.text == "busybox");
    REQUIRE(stack.containers.size() == 1);
    const auto& container = stack.containers[0];
    CHECK(container.profiles_given);
    CHECK(container.config.at("boot.autostart").value.text == "true");
    CHECK(container.config.at("limits.processes").value.text == "100");
    CHECK(container.devices.at("eth0").is_override);
    CHECK(container.devices.at("eth0").keys.at("ipv4.address").value.text == "10.0.3.32");
    CHECK(container.depends_on[0].container.text == "test2");
    CHECK(container.state.text == "stopped");
    CHECK(container.lifecycle == Lifecycle{true, false, OnRestartNeeded::defer});
}

TEST_CASE("what is not said has its default") {
    const auto [stack, diagnostics] = parsed("networks: [{name: br0}]\ninstances: [{name: c, image: i}]\n");
    CHECK(diagnostics.empty());
    CHECK(stack.name == "default-name");
    CHECK(stack.networks.at(0).type.text == "bridge");
    CHECK(stack.containers.at(0).state.text == "running");
    CHECK(stack.containers.at(0).profiles.at(0).text == "default");
    CHECK_FALSE(stack.containers.at(0).profiles_given);
}

TEST_CASE("an explicit empty list of profiles means none") {
    const auto result = parsed("kind: Container\nname: c\nprofiles: []\n");
    CHECK(result.stack.containers.at(0).profiles_given);
    CHECK(result.stack.containers.at(0).profiles.empty());
}

TEST_CASE("what lxc network show prints is read when its kind is put on top") {
    const auto result = parsed(
        "kind: Network\nconfig:\n  ipv4.address: 192.0.2.1/24\n  ipv4.nat: \"false\"\n  ipv6.address: none\ndescription: "
        "\"\"\nname: lxdbr0\n"
        "type: bridge\nused_by:\n- /1.0/instances/u\nmanaged: true\nstatus: Created\nlocations:\n- none\n");
    CHECK(result.text() == "");
    CHECK(result.stack.networks.at(0).name.text == "lxdbr0");
}

TEST_CASE("what lxc profile show and lxc config show print is read when its kind is put on top") {
    const auto result = parsed(
        "type: profile\nname: p\nconfig: {}\ndescription: x\ndevices:\n  root:\n    path: /\n    pool: default\n    type: "
        "disk\nused_by: []\n---\n"
        "kind: instance\nname: c\narchitecture: x86_64\nconfig:\n  image.os: debian\n  volatile.base_image: abc\n  "
        "volatile.eth0.hwaddr: "
        "00:16:3e:00:00:01\ndevices: {}\nephemeral: false\nprofiles:\n- p\nstateful: false\ndescription: \"\"\ncreated_at: "
        "2022-01-01\nlocation: none\n"
        "status: Running\nstatus_code: 103\nlast_used_at: 2022-01-01\n");
    CHECK(result.text() == "");
    CHECK(result.stack.profiles.size() == 1);
    CHECK(result.stack.containers.size() == 1);
}

TEST_CASE("a preseed file is a stack, and its server keys are noted once") {
    const auto result = parsed(
        "config:\n  core.https_address: '[::]:8443'\n  images.auto_update_interval: 0\nnetworks: []\nstorage_pools:\n- "
        "config: {}\n  description: \"\"\n"
        "  name: default\n  driver: dir\nprofiles: []\nprojects: []\nstorage_volumes: []\ncluster: null\n");
    CHECK(result.text() == "2:3 note: config has no effect: these are keys of a server, and there is none\n");
    CHECK(result.stack.storage_pools.size() == 1);
}

TEST_CASE("faults of documents are told with place and hint") {
    const std::string kinds =
        "write kind: Network, NetworkAcl, NetworkForward, Profile, StoragePool, Volume, Image or Container; or a stack with "
        "networks:, "
        "containers:, …";
    CHECK(parsed("- a\n").text() == "1:1 error: a document must be a map; " + kinds + "\n");
    CHECK(parsed("name: x\nconfig: {}\n").text() == "1:1 error: the document doesn't say what it is; " + kinds + "\n");
    CHECK(parsed("kind: Pod\n").text() == "1:7 error: unknown kind \"Pod\"; " + kinds + "\n");
    CHECK(parsed("kind: network-zone\n").text() ==
          "1:7 error: kind network-zone is not supported; dnsmasq answers for a network; raw.dnsmasq can have it serve "
          "zones\n");
    CHECK(parsed("projects: [{name: a}]\n").text() ==
          "1:1 error: projects is not supported; a host that ctl keeps has no projects: a stack is what belongs together\n");
    CHECK(parsed("stack: a\n---\nstack: b\n").text() ==
          "3:8 error: the stack is named \"b\" here and \"a\" at t.yaml:1:8; documents loaded together are one stack; load "
          "the other with a command "
          "of its own\n");
    CHECK(parsed("---\n---\n").text() == "");
}

TEST_CASE("faults of structure are told with place and hint") {
    CHECK(parsed("networks: {name: a}\n").text() == "1:11 error: networks must be a list, not a map\n");
    CHECK(parsed("networks: [a]\n").text() == "1:12 error: networks[0] must be a map, not a single value\n");
    CHECK(parsed("networks:\n- type: bridge\n").text() == "2:3 error: networks[0] has no name; add name: …\n");
    CHECK(parsed("netwroks: []\nnetworks: []\n").text() == "1:1 error: unknown key \"netwroks\"; did you mean networks?\n");
    CHECK(parsed("kind: Container\nname: c\nlimits.memory: 1GiB\n").text() ==
          "3:1 error: unknown key \"limits.memory\"; write it under config:\n");
    CHECK(parsed("kind: Container\nname: c\nconfig: {user.a: [1]}\n").text() ==
          "3:18 error: \"user.a\" must be a single value, not a list\n");
    CHECK(parsed("kind: Container\nname: c\ndevices: {eth0: nic}\n").text() ==
          "3:17 error: \"eth0\" must be a map, not a single value\n");
    CHECK(parsed("kind: StoragePool\nname: p\n").text() == "1:1 error: the storage_pool has no driver; add driver: …\n");
}

TEST_CASE("bad values are told with what to write") {
    CHECK(config_faults("{limits.memory: abc}") ==
          "3:25 error: bad value \"abc\" for limits.memory: neither a size above 0 nor a part of the host's memory; "
          "write a number and a unit, such as 512MiB, or 50%\n");
    CHECK(config_faults("{limits.cpu: 3-1}") ==
          "3:22 error: bad value \"3-1\" for limits.cpu: neither a number of CPUs nor a set of them; write a number such as "
          "2, or a set such as 0-1,3\n");
    CHECK(config_faults("{security.privileged: maybe}") ==
          "3:31 error: bad value \"maybe\" for security.privileged: not a boolean; write true or false\n");
    CHECK(config_faults("{environment.A: \"a\\nb\"}") ==
          "3:25 error: bad value \"a\\nb\" for environment.A: it has a line break or a control character; write it on one "
          "line\n");
    CHECK(bridge_faults("{ipv4.address: 10.0.0.1}") ==
          "3:24 error: bad value \"10.0.0.1\" for ipv4.address: not an IPv4 address with a prefix; write one such as "
          "10.0.3.1/24, or auto, or none\n");
    CHECK(bridge_faults("{bridge.mtu: 99}") ==
          "3:22 error: bad value \"99\" for bridge.mtu: not an MTU from 1280 to 16384; write a number such as 1500\n");
    CHECK(bridge_faults("{bridge.driver: openvswich}") ==
          "3:25 error: bad value \"openvswich\" for bridge.driver: not one of its values; did you mean openvswitch?\n");
    CHECK(device_faults("{type: nic, nictype: bridged, parent: br0, hwaddr: 'x'}") ==
          "4:60 error: bad value \"x\" for hwaddr: not the MAC address of an interface; write one such as "
          "00:16:3e:12:34:56\n");
    CHECK(parsed("kind: Container\nname: c\nstate: runing\n").text() ==
          "3:8 error: bad value \"runing\" for state: not one of its values; did you mean running?\n");
    CHECK(parsed("kind: Image\nname: i\nsource: {type: tarball}\n").text() ==
          "3:9 error: an image source of type tarball has no path; add path: the path of the tarball\n");
}

TEST_CASE("what is known but not built is an error, unless it asks for nothing") {
    CHECK(bridge_faults("{dns.zone.forward: lan}").starts_with("3:10 error: dns.zone.forward is not supported; LXD serves"));
    CHECK(bridge_faults("{dns.zone.forward: \"\", raw.dnsmasq: \"\", dns.mode: none}") == "");
    CHECK(
        bridge_faults("{bridge.mode: fan, fan.type: ipip}").starts_with("3:38 error: fan.type: ipip is not supported; IP"));
    CHECK(config_faults("{limits.memory: 50%}").empty());
    CHECK(config_faults("{limits.memory: 101%}").starts_with("3:25 error: bad value \"101%\" for limits.memory"));
    CHECK(config_faults("{raw.idmap: \"both 1000 1000\"}")
              .starts_with("3:10 error: raw.idmap is not supported; a container has one range of ids"));
    CHECK(config_faults("{nvidia.runtime: off, limits.memory.swap: true}") == "");
    CHECK(device_faults("{type: nic, nictype: sriov, parent: eth1}")
              .starts_with("4:30 error: nictype: sriov is not supported; nobody chooses among virtual functions"));
    CHECK(device_faults("{type: usb}").starts_with("4:16 error: type: usb is not supported; a device node that is there"));
    CHECK(device_faults("{type: tpm}").starts_with("4:16 error: type: tpm is not supported; a device node that is there"));
    CHECK(parsed("storage_pools: [{name: a, driver: cephfs, config: {cephfs.path: /}}]\n")
              .text()
              .starts_with("1:35 error: driver: cephfs is not supported; mount it on the host"));
    CHECK(parsed("kind: instance\nname: c\ntype: virtual-machine\n").text() ==
          "3:7 error: type: virtual-machine is not supported; ctl runs containers by liblxc; virtual machines need a "
          "hypervisor\n");
    CHECK(parsed("kind: instance\nname: c\ntype: container\nimage: i\n").text().empty());
}

TEST_CASE("keys that only a virtual machine or a daemon understands are noted") {
    CHECK(config_faults("{security.secureboot: true}") ==
          "3:10 note: security.secureboot has no effect: only virtual machines use it\n");
    CHECK(bridge_faults("{maas.subnet.ipv4: x}") ==
          "3:10 note: maas.subnet.ipv4 has no effect: there is no MAAS registration\n");
    CHECK(bridge_faults("{maas.subnet.ipv4: ''}") == "");
}

TEST_CASE("unknown keys are errors with a suggestion") {
    CHECK(config_faults("{limits.memroy: 1GiB}") ==
          "3:10 error: unknown key \"limits.memroy\" of a container; did you mean limits.memory?\n");
    CHECK(bridge_faults("{ipv4.adress: none}") ==
          "3:10 error: unknown key \"ipv4.adress\" of a bridge network; did you mean ipv4.address?\n");
    CHECK(device_faults("{type: disk, path: /a, sorce: /b}") ==
          "4:32 error: unknown key \"sorce\" of a disk device; did you mean source?\n");
    CHECK(device_faults("{type: nic, nictype: macvlan, parent: eth1, host_name: vx}") ==
          "4:53 error: host_name is no key of a macvlan nic; bridged, p2p, routed, ovn has it\n");
    CHECK(parsed("kind: Profile\nname: p\nconfig: {volatile.x: 1}\n").text() ==
          "3:10 error: volatile.x is no key of a profile; container has it\n");
}

TEST_CASE("a device says its type or is an override") {
    CHECK(device_faults("{nictype: bridged}") ==
          "4:3 error: the device has no type; add type: nic or disk; to change a device inherited from a profile write "
          "override: {…}\n");
    CHECK(device_faults("{override: {mtu: 1400}, type: nic}") ==
          "4:33 error: \"type\" can't stand beside override; write it inside override: {…}\n");
    CHECK(device_faults("{type: none}") == "");
}

TEST_CASE("an override is held against the device it changes") {
    const std::string profile = "profiles:\n- {name: p, devices: {eth0: {type: nic, nictype: macvlan, parent: eth1}}}\n";
    const auto faults = [&](const std::string& keys) {
        return parsed(profile + "containers:\n- name: c\n  profiles: [p]\n  devices: {eth0: {override: " + keys + "}}\n")
            .text();
    };
    CHECK(faults("{parent: eth2}") == "");
    CHECK(faults("{mtu: x}") ==
          "6:36 error: bad value \"x\" for mtu: not an MTU from 1280 to 16384; write a number such as 1500\n");
    CHECK(faults("{source: /a}") == "6:31 error: unknown key \"source\" of a macvlan nic\n");
    CHECK(faults("{host_name: vx}") ==
          "6:31 error: host_name is no key of a macvlan nic; bridged, p2p, routed, ovn has it\n");
}

TEST_CASE("an address of none on a NIC is an unset one") {
    const auto result = parsed("kind: Profile\nname: p\ndevices: {eth0: {type: nic, network: br0, ipv6.address: none}}\n");
    CHECK(result.text() == "");
    CHECK(result.stack.profiles.at(0).devices.at("eth0").keys.at("ipv6.address").value.empty());
}

TEST_CASE("all faults of a manifest are told at once") {
    const auto result = parsed(
        "networks:\n- name: a\n  config: {dns.zone.forward: lan, x: y}\n- {name: b, type: token-ring}\ncontainers:\n- name: "
        "c\n  "
        "config: {limits.cpu: no}\n"
        "  devices: {d: {type: usbb}}\n  colour: red\n");
    CHECK(result.diagnostics.error_count() == 6);
    CHECK(result.stack.networks.size() == 2);
    CHECK(result.stack.containers.size() == 1);
}

TEST_CASE("endless faults are cut off, and long values shortened") {
    std::string yaml = "kind: Container\nname: c\nconfig:\n";
    for (int i = 0; i < 3000; ++i) yaml += fmt::format("  wrong{}: 1\n", i);
    const auto many = parsed(yaml);
    CHECK(many.diagnostics.error_count() == 501);
    CHECK(many.diagnostics.all().back().message == "too many faults; the rest is not shown");
    yaml = "containers:\n";
    for (int i = 0; i < 3000; ++i) yaml += "- x\n";
    CHECK(parsed(yaml).diagnostics.error_count() <= 502);
    CHECK(config_faults("{limits.memory: " + std::string(5000, 'x') + "}").size() < 400);
}

TEST_CASE("hostile values are shown escaped") {
    CHECK(config_faults("{\"a\\e[31m\": 1}") == "3:10 error: unknown key \"a\\x1b[31m\" of a container\n");
    CHECK(parsed("kind: \"x\\ny\"\n").text().find("unknown kind \"x\\ny\"") != std::string::npos);
}

TEST_CASE("a directory is loaded by name, without what is hidden or below it") {
    std::string pattern = (fs::temp_directory_path() / "ctl-load-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    const fs::path directory = pattern;
    std::ofstream(directory / "b.yaml") << "networks: [{name: second}]\n";
    std::ofstream(directory / "a.yml") << "networks: [{name: first}]\n";
    std::ofstream(directory / ".hidden.yaml") << "nonsense\n";
    std::ofstream(directory / "notes.txt") << "nonsense\n";
    fs::create_directory(directory / "sub.yaml");
    Diagnostics diagnostics;
    const auto stack = load_stack(std::vector<fs::path>{directory}, diagnostics);
    CHECK(diagnostics.empty());
    REQUIRE(stack.networks.size() == 2);
    CHECK(stack.networks[0].name.text == "first");
    CHECK(stack.name == directory.filename());
    const auto one = load_stack(std::vector<fs::path>{directory / "b.yaml"}, diagnostics);
    CHECK(one.name == "b");
    CHECK(load_stack(std::vector<fs::path>{directory / "sub.yaml"}, diagnostics).empty());
    CHECK(diagnostics.all().back().rule == "no-manifest");
    CHECK(load_stack(std::vector<fs::path>{directory / "absent.yaml"}, diagnostics).empty());
    CHECK(diagnostics.error_count() == 2);
    fs::remove_all(directory);
}

TEST_CASE("what lxc show prints says by its fields what it is") {
    const auto result = parsed(R"(
config: {limits.processes: "200"}
description: What a worker needs
devices: {root: {path: /, pool: default, type: disk}}
name: worker
used_by: [/1.0/instances/old]
---
config: {ipv4.address: 10.19.1.1/24}
name: backend0
type: bridge
used_by: []
managed: true
status: Created
locations: [none]
---
config: {source: /srv/pool}
name: default
driver: dir
used_by: []
status: Created
locations: [none]
---
images: [{name: debian, source: {type: tarball, path: /srv/debian.tar.gz, fingerprint: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}]
---
architecture: x86_64
config: {image.os: Debian, volatile.base_image: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, volatile.uuid: f00d}
devices: {}
ephemeral: false
name: web
profiles: [worker]
stateful: false
description: ""
)");
    CHECK(result.text() == "");
    CHECK(result.stack.profiles.at(0).name.text == "worker");
    CHECK(result.stack.networks.at(0).name.text == "backend0");
    CHECK(result.stack.storage_pools.at(0).name.text == "default");
    CHECK(result.stack.containers.at(0).name.text == "web");
    CHECK(result.stack.containers.at(0).image.text == "debian");
}

TEST_CASE("a container that lxc config show printed is named by its file") {
    std::string pattern = (fs::temp_directory_path() / "ctl-load-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    const fs::path directory = pattern;
    std::ofstream(directory / "web.yaml")
        << "architecture: x86_64\nconfig: {}\ndevices: {}\nephemeral: false\nprofiles: []\n";
    Diagnostics diagnostics;
    const auto stack = load_stack(std::vector<fs::path>{directory}, diagnostics);
    CHECK(diagnostics.empty());
    REQUIRE(stack.containers.size() == 1);
    CHECK(stack.containers[0].name.text == "web");
    fs::remove_all(directory);
}

TEST_CASE("manifests from the wild are read, or refused with a place") {
    const fs::path corpora = fs::path(CTL_SOURCE_DIR) / "../shared/corpora";
    struct Corpus {
        const char* folder;
        const char* prefix;
    };
    std::size_t files = 0;
    for (const auto& [folder, prefix] :
         {Corpus{"lxd-preseed", ""}, Corpus{"lxd-profile", "kind: Profile\n"}, Corpus{"lxd-network", "kind: Network\n"},
          Corpus{"lxd-instance", "kind: Instance\n"}, Corpus{"incus-apply", ""}}) {
        if (!fs::exists(corpora / folder)) continue;
        for (const auto& file : fs::directory_iterator(corpora / folder)) {
            std::ifstream stream(file.path());
            const std::string text{std::istreambuf_iterator<char>(stream), {}};
            const auto result = parsed(prefix + text);
            ++files;
            for (const auto& one : result.diagnostics.all())
                CHECK_MESSAGE(one.where.is_known(), file.path() << ": " << one.message);
            CHECK_MESSAGE(result.text().find("does not have the shape") == std::string::npos, file.path());
        }
    }
    if (files == 0) MESSAGE("skipped: no corpora beside the source tree");
}

#include <string>

#include <doctest/doctest.h>
#include "stacks.h"

// The messages themselves are in tests/golden/errors.

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

constexpr std::string_view ground = R"(storage_pools:
- {name: default, driver: dir}
images:
- {name: busybox, source: {type: busybox}}
networks:
- {name: br0, config: {ipv4.address: 10.0.3.1/24, ipv6.address: "fd42::1/64"}}
- {name: mv0, type: macvlan, config: {parent: eth0, ipv4.address: 10.0.4.1/24}}
profiles:
- name: base
  devices:
    root: {type: disk, path: /, pool: default}
    eth0: {type: nic, network: br0}
containers:
)";

std::string with(std::string_view containers) { return std::string(ground) + std::string(containers); }

}  // namespace

TEST_CASE("a good stack has no faults, whatever its layering") {
    CHECK(faults(with(R"(- {name: a, image: busybox, profiles: [base]}
- name: b
  image: busybox
  profiles: [base]
  depends_on: [a]
  devices:
    eth0: {override: {ipv4.address: 10.0.3.2, ipv6.address: "fd42::2"}}
- name: d
  image: busybox
  profiles: [base]
  devices:
    eth0: {type: none}
    lan: {type: nic, nictype: macvlan, parent: mv0, name: eth0, ipv4.address: 10.0.4.2}
)")) == "");
}

TEST_CASE("mount options of a disk are those that a directory can be given, and the root disk has none") {
    const auto of = [](const std::string& keys) {
        return faults(with("- {name: a, image: busybox, profiles: [base], devices: {d: {type: disk, " + keys + "}}}\n"));
    };
    CHECK(of("source: /s, path: /d, raw.mount.options: \"ro,nosuid, nodev ,noexec\"") == "");
    for (const char* options : {"discard", "noatime", "idmap=container", "nosuid,create=dir", "suid"})
        CHECK_MESSAGE(
            of(std::string("source: /s, path: /d, raw.mount.options: \"") + options + "\"") == "14:bad-mount-option",
            options);
    const auto root = [](const std::string& keys) {
        return faults(
            with("- {name: a, image: busybox, devices: {r: {type: disk, path: /, pool: default, " + keys + "}}}\n"));
    };
    CHECK(root("propagation: private, shift: false") == "");
    for (const char* keys : {"propagation: slave", "shift: true", "raw.mount.options: nodev"})
        CHECK_MESSAGE(root(keys) == "14:root-disk-key", keys);
}

TEST_CASE("a fault in a profile is told once, not for each container that uses it") {
    CHECK(faults(R"(images: [{name: i, source: {type: busybox}}]
profiles:
- name: base
  devices:
    root: {type: disk, path: /, pool: nope}
containers:
- {name: a, image: i, profiles: [base]}
- {name: b, image: i, profiles: [base]}
)") == "5:unknown-pool");
}

TEST_CASE("a profile nobody uses is checked too") {
    CHECK(faults("profiles:\n- name: p\n  devices:\n    eth0: {type: nic, network: nope}\n") == "4:unknown-network");
}

TEST_CASE("an override is checked as the device it makes") {
    CHECK(faults(with(R"(- name: a
  image: busybox
  profiles: [base]
  devices:
    eth0: {override: {ipv4.address: 10.0.9.9}}
)")) == "18:address-outside");
}

TEST_CASE("without profiles the default one is meant, and needn't exist") {
    CHECK(faults(R"(images: [{name: i, source: {type: busybox}}]
storage_pools: [{name: p, driver: dir}]
containers:
- {name: a, image: i, devices: {root: {type: disk, path: /, pool: p}}}
)") == "");
}

TEST_CASE("the same address on different segments is no clash") {
    CHECK(faults(with(R"(- name: a
  image: busybox
  profiles: [base]
  devices:
    lan: {type: nic, nictype: macvlan, parent: eth1, ipv4.address: 192.168.0.2/24}
- name: b
  image: busybox
  profiles: [base]
  devices:
    lan: {type: nic, nictype: macvlan, parent: eth2, ipv4.address: 192.168.0.2/24}
)")) == "");
}

TEST_CASE("a document that can't be read brings no faults of what refers to it") {
    CHECK(faults("containers:\n- {name: a, image: busybox, profiles: [base]}\n---\nprofiles: [\n") == "5:yaml-syntax");
}

TEST_CASE("a chain of ten thousand dependencies is no cycle, closing it makes one") {
    std::string text = "containers:\n";
    for (int i = 0; i < 10'000; ++i)
        text += "- {name: c" + std::to_string(i) + ", depends_on: [c" + std::to_string(i + 1) + "]}\n";
    CHECK(faults(text + "- {name: c10000}\n").find("cycle") == std::string::npos);
    CHECK(faults(text + "- {name: c10000, depends_on: [c0]}\n").find(":cycle") != std::string::npos);
}

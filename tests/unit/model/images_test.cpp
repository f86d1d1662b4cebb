#include <doctest/doctest.h>
#include <fmt/format.h>

#include "stacks.h"

using namespace ctl;
using namespace ctl::model;
using namespace ctl::testing;

namespace {

std::string images(const std::string& list) { return "stack: lab\nimages:\n" + list; }

Image image_of(const std::string& yaml) { return object<Image>(lowered(images(yaml)), "x"); }

constexpr std::string_view ground = R"(
stack: lab
storage_pools: [{name: default, driver: dir}]
networks:
- {name: lab0, config: {ipv4.address: 10.28.0.1/24}}
- {name: lab1, config: {ipv4.address: 10.29.0.1/24, ipv4.dhcp: false}}
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
images:
- {name: plain, source: {type: busybox}, aliases: [debian/12, {name: stable, description: x}]}
- {name: made, source: {type: file, path: x}}
containers:
)";

using Seed = std::map<std::string, std::string>;

std::optional<Seed> seed_of(const std::string& container) {
    return object<Container>(lowered(std::string(ground) + container), "web").seed;
}

}  // namespace

TEST_CASE("each source says where from in its own words") {
    const auto file = image_of("- {name: x, source: {type: file, path: a/m.tar.xz, rootfs: /b/r.squashfs}}");
    CHECK(file.type == "file");
    CHECK(file.source == "/stacks/a/m.tar.xz");
    CHECK(file.options == Seed{{"rootfs", "/b/r.squashfs"}});
    const auto url = image_of("- {name: x, source: {type: url, url: 'https://h/m', rootfs: 'https://h/r'}}");
    CHECK(url.source == "https://h/m");
    CHECK(url.options == Seed{{"rootfs", "https://h/r"}});
    for (const auto* type : {"simplestreams", "image, protocol: simplestreams, mode: pull"}) {
        const auto server =
            image_of(fmt::format("- {{name: x, source: {{type: {}, server: 'https://h', alias: debian/12, "
                                 "architecture: arm64}}}}",
                                 type));
        CHECK(server.type == "simplestreams");
        CHECK(server.source == "https://h debian/12");
        CHECK(server.options == Seed{{"architecture", "arm64"}});
    }
    const auto debian =
        image_of("- {name: x, source: {type: debootstrap, suite: bookworm, packages: 'a,b', variant: minbase}}");
    CHECK(debian.source == "bookworm");
    CHECK(debian.options == Seed{{"packages", "a,b"}, {"variant", "minbase"}});
    CHECK_FALSE(image_of("- {name: x, source: {type: busybox}}").options.has_value());
}

TEST_CASE("an image made of a container waits for it") {
    const auto result = lowered(R"(
stack: lab
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
images:
- {name: plain, source: {type: busybox}}
- {name: golden, source: {type: container, container: builder}}
containers:
- {name: builder, image: plain, state: stopped}
- {name: web, image: golden}
)");
    CHECK(object<Image>(result, "golden").source == "builder");
    CHECK(has_need(result, {ObjectKind::image, "golden"}, {{ObjectKind::container, "builder"}, Bond::order}));
}

TEST_CASE("sources that lack something, or have what is another's, are faults") {
    CHECK(faults(images("- {name: x, source: {type: file}}"), 3) == "1:missing-key");
    CHECK(faults(images("- {name: x, source: {type: url}}"), 3) == "1:missing-key");
    CHECK(faults(images("- {name: x, source: {type: image, server: 'https://h'}}"), 3) == "1:missing-key");
    CHECK(faults(images("- {name: x, source: {type: debootstrap}}"), 3) == "1:missing-key");
    CHECK(faults(images("- {name: x, source: {type: busybox, suite: bookworm}}"), 3) == "1:unknown-key");
    CHECK(faults(images("- {name: x, source: {type: image, server: 'https://h', alias: a, protocol: lxd}}"), 3) ==
          "1:unsupported");
    CHECK(faults(images("- {name: x, source: {type: container, container: web}}"), 3) == "1:unknown-container");
    CHECK(faults(images("- {name: x, source: {type: busybox}, auto_update: true}"), 3) == "1:bad-combination");
    CHECK(faults(images("- {name: x, source: {type: busybox}, expires_at: '2030-01-01T00:00:00Z'}"), 3) == "1:unsupported");
}

TEST_CASE("an alias is as good as a name, and nobody else's") {
    const auto result = lowered(std::string(ground) + "- {name: web, image: debian/12}\n- {name: db, image: stable}");
    CHECK(object<Volume>(result, "default/web").image == "plain");
    CHECK(object<Volume>(result, "default/db").image == "plain");
    CHECK(object<Image>(result, "plain").aliases == std::vector<std::string>{"debian/12", "stable"});
    CHECK(faults(images("- {name: x, source: {type: busybox}, aliases: [y]}\n- {name: y, source: {type: busybox}}"), 3) ==
          "1:duplicate-name");
    CHECK(faults(images("- {name: x, source: {type: busybox}, aliases: [z]}\n- {name: y, source: {type: busybox}, aliases: "
                        "[z]}"),
                 3) == "2:duplicate-name");
    CHECK(faults(images("- {name: x, source: {type: busybox}, aliases: ['a b']}"), 3) == "1:bad-name");
}

TEST_CASE("what a container says to cloud-init becomes its seed") {
    CHECK_FALSE(seed_of("- {name: web, image: plain}").has_value());
    const auto seed = seed_of(
        "- name: web\n  image: plain\n  config: {cloud-init.user-data: \"#!/bin/sh\", user.user-data: "
        "\"#cloud-config\", user.vendor-data: \"#cloud-config\\n{a: b}\\n\"}\n");
    REQUIRE(seed.has_value());
    CHECK(seed->at("user-data") == "#!/bin/sh\n");
    CHECK(seed->at("vendor-data") == "#cloud-config\n{a: b}\n");
    CHECK(seed->at("network-config") == "network: {config: disabled}\n");
    CHECK(seed->at("meta-data").ends_with("\nlocal-hostname: web\n"));
}

TEST_CASE("an instance is another one when its declared texts are others, not when its NICs are") {
    const auto id = [](const std::string& more) {
        const auto seed = seed_of("- name: web\n  image: plain\n" + more);
        REQUIRE(seed.has_value());
        return seed->at("meta-data").substr(0, seed->at("meta-data").find('\n'));
    };
    const std::string user = "  config: {user.user-data: \"#cloud-config\"}\n";
    const std::string nic = "  devices: {eth0: {type: nic, network: lab0}}\n";
    CHECK(id(user) == id(user + nic));
    CHECK(id(user) != id("  config: {user.user-data: \"#cloud-config\\n{}\"}\n"));
    CHECK(id(user) != id("  config: {user.vendor-data: \"#cloud-config\"}\n"));
}

TEST_CASE("cloud-init is told of the NICs that ask by DHCP, and of no others") {
    const std::string nics =
        "  devices:\n    eth0: {type: nic, network: lab0}\n    eth1: {type: nic, network: lab1, ipv4.address: "
        "10.29.0.5}\n";
    const auto network = [](const std::string& container) { return seed_of(container)->at("network-config"); };
    const std::string dhcp = network("- name: web\n  image: made\n" + nics);
    CHECK(dhcp.find("name: eth0\n") != std::string::npos);
    CHECK(dhcp.find("eth1") == std::string::npos);
    CHECK(network("- name: web\n  image: made\n  config: {user.network_mode: link-local}\n" + nics) ==
          "network: {config: disabled}\n");
    CHECK(network("- name: web\n  image: made\n  config: {cloud-init.network-config: \"version: 1\"}\n" + nics) ==
          "version: 1\n");
}

TEST_CASE("texts that cloud-init could not read are faults where they stand") {
    const auto fault = [](const std::string& key, const std::string& text) {
        return faults(std::string(ground) + "- name: web\n  image: plain\n  config:\n    " + key + ": " + text, 15);
    };
    CHECK(fault("cloud-init.user-data", "\"#cloud-config\\n{a: [\"") == "1:bad-value");
    CHECK(fault("user.user-data", "\"#cloud-config\\n- a\"") == "1:bad-value");
    CHECK(fault("cloud-init.vendor-data", "hello") == "1:bad-value");
    CHECK(fault("cloud-init.network-config", "\"{\"") == "1:bad-value");
    CHECK(fault("cloud-init.user-data", "\"#cloud-config\\na: &x 1\\nb: *x\"") == "");
    CHECK(fault("cloud-init.user-data", "\"## template: jinja\\n{{ x }}\"") == "");
}

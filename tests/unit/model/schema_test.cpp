// valijson wants to come before RapidJSON.
// clang-format off
#include <valijson/adapters/rapidjson_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
// clang-format on

#include "model/schema.h"

#include <filesystem>
#include <regex>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "base/file.h"
#include "base/text.h"

using namespace ctl;
using namespace ctl::model;

namespace {

using Adapter = valijson::adapters::RapidJsonAdapter;
namespace fs = std::filesystem;

rapidjson::Document json_file(const fs::path& path) {
    const auto text = read_file(path);
    REQUIRE(text);
    rapidjson::Document document;
    document.Parse(*text);
    REQUIRE_MESSAGE(!document.HasParseError(), path);
    return document;
}

const fs::path source_dir = CTL_SOURCE_DIR;

std::vector<fs::path> schema_files() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(source_dir / "schemas")) files.push_back(entry.path());
    return files;
}

/// Calls `visit` for every object in the tree.
template <typename Visit>
void for_each_object(const rapidjson::Value& value, const Visit& visit) {
    if (value.IsArray())
        for (const auto& item : value.GetArray()) for_each_object(item, visit);
    if (!value.IsObject()) return;
    visit(value);
    for (const auto& member : value.GetObject()) for_each_object(member.value, visit);
}

std::vector<const KeyTable*> all_tables() {
    std::vector<const KeyTable*> tables{&image_source_fields(), &lifecycle_fields(), &acl_rule_fields(),
                                        &forward_port_fields()};
    for (const auto kind :
         {SchemaKind::stack, SchemaKind::network, SchemaKind::network_acl, SchemaKind::network_forward, SchemaKind::profile,
          SchemaKind::storage_pool, SchemaKind::image, SchemaKind::container, SchemaKind::device}) {
        tables.push_back(&fields_of(kind));
        if (const auto* table = config_of(kind, "")) tables.push_back(table);
        for (const auto subtype : subtypes_of(kind)) tables.push_back(config_of(kind, subtype));
    }
    return tables;
}

void check_known(SchemaKind kind, std::string_view subtype, std::string_view keys) {
    for (const auto key : split(keys, ' ')) CHECK_MESSAGE(find_key(kind, subtype, key) != nullptr, subtype << " " << key);
}

}  // namespace

TEST_CASE("every schema is a valid draft-07 schema, and the check can fail") {
    const auto meta = json_file(source_dir / "tests/support/data/draft-07.json");
    valijson::Schema metaschema;
    valijson::SchemaParser().populateSchema(Adapter(meta), metaschema);
    CHECK(schema_files().size() >= 8);
    for (const auto& file : schema_files()) {
        const auto schema = json_file(file);
        CHECK_MESSAGE(valijson::Validator().validate(metaschema, Adapter(schema), nullptr), file);
        CHECK_MESSAGE(schema.HasMember("title"), file);
    }
    rapidjson::Document broken;
    broken.Parse(R"({"properties": {"a": {"type": "text"}}})");
    CHECK_FALSE(valijson::Validator().validate(metaschema, Adapter(broken), nullptr));
}

TEST_CASE("the schemas use only the extension keywords that are read") {
    const std::set<std::string> known{"x-type", "x-effect", "x-support", "x-inert", "x-never",
                                      "x-only", "x-note",   "x-name",    "x-keys",  "x-subtype"};
    for (const auto& file : schema_files()) {
        for_each_object(json_file(file), [&](const rapidjson::Value& object) {
            for (const auto& member : object.GetObject()) {
                const std::string name = member.name.GetString();
                if (name.starts_with("x-")) CHECK_MESSAGE(known.contains(name), file << ": " << name);
            }
        });
    }
}

TEST_CASE("every key has a line of documentation, and an enumeration has values") {
    for (const auto* table : all_tables()) {
        for (const auto& key : table->keys()) {
            CHECK_MESSAGE(!key.doc.empty(), key.name);
            CHECK_MESSAGE(key.doc.find('\n') == std::string::npos, key.name);
            if (key.type == "enum") CHECK_MESSAGE(!key.values.empty(), key.name);
            if (key.support == Support::notice && key.name.find("NAME") == std::string::npos && key.type != "any")
                CHECK_MESSAGE(!key.note.empty(), key.name);
            if (key.support == Support::never || !key.values_never.empty()) CHECK_MESSAGE(!key.note.empty(), key.name);
        }
    }
}

TEST_CASE("no key is refused without a reason that a person can act on") {
    std::size_t refused = 0;
    for (const auto* table : all_tables())
        for (const auto& key : table->keys()) {
            if (!key.is_refused()) continue;
            ++refused;
            CHECK_MESSAGE(key.note.size() > 20, key.name);
        }
    CHECK(refused > 20);
}

TEST_CASE("a family's pattern and its name mean the same") {
    for (const auto& file : schema_files()) {
        for_each_object(json_file(file), [&](const rapidjson::Value& object) {
            const auto patterns = object.FindMember("patternProperties");
            if (patterns == object.MemberEnd() || !patterns->value.IsObject()) return;
            for (const auto& [pattern, schema] : patterns->value.GetObject()) {
                if (!schema.IsObject() || !schema.HasMember("x-name")) continue;
                KeyInfo family;
                family.name = schema["x-name"].GetString();
                const KeyTable table({family});
                const std::regex regex(pattern.GetString());
                for (const std::string name : {"a", "a.b", "", "eth0"}) {
                    std::string key = family.name;
                    key.replace(key.find("NAME"), 4, name);
                    const std::string which = pattern.GetString() + (" " + key);
                    CHECK_MESSAGE(std::regex_search(key, regex) == (table.find(key) != nullptr), which);
                }
                CHECK(table.find("zzz." + family.name) == nullptr);
            }
        });
    }
}

TEST_CASE("keys of LXD 5.0 are known") {
    for (const auto kind : {SchemaKind::profile, SchemaKind::container})
        check_known(
            kind, "",
            "agent.nic_config boot.autostart boot.autostart.delay boot.autostart.priority boot.host_shutdown_timeout "
            "boot.stop.priority "
            "cloud-init.network-config cloud-init.user-data cloud-init.vendor-data user.user-data user.anything "
            "cluster.evacuate "
            "environment.HTTP_PROXY limits.cpu limits.cpu.allowance limits.cpu.nodes limits.cpu.priority "
            "limits.disk.priority "
            "limits.hugepages.64KB limits.hugepages.1MB limits.hugepages.2MB limits.hugepages.1GB limits.kernel.nofile "
            "limits.memory "
            "limits.memory.enforce limits.memory.hugepages limits.memory.swap limits.memory.swap.priority "
            "limits.network.priority "
            "limits.processes linux.kernel_modules linux.sysctl.net.ipv4.ip_forward migration.incremental.memory "
            "migration.incremental.memory.goal migration.incremental.memory.iterations migration.stateful "
            "nvidia.driver.capabilities "
            "nvidia.runtime nvidia.require.cuda nvidia.require.driver raw.apparmor raw.idmap raw.lxc raw.qemu raw.qemu.conf "
            "raw.seccomp "
            "security.devlxd security.devlxd.images security.idmap.base security.idmap.isolated security.idmap.size "
            "security.nesting "
            "security.privileged security.protection.delete security.protection.shift security.agent.metrics "
            "security.secureboot "
            "security.syscalls.allow security.syscalls.deny security.syscalls.deny_compat security.syscalls.deny_default "
            "security.syscalls.intercept.bpf security.syscalls.intercept.bpf.devices security.syscalls.intercept.mknod "
            "security.syscalls.intercept.mount security.syscalls.intercept.mount.allowed "
            "security.syscalls.intercept.mount.fuse "
            "security.syscalls.intercept.mount.shift security.syscalls.intercept.sched_setscheduler "
            "security.syscalls.intercept.setxattr "
            "security.syscalls.blacklist security.syscalls.whitelist snapshots.schedule snapshots.schedule.stopped "
            "snapshots.pattern "
            "snapshots.expiry image.os volatile.eth0.hwaddr volatile.last_state.idmap");
    check_known(
        SchemaKind::network, "bridge",
        "bridge.driver bridge.mode bridge.external_interfaces bridge.hwaddr bridge.mtu dns.domain dns.mode dns.search "
        "dns.zone.forward "
        "dns.zone.reverse.ipv4 dns.zone.reverse.ipv6 fan.overlay_subnet fan.underlay_subnet fan.type ipv4.address ipv4.dhcp "
        "ipv4.dhcp.expiry "
        "ipv4.dhcp.gateway ipv4.dhcp.ranges ipv4.firewall ipv4.nat ipv4.nat.address ipv4.nat.order ipv4.ovn.ranges "
        "ipv4.routes ipv4.routing "
        "ipv6.address ipv6.dhcp ipv6.dhcp.expiry ipv6.dhcp.ranges ipv6.dhcp.stateful ipv6.firewall ipv6.nat "
        "ipv6.nat.address ipv6.nat.order "
        "ipv6.ovn.ranges ipv6.routes ipv6.routing maas.subnet.ipv4 maas.subnet.ipv6 raw.dnsmasq security.acls "
        "security.acls.default.ingress.action security.acls.default.egress.action security.acls.default.ingress.logged "
        "security.acls.default.egress.logged bgp.peers.x.address bgp.peers.x.asn bgp.peers.x.password bgp.ipv4.nexthop "
        "bgp.ipv6.nexthop "
        "tunnel.a.protocol tunnel.a.local tunnel.a.remote tunnel.a.group tunnel.a.interface tunnel.a.id tunnel.a.port "
        "tunnel.a.ttl user.x");
    check_known(SchemaKind::network, "macvlan",
                "parent mtu vlan gvrp maas.subnet.ipv4 maas.subnet.ipv6 user.x mode ipv4.address ipv6.address");
    check_known(SchemaKind::network, "sriov", "parent mtu vlan maas.subnet.ipv4 maas.subnet.ipv6 user.x");
    check_known(SchemaKind::network, "physical",
                "parent mtu vlan gvrp ipv4.gateway ipv6.gateway ipv4.ovn.ranges ipv6.ovn.ranges ipv4.routes ipv6.routes "
                "ipv4.routes.anycast "
                "ipv6.routes.anycast dns.nameservers ovn.ingress_mode bgp.peers.x.address user.x");
    check_known(SchemaKind::network, "ovn",
                "network bridge.hwaddr bridge.mtu ipv4.address ipv6.address ipv4.dhcp ipv6.dhcp ipv6.dhcp.stateful ipv4.nat "
                "ipv6.nat ipv4.nat.address "
                "ipv6.nat.address dns.domain dns.search dns.zone.forward dns.zone.reverse.ipv4 dns.zone.reverse.ipv6 "
                "security.acls user.x");
    for (const auto* driver : {"dir", "btrfs", "lvm", "zfs", "ceph", "cephfs"})
        check_known(SchemaKind::storage_pool, driver,
                    "source source.wipe rsync.bwlimit rsync.compression volume.size volume.snapshots.expiry "
                    "volume.snapshots.schedule "
                    "volume.snapshots.pattern volume.security.shifted volume.security.unmapped volatile.initial_source");
    check_known(SchemaKind::storage_pool, "lvm",
                "size lvm.vg_name lvm.vg.force_reuse lvm.use_thinpool lvm.thinpool_name lvm.thinpool_metadata_size");
    check_known(SchemaKind::storage_pool, "zfs",
                "size zfs.pool_name zfs.clone_copy zfs.export volume.zfs.blocksize volume.zfs.delegate");
    check_known(SchemaKind::storage_pool, "ceph",
                "ceph.cluster_name ceph.osd.pg_num ceph.rbd.features ceph.osd.data_pool_name");
    check_known(SchemaKind::device, "nic",
                "network nictype parent name hwaddr host_name mtu vlan vlan.tagged gvrp boot.priority ipv4.address "
                "ipv6.address ipv4.gateway "
                "ipv6.gateway ipv4.host_address ipv6.host_address ipv4.host_table ipv6.host_table ipv4.neighbor_probe "
                "ipv6.neighbor_probe ipv4.routes "
                "ipv6.routes ipv4.routes.external ipv6.routes.external limits.ingress limits.egress limits.max "
                "limits.priority security.mac_filtering "
                "security.ipv4_filtering security.ipv6_filtering security.port_isolation security.acls "
                "security.acls.default.ingress.action mode "
                "acceleration maas.subnet.ipv4 maas.subnet.ipv6");
    check_known(SchemaKind::device, "disk",
                "source path pool size size.state readonly recursive required optional shift propagation raw.mount.options "
                "limits.read limits.write "
                "limits.max ceph.cluster_name ceph.user_name boot.priority io.cache");
    check_known(SchemaKind::device, "proxy",
                "listen connect bind nat proxy_protocol uid gid mode security.uid security.gid");
    check_known(SchemaKind::device, "gpu", "gputype id pci vendorid productid uid gid mode mig.uuid mig.gi mig.ci mdev");
    check_known(SchemaKind::device, "unix-char", "source path major minor mode uid gid required");
    check_known(SchemaKind::device, "tpm", "path pathrm");
    check_known(SchemaKind::device, "pci", "address");
    check_known(SchemaKind::stack, "",
                "core.https_address images.auto_update_interval cluster.max_voters storage.images_volume loki.api.url");
}

TEST_CASE("a key tells its type, default and effect") {
    const auto* memory = find_key(SchemaKind::container, "", "limits.memory");
    REQUIRE(memory != nullptr);
    CHECK(memory->type == "memory");
    CHECK(memory->effect == Effect::live);
    CHECK(memory->support == Support::yes);
    const auto* runtime = find_key(SchemaKind::container, "", "nvidia.runtime");
    REQUIRE(runtime != nullptr);
    CHECK(runtime->support == Support::never);
    CHECK(runtime->inert == std::vector<std::string>{"false"});
    CHECK(runtime->default_value == "false");
    CHECK(find_key(SchemaKind::container, "", "security.privileged")->effect == Effect::restart);
    CHECK(find_key(SchemaKind::network, "bridge", "no.such") == nullptr);
    CHECK(find_key(SchemaKind::network, "token-ring", "ipv4.nat") == nullptr);
    CHECK(config_of(SchemaKind::container, "")->suggestion("limits.memroy") == "limits.memory");
}

TEST_CASE("kinds are known in all spellings people use") {
    CHECK(schema_kind_from("Network") == SchemaKind::network);
    CHECK(schema_kind_from("storage-pool") == SchemaKind::storage_pool);
    CHECK(schema_kind_from("StoragePool") == SchemaKind::storage_pool);
    CHECK(schema_kind_from("storage_pool") == SchemaKind::storage_pool);
    CHECK(schema_kind_from("NetworkAcl") == SchemaKind::network_acl);
    CHECK(schema_kind_from("network-forward") == SchemaKind::network_forward);
    CHECK(schema_kind_from("instance") == SchemaKind::container);
    CHECK(schema_kind_from("CONTAINER") == SchemaKind::container);
    CHECK_FALSE(schema_kind_from("Pod"));
}

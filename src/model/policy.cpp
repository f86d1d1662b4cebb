#include "model/policy.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "model/parse_reader.h"
#include "model/pool_options.h"
#include "model/resolve.h"
#include "model/schema.h"
#include "model/structure.h"
#include "model/validation.h"
#include "model/value_types.h"
#include "model/yaml.h"

namespace ctl::model {

namespace {

using resource::Container;
using resource::Device;
using resource::Stack;

/// Keys that reach past what the other keys allow.
constexpr std::array<std::string_view, 9> low_level_keys{"boot.host_shutdown_timeout",
                                                         "linux.kernel_modules",
                                                         "raw.apparmor",
                                                         "raw.dnsmasq",
                                                         "raw.idmap",
                                                         "raw.lxc",
                                                         "raw.seccomp",
                                                         "security.idmap.base",
                                                         "security.idmap.size"};

class PolicyCheck {
public:
    PolicyCheck(const Config& policy, const Stack& stack, const HostLayout& layout, Diagnostics& diagnostics)
        : policy_(policy), stack_(stack), layout_(layout), diagnostics_(diagnostics) {
        for (const auto& network : stack.networks) networks_.insert(network.name.text);
        if (const Value* paths = find_value(policy, "restricted.devices.disk.paths"))
            for (const auto path : parse_list(paths->text)) paths_.emplace_back(path);
        if (const Value* access = find_value(policy, "restricted.networks.access"))
            for (const auto name : parse_list(access->text)) accessible_.emplace(name);
    }

    void run() {
        check_counts();
        const Stack resolved = resolve(stack_);
        for (const std::string_view key : {"limits.memory", "limits.processes"}) check_sum(resolved, key);
        if (!bool_value("restricted")) return;
        for (const auto& profile : stack_.profiles) {
            check_config(profile.config);
            for (const auto& [name, device] : profile.devices) check_device(name, device);
        }
        // What a container has of a profile stands in that profile, and is told once.
        for (const auto& container : resolved.containers) {
            check_config(container.config);
            check_isolation(container);
            for (const auto& [name, device] : container.devices) check_device(name, device);
        }
        for (const auto& network : stack_.networks) check_network(network);
        for (const auto& image : stack_.images) check_image(image);
        for (const auto& pool : stack_.storage_pools) check_pool(pool);
    }

private:
    [[nodiscard]] bool bool_value(std::string_view key) const {
        const Value* value = find_value(policy_, key);
        return value != nullptr && parse_bool(value->text).value_or(false);
    }

    /// The word of a restriction, or its default.
    [[nodiscard]] std::string_view word(std::string_view key) const {
        if (const Value* value = find_value(policy_, key)) return value->text;
        const KeyInfo* info = find_key(SchemaKind::policy, "", key);
        return info != nullptr && info->default_value ? std::string_view(*info->default_value) : std::string_view();
    }

    void refuse(const std::string& what, std::string_view restriction, const SourceSpan& where) {
        if (!told_.emplace(what, where.str()).second) return;
        const Value* said = find_value(policy_, restriction);
        const std::string source = said != nullptr ? fmt::format(" ({})", said->where.str()) : std::string();
        diagnostics_.error("policy",
                           fmt::format("{} is forbidden here by {}: {}{}", what, restriction, word(restriction), source),
                           where, "remove it, or ask who keeps the host's policy");
    }

    void refuse_count(std::string_view limit, std::string_view what, const Value& most, std::size_t count,
                      const SourceSpan& where) {
        diagnostics_.error("policy",
                           fmt::format("{} {} are more than {}: {} of the policy at {} allows", count, what, limit,
                                       escaped(most.text), most.where.str()),
                           where, "split the stack, or ask who keeps the host's policy");
    }

    template <typename Resources>
    void check_count(std::string_view limit, std::string_view what, const Resources& resources) {
        const Value* most = find_value(policy_, limit);
        const auto number = most != nullptr ? parse_uint(most->text) : std::nullopt;
        if (number && static_cast<std::int64_t>(resources.size()) > *number)
            refuse_count(limit, what, *most, resources.size(), resources[static_cast<std::size_t>(*number)].name.where);
    }

    void check_counts() {
        check_count("limits.containers", "containers", stack_.containers);
        check_count("limits.instances", "containers", stack_.containers);
        check_count("limits.networks", "networks", stack_.networks);
    }

    void check_sum(const Stack& resolved, std::string_view key) {
        const Value* most = find_value(policy_, key);
        if (most == nullptr) return;
        const auto parse = [&](const std::string& text) {
            return key == "limits.memory" ? parse_size(text) : parse_uint(text);
        };
        const auto limit = parse(most->text);
        std::int64_t sum = 0;
        for (const auto& container : resolved.containers) {
            const Value* own = find_value(container.config, key);
            const auto number = own != nullptr ? parse(own->text) : std::nullopt;
            if (!number) {
                diagnostics_.error(
                    "policy",
                    fmt::format("container {} has no {}{}, of which the policy at {} allows {} to all together",
                                ctl::quoted(container.name.text), key, own != nullptr ? " in bytes" : "", most->where.str(),
                                escaped(most->text)),
                    container.name.where, fmt::format("add {} under config", key));
                continue;
            }
            const bool was_within = !limit || sum <= *limit;
            sum = *number > std::numeric_limits<std::int64_t>::max() - sum ? std::numeric_limits<std::int64_t>::max()
                                                                           : sum + *number;
            if (limit && was_within && sum > *limit)
                diagnostics_.error(
                    "policy",
                    fmt::format("with container {} the stack's {} is more than the {} that the policy at {} allows",
                                ctl::quoted(container.name.text), key, escaped(most->text), most->where.str()),
                    own->where, "use less, or ask who keeps the host's policy");
        }
    }

    [[nodiscard]] static bool is_on(const ConfigEntry& entry) { return parse_bool(entry.value.text).value_or(false); }

    void check_config(const Config& config) {
        for (const auto& [key, entry] : config) {
            if (entry.value.empty()) continue;
            const bool is_low_level = std::find(low_level_keys.begin(), low_level_keys.end(), key) != low_level_keys.end();
            if (is_low_level && word("restricted.containers.lowlevel") == "block")
                refuse(key, "restricted.containers.lowlevel", entry.key_where);
            else if (key == "security.privileged" && is_on(entry) && word("restricted.containers.privilege") != "allow")
                refuse(key, "restricted.containers.privilege", entry.value.where);
            else if (key == "security.nesting" && is_on(entry) && word("restricted.containers.nesting") == "block")
                refuse(key, "restricted.containers.nesting", entry.value.where);
            else if (key.starts_with("security.syscalls.intercept.") && is_on(entry) &&
                     word("restricted.containers.interception") == "block")
                refuse(key, "restricted.containers.interception", entry.value.where);
            else if (key == "snapshots.schedule" && word("restricted.snapshots") == "block")
                refuse(key, "restricted.snapshots", entry.value.where);
        }
    }

    void check_isolation(const Container& container) {
        if (word("restricted.containers.privilege") != "isolated") return;
        const auto isolated = container.config.find("security.idmap.isolated");
        if (isolated != container.config.end() && is_on(isolated->second)) return;
        refuse(fmt::format("container {} without security.idmap.isolated: true", ctl::quoted(container.name.text)),
               "restricted.containers.privilege", container.name.where);
    }

    void check_device(const std::string& name, const Device& device) {
        const std::string& type = device.type.text;
        const std::string what = fmt::format("device {} of type {}", ctl::quoted(name), escaped(type));
        if (type == "disk") return check_disk(what, device);
        if (type == "nic") return check_nic(what, device);
        const std::string restriction = "restricted.devices." + type;
        if (find_key(SchemaKind::policy, "", restriction) != nullptr && word(restriction) == "block")
            refuse(what, restriction, device.where);
    }

    /// A network takes an interface of the host as a NIC does.
    void check_network(const resource::Network& network) {
        check_config(network.config);
        for (const std::string_view key : {"bridge.external_interfaces", "parent"}) {
            const Value* value = find_value(network.config, key);
            if (value == nullptr || word("restricted.devices.nic") == "allow" || networks_.contains(value->text)) continue;
            refuse(fmt::format("{} of network {}", key, ctl::quoted(network.name.text)), "restricted.devices.nic",
                   value->where);
        }
    }

    void check_image(const resource::Image& image) {
        const std::string what = "image " + ctl::quoted(image.name.text);
        const std::string& type = image.source.type.text;
        if (type == "directory") return check_host_path(what, image.source.path);
        if (!image.source.path.empty()) check_path(what, image.source.path);
        const Value* rootfs = type == "file" ? find_value(image.source.more, "rootfs") : nullptr;
        if (rootfs != nullptr) check_path(what, *rootfs);
    }

    /// What is on the host becomes the container's as by a disk.
    void check_host_path(const std::string& what, const Value& source) {
        if (word("restricted.devices.disk") == "allow") return check_path(what, source);
        refuse(fmt::format("{} of {}", ctl::quoted(source.text), what), "restricted.devices.disk", source.where);
    }

    /// A volume group, a zpool or an OSD pool that is there already is below no path.
    void check_pool(const resource::StoragePool& pool) {
        const std::string what = "storage pool " + ctl::quoted(pool.name.text);
        const Value* source = find_value(pool.config, "source");
        if (!has_named_source(pool)) {
            if (source != nullptr) check_host_path(what, *source);
        } else if (word("restricted.devices.disk") != "allow") {
            refuse(what + " on what the host has", "restricted.devices.disk", pool.name.where);
        } else if (!paths_.empty()) {
            refuse(what + " on what the host has", "restricted.devices.disk.paths", pool.name.where);
        }
    }

    void check_disk(const std::string& what, const Device& device) {
        constexpr std::string_view restriction = "restricted.devices.disk";
        const Value* path = find_value(device.keys, "path");
        const bool is_root = path != nullptr && path->text == "/" && find_value(device.keys, "pool") != nullptr;
        if (is_root) return;
        const Value* source = find_value(device.keys, "source");
        const bool is_managed = find_value(device.keys, "pool") != nullptr;
        if (word(restriction) == "block" || (word(restriction) == "managed" && !is_managed)) {
            refuse(what, restriction, device.where);
        } else if (!is_managed && source != nullptr) {
            check_path(what, *source);
        }
    }

    void check_path(const std::string& what, const Value& source) {
        if (paths_.empty()) return;
        const std::string normal = absolute_path(source, layout_);
        const auto is_below = [&](const std::string& top) {
            const std::string with_slash = top.ends_with('/') ? top : top + "/";
            return normal == top || normal == with_slash || normal.starts_with(with_slash);
        };
        if (std::none_of(paths_.begin(), paths_.end(), is_below))
            refuse(fmt::format("{} of {}", ctl::quoted(source.text), what), "restricted.devices.disk.paths", source.where);
    }

    void check_nic(const std::string& what, const Device& device) {
        constexpr std::string_view restriction = "restricted.devices.nic";
        const Value* network = find_value(device.keys, "network");
        if (network == nullptr) network = find_value(device.keys, "parent");
        const bool is_managed = network != nullptr && networks_.contains(network->text);
        if (word(restriction) == "block" || (word(restriction) == "managed" && !is_managed))
            refuse(what, restriction, device.where);
        else if (!accessible_.empty() && network != nullptr && !accessible_.contains(network->text))
            refuse(fmt::format("{} of {}", ctl::quoted(network->text), what), "restricted.networks.access", network->where);
    }

    const Config& policy_;
    const Stack& stack_;
    const HostLayout& layout_;
    Diagnostics& diagnostics_;
    std::set<std::string, std::less<>> networks_;
    std::set<std::string, std::less<>> accessible_;
    std::vector<std::string> paths_;
    std::set<std::pair<std::string, std::string>> told_;
};

}  // namespace

std::optional<Config> load_policy(const std::filesystem::path& file, Diagnostics& diagnostics) {
    const std::size_t errors = diagnostics.error_count();
    const auto documents = load_yaml_file(file, diagnostics);
    Config policy;
    for (const auto& document : documents) {
        check_structure(document, SchemaKind::policy, most_faults, diagnostics);
        for (auto& [key, entry] : read_config(document.find("config"))) policy.insert_or_assign(key, entry);
    }
    check_config(policy, {*config_of(SchemaKind::policy, ""), "a policy"}, diagnostics);
    return diagnostics.error_count() == errors ? std::optional(std::move(policy)) : std::nullopt;
}

void check_policy(const Config& policy, const Stack& stack, const HostLayout& layout, Diagnostics& diagnostics) {
    PolicyCheck(policy, stack, layout, diagnostics).run();
}

}  // namespace ctl::model

#include "model/cloud_init.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>

#include "base/text.h"
#include "model/yaml.h"

namespace ctl::model {

namespace {

/// A key in today's spelling, else in the older one.
const Value* find_either(const Config& config, std::string_view name) {
    const Value* value = find_value(config, fmt::format("cloud-init.{}", name));
    return value != nullptr ? value : find_value(config, fmt::format("user.{}", name));
}

std::string with_line_end(std::string text) {
    if (!text.ends_with('\n')) text += '\n';
    return text;
}

/// Tells one set of declared texts from another: with another instance-id cloud-init takes the container for a new one, and
/// does all again at its next start.
std::string instance_id(const std::string& name, const std::string& declared) {
    return fmt::format("{}-{:016x}", name, stable_hash(declared));
}

std::string default_network_config(const std::vector<std::string>& by_dhcp) {
    if (by_dhcp.empty()) return "network: {config: disabled}\n";
    std::string text = "version: 1\nconfig:\n";
    for (const auto& nic : by_dhcp)
        text += fmt::format("- type: physical\n  name: {}\n  subnets:\n  - {{type: dhcp, control: auto}}\n", nic);
    return text;
}

/// Images of LXD's kind bring templates of these files, which would ask for what ctl sets from outside.
bool is_made_for_it(const Lowering& lowering, const resource::Container& container) {
    const auto image = lowering.images.find(container.image.text);
    if (image == lowering.images.end()) return false;
    const std::string& type = image->second->source.type.text;
    return type == "file" || type == "url" || type == "simplestreams" || type == "image";
}

std::string yaml_fault(std::string_view text) {
    Diagnostics found;
    const auto documents = load_yaml(text, "", found);
    for (const auto& fault : found.all())
        if (fault.rule == "yaml-syntax") return fmt::format("line {}: {}", fault.where.line, fault.message);
    return documents.empty() || documents.front().is_map() || documents.front().is_null() ? "" : "it is no YAML map";
}

}  // namespace

std::optional<std::map<std::string, std::string>> lower_seed(const Lowering& lowering, const resource::Container& container,
                                                             const std::vector<std::string>& by_dhcp,
                                                             std::map<std::string, SourceSpan>& places) {
    std::map<std::string, std::string> files;
    std::string declared;
    for (const auto* name : {"user-data", "vendor-data", "network-config"}) {
        const Value* value = find_either(container.config, name);
        if (value == nullptr) continue;
        files[name] = with_line_end(value->text);
        declared += fmt::format("{} {}\n", name, files[name]);
        places["seed"] = value->where;
    }
    const Value* more = find_value(container.config, "user.meta-data");
    if (more != nullptr) places["seed"] = more->where;
    if (files.empty() && more == nullptr && !is_made_for_it(lowering, container)) return std::nullopt;
    files.emplace("user-data", "#cloud-config\n{}\n");
    files.emplace("vendor-data", "#cloud-config\n{}\n");
    const Value* mode = find_value(container.config, "user.network_mode");
    const bool alone = mode != nullptr && mode->text == "link-local";
    files.emplace("network-config", default_network_config(alone ? std::vector<std::string>{} : by_dhcp));
    const std::string& name = container.name.text;
    files["meta-data"] = fmt::format("instance-id: {}\nlocal-hostname: {}\n{}", instance_id(name, declared), name,
                                     more != nullptr ? with_line_end(more->text) : "");
    return files;
}

std::string user_data_fault(std::string_view text) {
    constexpr std::array<std::string_view, 9> others{
        "#!",           "#include",     "#cloud-boothook",       "#part-handler",
        "#upstart-job", "## template:", "#cloud-config-archive", "Content-Type:",
        "MIME-Version:"};
    const auto is_other = [&](std::string_view start) { return text.starts_with(start); };
    if (std::any_of(others.begin(), others.end(), is_other)) return "";
    if (text.starts_with("#cloud-config")) return yaml_fault(text);
    return "its first line is not one that cloud-init knows, such as #cloud-config";
}

std::string network_config_fault(std::string_view text) { return yaml_fault(text); }

}  // namespace ctl::model

#include "model/parse.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "model/parse_reader.h"
#include "model/structure.h"
#include "model/value_check.h"
#include "model/value_types.h"

namespace ctl::model {

namespace {

using resource::Stack;

constexpr std::string_view kinds_hint =
    "write kind: Network, NetworkAcl, NetworkForward, Profile, StoragePool, Volume, Image or Container; or a stack with "
    "networks:, containers:, …";

/// Why ctl lacks what LXD and incus have.
constexpr std::string_view no_projects = "a host that ctl keeps has no projects: a stack is what belongs together";
constexpr std::string_view no_cluster = "ctl keeps one host; give each host of a cluster a stack of its own";
constexpr std::string_view no_server = "nothing listens on a host that ctl keeps";
constexpr std::string_view no_ovn = "it belongs to OVN, which controllers of its own run over many hosts";
constexpr std::string_view no_machines = "ctl runs containers by liblxc; virtual machines need a hypervisor";
/// Their kinds that have no resource here, spelled without dashes.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> refused_kinds{{
    {"project", no_projects},
    {"networkzone", "dnsmasq answers for a network; raw.dnsmasq can have it serve zones"},
    {"networkpeer", no_ovn},
    {"networkloadbalancer", no_ovn},
    {"networkaddressset", "write the addresses into the rules of a network ACL"},
    {"storagebucket", no_server},
    {"clustergroup", no_cluster},
    {"cluster", no_cluster},
    {"certificate", no_server},
    {"virtualmachine", no_machines},
    {"vm", no_machines},
}};

/// Why there is nothing of a kind; empty for what LXD hasn't either.
std::string_view why_refused(std::string_view kind) {
    const std::string plain = plain_kind(kind);
    for (const auto& [name, why] : refused_kinds)
        if (name == plain) return why;
    return {};
}

/// True for a map with at least one key that only a stack has, or with nothing but a server's config.
bool looks_like_stack(const Node& document) {
    const auto is_section = [](const Node::Pair& pair) {
        static constexpr std::array<std::string_view, 4> shared{"kind", "config", "description", "profiles"};
        const bool is_shared = std::find(shared.begin(), shared.end(), pair.key.text) != shared.end();
        if (pair.key.text == "profiles")
            return std::any_of(pair.value.items.begin(), pair.value.items.end(),
                               [](const Node& item) { return item.is_map(); });
        return !is_shared && fields_of(SchemaKind::stack).find(pair.key.text) != nullptr;
    };
    if (std::any_of(document.pairs.begin(), document.pairs.end(), is_section)) return true;
    const Node* config = document.find("config");
    if (config == nullptr || document.pairs.size() != 1) return document.pairs.empty();
    return std::any_of(config->pairs.begin(), config->pairs.end(), [](const Node::Pair& pair) {
        return find_key(SchemaKind::stack, "", pair.key.text) != nullptr && !pair.key.text.starts_with("user.");
    });
}

/// The node that names the kind of a one-object document: `kind:`, or a `type:` that is a kind and nothing else.
const Node* kind_node(const Node& document) {
    if (const Node* kind = document.find("kind")) return kind;
    const Node* type = document.find("type");
    if (type == nullptr || !type->is_scalar()) return nullptr;
    return schema_kind_from(type->text) && type->text != "container" ? type : nullptr;
}

/// What a document without a kind is, by a field that only one kind has: `lxc … show` prints no kinds.
std::optional<SchemaKind> kind_by_fields(const Node& document) {
    static constexpr std::array<std::pair<std::string_view, SchemaKind>, 9> fields{{
        {"architecture", SchemaKind::container},
        {"ephemeral", SchemaKind::container},
        {"image", SchemaKind::container},
        {"driver", SchemaKind::storage_pool},
        {"managed", SchemaKind::network},
        {"ingress", SchemaKind::network_acl},
        {"egress", SchemaKind::network_acl},
        {"listen_address", SchemaKind::network_forward},
        {"devices", SchemaKind::profile},
    }};
    for (const auto& [field, kind] : fields)
        if (document.find(field) != nullptr) return kind;
    return std::nullopt;
}

/// `lxc config show web > web.yaml` prints no name, so the file says it.
void name_after_file(Node& container) {
    if (container.find("name") != nullptr || !container.where.file) return;
    std::string stem = std::filesystem::path(*container.where.file).stem().string();
    if (!is_instance_name(stem)) return;
    const auto scalar = [&](std::string text) {
        Node node;
        node.kind = Node::Kind::scalar;
        node.text = std::move(text);
        node.where = container.where;
        return node;
    };
    container.pairs.push_back({scalar("name"), scalar(std::move(stem))});
}

/// The image that a container without one was made of, among those of the stack: LXD keeps its fingerprint.
void find_base_image(resource::Container& container, const std::vector<resource::Image>& images) {
    const auto base = container.config.find("volatile.base_image");
    if (!container.image.empty() || base == container.config.end()) return;
    for (const auto& image : images)
        if (!image.source.fingerprint.empty() && image.source.fingerprint.text == base->second.value.text)
            container.image = {image.name.text, base->second.value.where};
}

class Parser {
public:
    explicit Parser(std::string_view default_name) { stack_.name = default_name; }

    void read(const Node& document) {
        if (document.is_null() || is_full()) return;
        if (!document.is_map()) {
            found_.error("wrong-type", "a document must be a map", document.where, std::string(kinds_hint));
            return;
        }
        if (const Node* kind = kind_node(document)) read_object(document, *kind);
        else if (looks_like_stack(document)) read_stack(document);
        else if (const auto shown = kind_by_fields(document)) read_one(document, *shown);
        else found_.error("missing-kind", "the document doesn't say what it is", document.where, std::string(kinds_hint));
    }

    /// What can only be judged when everything is read.
    void finish() {
        ProfileIndex profiles;
        for (const auto& profile : stack_.profiles) profiles.emplace(profile.name.text, &profile);
        for (auto& container : stack_.containers) {
            check_overrides(container, profiles, found_);
            find_base_image(container, stack_.images);
        }
        if (is_full() && !found_.all().empty())
            found_.error("too-many", "too many faults; the rest is not shown", found_.all().back().where);
    }

    [[nodiscard]] const Diagnostics& found() const { return found_; }
    [[nodiscard]] Stack& stack() { return stack_; }

private:
    [[nodiscard]] bool is_full() const { return found_.error_count() >= most_faults; }

    void check_shape(const Node& document, SchemaKind kind) {
        if (!is_full()) check_structure(document, kind, most_faults - found_.error_count(), found_);
    }

    void read_object(const Node& document, const Node& kind_text) {
        const auto kind = schema_kind_from(kind_text.text);
        if (kind == SchemaKind::stack) read_stack(document);
        else if (kind) read_one(without_kind_in_type(document, kind_text), *kind);
        else if (const auto why = why_refused(kind_text.text); !why.empty())
            report_unsupported(fmt::format("kind {}", escaped(kind_text.text)), why, kind_text.where, found_);
        else
            found_.error("unknown-kind", fmt::format("unknown kind {}", shown(kind_text.text)), kind_text.where,
                         std::string(kinds_hint));
    }

    /// A `type:` that names the kind of the document is no field of the object.
    static Node without_kind_in_type(const Node& document, const Node& kind_text) {
        Node object = document;
        if (&kind_text == document.find("type"))
            std::erase_if(object.pairs, [](const Node::Pair& pair) { return pair.key.text == "type"; });
        return object;
    }

    void read_one(Node object, SchemaKind kind) {
        if (kind == SchemaKind::container) name_after_file(object);
        check_shape(object, kind);
        read_resource(object, kind);
    }

    void read_resource(const Node& node, SchemaKind kind) {
        if (!node.is_map() || is_full()) return;
        switch (kind) {
            case SchemaKind::network: stack_.networks.push_back(read_network(node, found_)); break;
            case SchemaKind::network_acl: stack_.network_acls.push_back(read_network_acl(node, found_)); break;
            case SchemaKind::network_forward: stack_.network_forwards.push_back(read_network_forward(node, found_)); break;
            case SchemaKind::profile: stack_.profiles.push_back(read_profile(node, found_)); break;
            case SchemaKind::storage_pool: stack_.storage_pools.push_back(read_storage_pool(node, found_)); break;
            case SchemaKind::volume: stack_.volumes.push_back(read_volume(node, found_)); break;
            case SchemaKind::image: stack_.images.push_back(read_image(node, found_)); break;
            case SchemaKind::container: stack_.containers.push_back(read_container(node, found_)); break;
            case SchemaKind::stack:
            case SchemaKind::device:
            case SchemaKind::policy: break;
        }
    }

    void read_stack(const Node& document) {
        check_shape(document, SchemaKind::stack);
        read_name(document.find("stack"));
        read_server_config(document.find("config"));
        for (const auto& [name, section] : document.pairs) {
            const KeyInfo* key = fields_of(SchemaKind::stack).find(name.text);
            if (key == nullptr) continue;
            const bool is_filled = !section.items.empty() || !section.pairs.empty();
            if (key->is_refused() && is_filled) report_unsupported(key->name, key->note, name.where, found_);
            const auto kind = section_kind(name.text);
            if (!kind) continue;
            for (const auto& item : section.items) read_resource(item, *kind);
        }
    }

    static std::optional<SchemaKind> section_kind(std::string_view name) {
        static constexpr std::array<std::pair<std::string_view, SchemaKind>, 10> sections{{
            {"storage_pools", SchemaKind::storage_pool},
            {"volumes", SchemaKind::volume},
            {"storage_volumes", SchemaKind::volume},
            {"networks", SchemaKind::network},
            {"network_acls", SchemaKind::network_acl},
            {"network_forwards", SchemaKind::network_forward},
            {"images", SchemaKind::image},
            {"profiles", SchemaKind::profile},
            {"containers", SchemaKind::container},
            {"instances", SchemaKind::container},
        }};
        for (const auto& [section, kind] : sections)
            if (section == name) return kind;
        return std::nullopt;
    }

    void read_name(const Node* name) {
        if (name == nullptr || !name->is_scalar() || name->text.empty()) return;
        if (named_ && named_->text != name->text)
            found_.error("two-names",
                         fmt::format("the stack is named {} here and {} at {}", shown(name->text), shown(named_->text),
                                     named_->where.str()),
                         name->where, "documents loaded together are one stack; load the other with a command of its own");
        else named_ = value_of(*name);
        stack_.name = named_->text;
    }

    void read_server_config(const Node* config) {
        if (config == nullptr || config->pairs.empty()) return;
        const KeyTable& table = *config_of(SchemaKind::stack, "");
        for (const auto& [name, value] : config->pairs) {
            if (is_full()) return;
            if (table.find(name.text) != nullptr) continue;
            const auto meant = table.suggestion(name.text);
            found_.error(
                "unknown-key", fmt::format("unknown key {} of a server", shown(name.text)), name.where,
                meant.empty() ? "config: of a container belongs under containers:" : fmt::format("did you mean {}?", meant));
        }
        found_.note("no-effect", "config has no effect: these are keys of a server, and there is none", config->where);
    }

    Stack stack_;
    Diagnostics found_;
    std::optional<Value> named_;
};

}  // namespace

Stack parse(std::span<const Node> documents, std::string_view default_name, Diagnostics& diagnostics) {
    Parser parser(default_name);
    for (const auto& document : documents) parser.read(document);
    parser.finish();
    diagnostics.append(parser.found());
    return std::move(parser.stack());
}

}  // namespace ctl::model

#include <array>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "model/schema.h"

// All of docs/reference but commands.md is what the schemas say. CTL_ACCEPT=1 writes it anew and fails the run.

namespace {

using namespace ctl::model;

/// A bar would end a table's cell.
std::string cell(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') out += "\\|";
        else out += c;
    }
    return out;
}

std::string support_of(const KeyInfo& key) {
    switch (key.support) {
        case Support::yes: {
            std::string text = "yes";
            if (!key.values_never.empty())
                text += fmt::format(", but not {}: {}", ctl::joined(key.values_never, ", "), key.note);
            return text;
        }
        case Support::never: return "no: " + key.note;
        case Support::notice: return "accepted, without effect";
        case Support::ignored: return "ignored";
    }
    return {};
}

std::string doc_of(const KeyInfo& key) {
    std::string doc = key.doc;
    if (!key.values.empty()) doc += fmt::format(" One of: {}.", ctl::joined(key.values, ", "));
    if (!key.only.empty()) doc += fmt::format(" Only for {}.", ctl::joined(key.only, ", "));
    return doc;
}

std::string effect_of(const KeyInfo& key) {
    if (!key.effect) return {};
    switch (*key.effect) {
        case Effect::live: return "live";
        case Effect::hotplug: return "hotplug";
        case Effect::restart: return "restart";
        case Effect::replace: return "replace";
        case Effect::fixed: return "fixed";
    }
    return {};
}

std::string table(const KeyTable& keys) {
    std::string text = "| key | type | default | change | supported | |\n|---|---|---|---|---|---|\n";
    for (const auto& key : keys.keys()) {
        text += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", cell(key.name), cell(key.type),
                            key.default_value && !key.default_value->empty() ? "`" + cell(*key.default_value) + "`" : "",
                            effect_of(key), cell(support_of(key)), cell(doc_of(key)));
    }
    return text + "\n";
}

std::string section(std::string_view title, SchemaKind kind) {
    std::string text = fmt::format("## {}\n\n{}", title, table(fields_of(kind)));
    if (const KeyTable* config = config_of(kind, "")) text += "### Under `config`\n\n" + table(*config);
    for (const auto subtype : subtypes_of(kind))
        if (const KeyTable* config = config_of(kind, subtype))
            text += fmt::format("### `{}`\n\n{}", subtype, table(*config));
    return text;
}

constexpr std::string_view introduction =
    "Made from `schemas/`, which `ctl validate` checks manifests against. \"change\" is what changing the key costs on a "
    "running host: `live`, `hotplug`\n"
    "(a device is put in or taken out), `restart` (of the container), `replace` (deleted and made anew), `fixed` (refused). "
    "A "
    "key that is not supported yet\n"
    "is an error unless its value asks for nothing.\n\n";

std::string stacks() {
    return fmt::format(
        "# Stacks\n\n{}A file is a stream of YAML documents: stacks, or single objects with `kind:` on top. See "
        "`manifests/examples`.\n\n{}",
        introduction, section("Stack", SchemaKind::stack));
}

std::string networks() {
    return fmt::format("# Networks\n\n{}{}{}### Rules in `ingress` and `egress`\n\n{}{}### In `ports`\n\n{}{}", introduction,
                       section("Network", SchemaKind::network), section("NetworkAcl", SchemaKind::network_acl),
                       table(acl_rule_fields()), section("NetworkForward", SchemaKind::network_forward),
                       table(forward_port_fields()), "The NICs of containers are in [devices.md](devices.md#nic).\n\n");
}

std::string storage() {
    return fmt::format("# Storage\n\n{}{}{}", introduction, section("StoragePool", SchemaKind::storage_pool),
                       section("Volume", SchemaKind::volume));
}

std::string images() {
    return fmt::format("# Images\n\n{}{}### Under `source`\n\n{}", introduction, section("Image", SchemaKind::image),
                       table(image_source_fields()));
}

std::string containers() {
    return fmt::format("# Containers and profiles\n\n{}{}### Under `lifecycle`\n\n{}{}", introduction,
                       section("Container", SchemaKind::container), table(lifecycle_fields()),
                       section("Profile", SchemaKind::profile));
}

std::string devices() {
    return fmt::format("# Devices of containers and profiles\n\n{}{}", introduction, section("Devices", SchemaKind::device));
}

std::string policies() {
    return fmt::format(
        "# Policies\n\n"
        "A policy says what manifests may ask of a host. It is what `lxc project show` prints of a restricted project; `ctl "
        "validate`, `plan`, `apply` and `watch`\n"
        "hold stacks against `/etc/ctl/policy.yaml`, or against the file that `--policy FILE` names. What it forbids is an "
        "error at the key that asks for it.\n\n"
        "Paths are compared as they are written: don't allow a directory in which others may place symbolic links.\n\n{}",
        section("Policy", SchemaKind::policy));
}

struct Page {
    const char* file;
    std::string (*text)();
};

constexpr std::array pages{Page{"stacks.md", stacks},    Page{"networks.md", networks},     Page{"storage.md", storage},
                           Page{"images.md", images},    Page{"containers.md", containers}, Page{"devices.md", devices},
                           Page{"policies.md", policies}};

}  // namespace

TEST_CASE("the reference of manifests says what the schemas say") {
    const char* accept = std::getenv("CTL_ACCEPT");
    const bool is_accepted = accept != nullptr && std::string_view(accept) == "1";
    for (const auto& page : pages) {
        const std::string file = fmt::format("{}/docs/reference/{}", CTL_SOURCE_DIR, page.file);
        std::string text = page.text();
        text.pop_back();
        if (is_accepted) REQUIRE(ctl::write_file_atomically(file, text));
        const auto written = ctl::read_file(file);
        REQUIRE(written);
        CHECK_MESSAGE(*written == text, file << " is behind the schemas: run this with CTL_ACCEPT=1");
    }
    if (is_accepted) FAIL("the reference was rewritten: look at it and run again without CTL_ACCEPT");
}

#include <cstdlib>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "model/schema.h"

// docs/reference/manifests.md is what the schemas say. CTL_ACCEPT=1 writes it anew and fails the run.

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
            if (!key.values_not_yet.empty()) text += fmt::format(", but not yet {}", ctl::joined(key.values_not_yet, ", "));
            if (!key.values_never.empty())
                text += fmt::format(", but not {}: {}", ctl::joined(key.values_never, ", "), key.note);
            return text;
        }
        case Support::not_yet: return "not yet";
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

std::string reference() {
    std::string text =
        "# What a manifest may say\n\n"
        "Made from `schemas/`, which `ctl validate` checks manifests against. \"change\" is what changing the key costs on "
        "a running host: `live`, `hotplug`\n"
        "(a device is put in or taken out), `restart` (of the container), `replace` (deleted and made anew), `fixed` "
        "(refused). A key that is not supported yet\n"
        "is an error unless its value asks for nothing.\n\n"
        "A file is a stream of YAML documents: stacks, or single objects with `kind:` on top. See `manifests/examples`.\n\n";
    text += section("Stack", SchemaKind::stack);
    text += section("Network", SchemaKind::network);
    text += section("NetworkAcl", SchemaKind::network_acl);
    text += "### Rules in `ingress` and `egress`\n\n" + table(acl_rule_fields());
    text += section("NetworkForward", SchemaKind::network_forward);
    text += "### In `ports`\n\n" + table(forward_port_fields());
    text += section("StoragePool", SchemaKind::storage_pool);
    text += section("Image", SchemaKind::image);
    text += "### Under `source`\n\n" + table(image_source_fields());
    text += section("Profile", SchemaKind::profile);
    text += section("Container", SchemaKind::container);
    text += "### Under `lifecycle`\n\n" + table(lifecycle_fields());
    text += section("Devices", SchemaKind::device);
    text.pop_back();
    return text;
}

}  // namespace

TEST_CASE("the reference of manifests says what the schemas say") {
    const std::string file = CTL_SOURCE_DIR "/docs/reference/manifests.md";
    const char* accept = std::getenv("CTL_ACCEPT");
    if (accept != nullptr && std::string_view(accept) == "1") {
        REQUIRE(ctl::write_file_atomically(file, reference()));
        FAIL("the reference was rewritten: look at it and run again without CTL_ACCEPT");
    }
    const auto written = ctl::read_file(file);
    REQUIRE(written);
    CHECK_MESSAGE(*written == reference(), "docs/reference/manifests.md is behind the schemas: run this with CTL_ACCEPT=1");
}

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/host_state.h"

// Short ways to write objects, entries and states in tests.

namespace ctl::test {

inline const std::string stack_name = "lab";

/// "link/br0"; must be well-formed.
inline model::ObjectId id(std::string_view text) { return model::ObjectId::parse(text).value(); }

inline model::Need need(std::string_view text, model::Bond bond) { return {id(text), bond}; }

/// "stack.yaml:LINE:1"
inline SourceSpan place(unsigned line) { return {std::make_shared<const std::string>("stack.yaml"), line, 1, 0}; }

inline std::set<model::Cidr> cidrs(const std::vector<std::string>& texts) {
    std::set<model::Cidr> result;
    for (const auto& text : texts) result.insert(model::Cidr::parse(text).value());
    return result;
}

/// Something the manifest wants (or that was recorded), owned by "Network/net" of `stack_name`.
inline model::Entry wanted(model::Object object, std::vector<model::Need> needs = {}) {
    model::Entry entry;
    entry.object = std::move(object);
    entry.needs = std::move(needs);
    entry.owner = {stack_name, "Network", "net"};
    return entry;
}

/// The same for a thing that others make.
inline model::Entry borrowed(model::Object object, std::vector<model::Need> needs = {}) {
    model::Entry entry = wanted(std::move(object), std::move(needs));
    entry.borrowed = true;
    return entry;
}

/// Something of ours on the host, completely marked.
inline model::Entry ours(model::Object object) {
    model::Entry entry = wanted(std::move(object));
    entry.mark = model::Mark::complete;
    return entry;
}

/// Something on the host that isn't ours.
inline model::Entry foreign(model::Object object) {
    model::Entry entry;
    entry.object = std::move(object);
    return entry;
}

using Named = std::pair<std::string_view, model::Entry>;

inline model::HostState state(std::vector<Named> entries) {
    model::HostState result;
    for (auto& [name, entry] : entries) result.emplace(id(name), std::move(entry));
    return result;
}

/// A link of no type that is up: a physical NIC.
inline model::Link nic() {
    model::Link link;
    link.up = true;
    return link;
}

inline model::Link bridge() {
    model::Link link;
    link.type = model::LinkType::bridge;
    link.up = true;
    return link;
}

inline model::Link macvlan(std::string parent) {
    model::Link link;
    link.type = model::LinkType::macvlan;
    link.parent = std::move(parent);
    link.mode = "bridge";
    link.up = true;
    return link;
}

inline model::Link veth(std::string peer) {
    model::Link link;
    link.type = model::LinkType::veth;
    link.peer = std::move(peer);
    link.up = true;
    return link;
}

inline model::Container container(model::ContainerState state = model::ContainerState::running) {
    model::Container container;
    container.state = state;
    return container;
}

}  // namespace ctl::test

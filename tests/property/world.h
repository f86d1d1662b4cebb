#pragma once

#include <string>
#include <vector>

#include "support/builders.h"

namespace ctl::test {

/// A stream of small decisions: what a random test varies, and what it shrinks. Past its end every choice is 0.
class Choices {
public:
    explicit Choices(std::vector<unsigned> values) : values_(std::move(values)) {}

    unsigned below(unsigned bound) { return at_ < values_.size() ? values_[at_++] % bound : 0; }
    bool coin() { return below(2) == 1; }

private:
    std::vector<unsigned> values_;
    std::size_t at_ = 0;
};

/// A random stack in terms of objects: networks (bridges, macvlans, an OVS bridge) with NICs and sysctls, and containers
/// with everything they stand on. Needs are as lowering makes them. Two worlds share names, so that one often has to become
/// the other by replacing, moving and exchanging things.
class World {
public:
    explicit World(Choices choices) : choices_(std::move(choices)) {}

    model::HostState make() {
        model::Pool pool;
        pool.driver = "dir";
        pool.source = "/srv/pool";
        add(id("pool/default"), pool, {});
        for (const char* name : {"busybox", "debian"}) {
            model::Image image;
            image.type = "directory";
            image.source = choices_.below(4) == 0 ? "/srv/other" : "/srv/" + std::string(name);
            add(id("image/" + std::string(name)), image, {});
        }
        for (const char* name : {"net0", "net1", "net2"}) make_network(name);
        make_nic();
        for (const char* name : {"web", "db", "ci"})
            if (choices_.below(4) != 0) make_container(name);
        return std::move(state_);
    }

private:
    model::Entry& add(const model::ObjectId& object_id, model::Object object, std::vector<model::Need> needs) {
        return state_.insert_or_assign(object_id, wanted(std::move(object), std::move(needs))).first->second;
    }

    std::set<model::Cidr> addresses() {
        std::set<model::Cidr> result;
        for (const char* text : {"10.1.0.1/24", "10.2.0.1/24", "fd42::1/64"})
            if (choices_.coin()) result.insert(model::Cidr::parse(text).value());
        return result;
    }

    model::Link common() {
        model::Link link;
        link.up = true;
        if (choices_.coin()) link.mtu = 1400 + 50 * choices_.below(3);
        if (choices_.coin()) link.addresses = addresses();
        return link;
    }

    void make_network(const std::string& name) {
        const model::ObjectId link_id{model::ObjectKind::link, name};
        switch (choices_.below(4)) {
            case 0: return;
            case 1: {
                model::Link link = common();
                link.type = model::LinkType::macvlan;
                link.parent = choices_.coin() ? "enp0" : "enp1";
                link.mode = choices_.below(4) == 0 ? "passthru" : choices_.coin() ? "vepa" : "bridge";
                macvlans_.push_back(name);
                add(link_id, link, {{{model::ObjectKind::link, *link.parent}, model::Bond::rebuild}});
                break;
            }
            case 2: {
                model::OvsBridge bridge;
                bridge.datapath = choices_.coin() ? "system" : "netdev";
                add({model::ObjectKind::ovs_bridge, name}, bridge, {});
                bridges_.push_back({{model::ObjectKind::ovs_bridge, name}, name});
                return;
            }
            default: {
                model::Link link = common();
                link.type = model::LinkType::bridge;
                add(link_id, link, {});
                bridges_.push_back({link_id, name});
            }
        }
        if (choices_.coin()) return;
        model::Entry& sysctl = add({model::ObjectKind::sysctl, "net.ipv4.conf." + name + ".forwarding"},
                                   model::Sysctl{.value = "1"}, {{link_id, model::Bond::reapply}});
        sysctl.borrowed = true;
    }

    struct Bridge {
        model::ObjectId id;
        std::string name;
    };

    const Bridge* some_bridge() {
        return bridges_.empty() ? nullptr : &bridges_[choices_.below(static_cast<unsigned>(bridges_.size()))];
    }

    void make_nic() {
        const Bridge* bridge = some_bridge();
        if (bridge == nullptr || choices_.coin()) return;
        model::Link port;
        port.master = bridge->name;
        port.up = true;
        add(id("link/enp1"), port, {{bridge->id, model::Bond::reapply}}).borrowed = true;
    }

    void make_container(const std::string& name) {
        model::Container object;
        const std::string idmap = choices_.below(3) == 0 ? "none" : "0:100000:65536";
        object.idmap = idmap;
        object.rootfs = "/srv/pool/containers/" + name + "/rootfs";
        object.environment.emplace();
        if (choices_.coin()) object.environment->emplace("A", choices_.coin() ? "1" : "2");
        if (choices_.coin()) object.memory_limit = 1 << 20;
        object.state = choices_.below(3) == 0 ? model::ContainerState::stopped : model::ContainerState::running;

        const model::ObjectId netns{model::ObjectKind::netns, name};
        add(netns, model::Netns{.idmap = idmap}, {});
        const std::string image = choices_.coin() ? "busybox" : "debian";
        const model::ObjectId volume{model::ObjectKind::volume, "default/" + name};
        model::Volume root;
        root.image = image;
        root.idmap = idmap;
        root.mounted = true;
        add(volume, root,
            {{id("pool/default"), model::Bond::order}, {{model::ObjectKind::image, image}, model::Bond::order}});
        std::vector<model::Need> needs{{netns, model::Bond::restart}, {volume, model::Bond::restart}};
        for (const char* nic : {"eth0", "eth1"}) make_container_nic(name, nic, needs);
        for (const auto& other : containers_)
            if (choices_.below(4) == 0) needs.push_back({other, model::Bond::order});
        const model::ObjectId self{model::ObjectKind::container, name};
        add(self, object, std::move(needs));
        containers_.push_back(self);
    }

    void make_container_nic(const std::string& container, const std::string& nic, std::vector<model::Need>& needs) {
        const model::ObjectId inner{model::ObjectKind::link, container + ":" + nic};
        const model::Need in_netns{{model::ObjectKind::netns, container}, model::Bond::rebuild};
        model::Link link = common();
        switch (choices_.below(3)) {
            case 0: return;
            case 1: {
                link.type = model::LinkType::macvlan;
                link.parent = macvlans_.empty() || choices_.coin() ? "enp0" : macvlans_[0];
                link.mode = "bridge";
                add(inner, link, {in_netns, {{model::ObjectKind::link, *link.parent}, model::Bond::rebuild}});
                break;
            }
            default: make_veth(container, inner, link);
        }
        needs.push_back({inner, model::Bond::order});
        if (choices_.coin()) return;
        add({model::ObjectKind::route, container + ":" + (nic == "eth0" ? "0.0.0.0/0" : "10.9.0.0/16")},
            model::Route{.via = choices_.coin() ? "10.1.0.1" : "10.2.0.1", .dev = nic}, {{inner, model::Bond::rebuild}});
    }

    /// Host ends take their names from a common store: worlds exchange them.
    void make_veth(const std::string& container, const model::ObjectId& inner, model::Link link) {
        static const std::vector<std::string> names{"v0", "v1", "v2", "v3", "v4", "v5", "v6"};
        std::size_t n = choices_.below(static_cast<unsigned>(names.size()));
        while (state_.contains({model::ObjectKind::link, names[n]})) n = (n + 1) % names.size();
        const model::ObjectId outer{model::ObjectKind::link, names[n]};
        link.type = model::LinkType::veth;
        link.peer = outer.name;
        std::vector<model::Need> inner_needs{{{model::ObjectKind::netns, container}, model::Bond::rebuild}};
        model::Link end;
        end.type = model::LinkType::veth;
        end.peer = inner.name;
        end.up = true;
        std::vector<model::Need> outer_needs{{inner, model::Bond::rebuild}};
        if (const Bridge* bridge = some_bridge()) {
            end.master = bridge->name;
            outer_needs.push_back({bridge->id, model::Bond::reapply});
            inner_needs.push_back({bridge->id, model::Bond::order});
        }
        add(inner, link, std::move(inner_needs));
        add(outer, end, std::move(outer_needs)).owner = {stack_name, "Container", container};
    }

    Choices choices_;
    model::HostState state_;
    std::vector<Bridge> bridges_;
    std::vector<std::string> macvlans_;
    std::vector<model::ObjectId> containers_;
};

inline model::HostState make_world(const std::vector<unsigned>& choices) { return World(Choices(choices)).make(); }

}  // namespace ctl::test

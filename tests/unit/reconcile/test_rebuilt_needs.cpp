#include "reconcile/rebuilt_needs.h"

#include <doctest/doctest.h>

#include <set>

#include "support/builders.h"

using namespace ctl;
using namespace ctl::test;

namespace {

model::Entry of(const char* kind, const char* name, model::Object object) {
    model::Entry entry = ours(std::move(object));
    entry.owner = {stack_name, kind, name};
    return entry;
}

model::HostState host() {
    model::Volume root;
    root.image = "busybox";
    model::Container web = container();
    web.mounts = std::map<std::string, std::string>{{"/srv", "/var/lib/ctl/pools/default/custom/data/rootfs"}};
    return {{id("pool/default"), of("StoragePool", "default", model::Pool{})},
            {id("pool/other"), of("StoragePool", "other", model::Pool{})},
            {id("image/busybox"), of("Image", "busybox", model::Image{})},
            {id("image/debian"), of("Image", "debian", model::Image{})},
            {id("volume/default/web"), of("Container", "web", root)},
            {id("volume/default/custom/data"), of("Volume", "data", model::Volume{})},
            {id("netns/web"), of("Container", "web", model::Netns{})},
            {id("netns/web2"), of("Container", "web2", model::Netns{})},
            {id("link/web:eth0"), of("Container", "web", veth("veth1"))},
            {id("link/web2:eth0"), of("Container", "web2", veth("veth2"))},
            {id("container/web"), of("Container", "web", web)},
            {id("proxy/web:http"), of("Container", "web", model::Proxy{})},
            {id("ovs_bridge/ovs0"), of("Network", "ovs0", model::OvsBridge{})}};
}

std::set<model::ObjectId> under(const char* name) {
    const auto state = host();
    std::set<model::ObjectId> found;
    for (const auto& need : reconcile::rebuilt_needs(id(name), state.at(id(name)), state)) found.insert(need.id);
    return found;
}

}  // namespace

TEST_CASE("without a record names, fields and owners tell what stands on what") {
    CHECK(under("container/web") ==
          std::set{id("netns/web"), id("link/web:eth0"), id("volume/default/web"), id("volume/default/custom/data")});
    CHECK(under("link/web:eth0") == std::set{id("netns/web")});
    CHECK(under("volume/default/web") == std::set{id("pool/default"), id("image/busybox")});
    CHECK(under("volume/default/custom/data") == std::set{id("pool/default")});
    CHECK(under("proxy/web:http") == std::set{id("container/web")});
    CHECK(under("pool/default").empty());
    CHECK(under("netns/web").empty());

    model::OvsPort port;
    port.bridge = "ovs0";
    const auto needs = reconcile::rebuilt_needs(id("ovs_port/veth1"), of("Container", "web", port), host());
    REQUIRE(needs.size() == 1);
    CHECK(needs.front().id == id("ovs_bridge/ovs0"));
}

#include <fmt/format.h>

#include "model/lowering.h"
#include "model/nft_text.h"

namespace ctl::model {

namespace {

constexpr std::string_view masquerade_key = "router.ipv4.masquerade";
constexpr std::string_view except_key = "router.ipv4.masquerade.except";

std::optional<std::vector<AddressRange>> subnets(const Config& config, std::string_view key) {
    const Value* value = find_value(config, key);
    return value != nullptr ? parse_addresses(value->text) : std::nullopt;
}

}  // namespace

void lower_router(Lowering& lowering, const resource::Container& container, std::vector<Need>& needs) {
    const auto translated = subnets(container.config, masquerade_key);
    if (!translated) return;
    // Among themselves those behind the router are neighbours.
    auto spared = *translated;
    if (const auto others = subnets(container.config, except_key))
        spared.insert(spared.end(), others->begin(), others->end());
    nft::Chains chains;
    chains.base("postrouting", "nat hook postrouting priority srcnat");
    chains.rule("postrouting", fmt::format("ip saddr {} ip daddr != {} masquerade", nft::addresses(*translated),
                                           nft::addresses(std::move(spared))));
    const ObjectId id{ObjectKind::nft_table, container.name.text + ":ctl_router"};
    Entry& entry = lowering.add(id, NftTable{.family = "ip", .chains = chains.take()},
                                {lowering.stack.name, "Container", container.name.text}, container.name.where);
    entry.needs = {{{ObjectKind::netns, container.name.text}, Bond::rebuild}};
    entry.places["chains"] = find_value(container.config, masquerade_key)->where;
    entry.lifecycle.prune = container.lifecycle.prune;
    needs.push_back({id, Bond::order});
}

}  // namespace ctl::model

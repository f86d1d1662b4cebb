#pragma once

#include "model/lowering.h"
#include "model/nft_text.h"

// What the parts of a network's firewall share; nobody else includes this.

namespace ctl::model {

/// Whether the network's addresses of the family are translated on the way out: as ipv4.nat says, and without it when the
/// subnet was left to us to choose.
[[nodiscard]] bool translates(const Lowering& lowering, const resource::Network& network, IpAddress::Family family);

/// The rules of the network's security.acls. False if it has none.
[[nodiscard]] bool lower_acls(const Lowering& lowering, const resource::Network& network, nft::Chains& chains);

/// The table that keeps the network's NICs from speaking with others' addresses, and what their containers need of it.
void lower_port_security(Lowering& lowering, const resource::Network& network);

}  // namespace ctl::model

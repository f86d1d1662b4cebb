#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "drivers/netlink/scopes.h"
#include "drivers/netlink/snapshot.h"
#include "model/object.h"

// NICs of the host that are lent to the namespaces of containers. Nobody makes or deletes them: they move there and back,
// and carry in their alias, behind the mark, what they were before. It is written before they move and cleared after they
// are back, so that a NIC is never ours without saying where it belongs.

namespace ctl::drivers::netlink {

/// What a NIC was on the host before it was lent.
struct Loan {
    std::string name;
    std::string mac;
    unsigned mtu = 0;  ///< bytes
    bool up = false;
    std::string alias;  ///< somebody's own

    bool operator==(const Loan&) const = default;
};

/// "MARK was NAME MAC MTU up ALIAS"
[[nodiscard]] std::string loan_alias(std::string_view mark, const Loan& loan);
/// Nothing where the alias tells of none.
[[nodiscard]] std::optional<Loan> read_loan(std::string_view alias);
/// The mark alone.
[[nodiscard]] std::string_view mark_of(std::string_view alias);

/// Whether a NIC of the host may become `link`. Errors: `conflict` for one that is lent already, has a master or an address
/// of the host's, or is a link of ours.
[[nodiscard]] Status check_may_be_lent(const LinkRecord& nic, const Snapshot& host, const model::ObjectId& link);

/// Moves the host's NIC of that name, or what is left of an interrupted loan to the same link, into the namespace of `link`
/// and calls it so. Errors: `not_found`, and those of check_may_be_lent.
[[nodiscard]] Status lend(Scopes& scopes, const std::string& hardware, const model::ObjectId& link, std::string_view mark);

/// Moves what `link` is back to the host, as it was there. Nothing to do is a success. Errors: `conflict` if its name on the
/// host is taken.
[[nodiscard]] Status give_back(Scopes& scopes, const model::ObjectId& link);

}  // namespace ctl::drivers::netlink

#pragma once

#include "diff/change.h"
#include "drivers/netlink/link_requests.h"
#include "drivers/netlink/scopes.h"

namespace ctl::drivers::netlink {

/// What one change asks of one link, before anything on the host is looked at.
struct LinkJob {
    std::size_t index = 0;  ///< in the batch
    const diff::Change* change = nullptr;
    model::ScopedName where;
    model::Link wanted;               ///< the fields to be set
    std::optional<std::string> mark;  ///< the alias to be set; "" takes the mark away
    bool removes = false;
    bool births = false;               ///< to be made if it isn't there
    bool borrowed = false;             ///< others' link: no mark is asked for
    bool drops_our_addresses = false;  ///< addresses are no longer mentioned: those that we put there go
    Status outcome;

    [[nodiscard]] bool is_failed() const { return !outcome.has_value(); }
    void fail(Error error) {
        if (outcome) outcome = std::move(error).while_(doing());
    }
    void fail(const Answer& answer) {
        if (outcome && !answer.is_ok()) outcome = answer.as_error(doing());
    }
    /// "creating link/br0"
    [[nodiscard]] std::string doing() const;
};

/// Reads a change of a link. Errors: a name that can't be one, a create or adoption without `desired`.
[[nodiscard]] LinkJob make_link_job(std::size_t index, const diff::Change& change);

}  // namespace ctl::drivers::netlink

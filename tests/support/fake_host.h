#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "drivers/api/driver.h"

namespace ctl::test {

/// A host in memory on which plans really run: one driver for all kinds, with the rules of the kernel, OVSDB and liblxc that
/// an order of steps can break. Names are unique, a namespace takes its links with it, one end of a veth pair the other, a
/// lower link its macvlans, a bridge frees its ports; what is missing or in use is an error.
class FakeHost : public drivers::Driver {
public:
    FakeHost();

    /// What is there, with marks and owners as the host says, without needs.
    [[nodiscard]] model::HostState seen() const;
    [[nodiscard]] bool has(const model::ObjectId& id) const { return things_.contains(id); }
    [[nodiscard]] const model::Object& object(const model::ObjectId& id) const { return things_.at(id).object; }

    /// Puts something there that nobody of ours made; a link gets its sysctl.
    void add_foreign(const model::ObjectId& id, model::Object object);
    /// Somebody sets a field behind our back.
    void set(const model::ObjectId& id, std::string_view field, const model::FieldValue& value);
    /// Somebody deletes it behind our back, with all that goes with it. A container stops first.
    void vanish(const model::ObjectId& id);

    /// The n-th change from now on (0 is the next) fails; with `half_made` a creation leaves a thing without its full mark.
    void fail_at(std::size_t n, bool half_made = false);

    /// "create link/br0", in order, failed ones too.
    [[nodiscard]] const std::vector<std::string>& ran() const { return ran_; }

    /// One change as apply() makes it.
    [[nodiscard]] Status run(const diff::Change& change);

    [[nodiscard]] const drivers::DriverInfo& info() const override { return info_; }
    [[nodiscard]] Result<model::HostState> observe(const drivers::Interest& interest, std::stop_token stop) override;
    [[nodiscard]] std::vector<Error> preflight(std::span<const diff::Change> changes) override;
    void apply(std::span<const diff::Change> changes, const drivers::Report& report, std::stop_token stop) override;
    [[nodiscard]] std::vector<drivers::EventSource> events() override { return {}; }
    [[nodiscard]] bool drain(int) override { return false; }

private:
    Status create(const diff::Change& change);
    Status update(const diff::Change& change);
    Status remove(const model::ObjectId& id);
    Status forget(const diff::Change& change);
    Status stop(const model::ObjectId& id);

    Status make(const model::ObjectId& id, const model::Entry& desired);
    Status make_peer(const model::ObjectId& id, const model::Link& link);
    Status set_fields(model::Entry& thing, const diff::Change& change);
    Status check_ground(const model::ObjectId& id, const model::Entry& entry) const;
    Status check_link(const model::ScopedName& name, const model::Link& link) const;
    Status check_removable(const model::ObjectId& id) const;
    Status require(const model::ObjectId& id, const model::ObjectId& by) const;
    [[nodiscard]] bool is_in_use(const model::ObjectId& id) const;
    void erase(const model::ObjectId& id);
    void erase_link(const model::ObjectId& id, const model::Link& link);
    void free_ports(const std::string& master);
    void add_sysctl(const model::ObjectId& link);

    drivers::DriverInfo info_;
    model::HostState things_;  ///< with the needs of those that know what they stand on
    std::vector<std::string> ran_;
    std::optional<std::size_t> fail_in_;
    bool half_made_ = false;
};

}  // namespace ctl::test

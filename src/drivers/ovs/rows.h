#pragma once

#include <map>
#include <string>
#include <vector>

#include "drivers/ovs/ovs_shim.h"
#include "model/host_state.h"

// Between rows of the database and objects.

namespace ctl::drivers::ovs {

/// A port or bridge as the database has it, beside the object that it is to others.
struct Row {
    model::Entry entry;
    std::string error;         ///< what ovs-vswitchd says of its interface
    std::int64_t ofport = 0;   ///< 0: not yet; -1: refused
    std::int64_t ifindex = 0;  ///< of the link it was made with
};
using Rows = std::map<model::ObjectId, Row>;

/// All bridges and ports of the replica.
[[nodiscard]] Rows read_rows(const ctl_ovs* replica);

/// Number of the link with that name in this network namespace; 0 if there is none.
[[nodiscard]] std::int64_t link_number(const std::string& name);

/// A bridge or port in the shim's form; points into the object it was made from, and into itself.
class BridgeRow {
public:
    BridgeRow(const std::string& name, const model::OvsBridge& bridge, const std::string& mark);
    BridgeRow(const BridgeRow&) = delete;
    BridgeRow& operator=(const BridgeRow&) = delete;
    [[nodiscard]] const ctl_ovs_bridge* get() const { return &row_; }

private:
    std::vector<const char*> controllers_;
    ctl_ovs_bridge row_{};
};

class PortRow {
public:
    PortRow(const std::string& name, const model::OvsPort& port, const std::string& mark, std::int64_t ifindex);
    PortRow(const PortRow&) = delete;
    PortRow& operator=(const PortRow&) = delete;
    [[nodiscard]] const ctl_ovs_port* get() const { return &row_; }

private:
    std::vector<const char*> option_names_;
    std::vector<const char*> option_values_;
    std::vector<std::int64_t> trunks_;
    ctl_ovs_port row_{};
};

/// The columns that these fields of an object stand in.
[[nodiscard]] unsigned columns_of(model::ObjectKind kind, const std::vector<std::string_view>& fields);
/// All columns that an object's fields stand in.
[[nodiscard]] unsigned all_columns(model::ObjectKind kind);

}  // namespace ctl::drivers::ovs

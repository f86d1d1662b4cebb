#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "model/value.h"

namespace ctl::model {

/// What `raw.lxc` asks for, in today's spelling.
struct RawLxc {
    std::vector<std::string> lines;              ///< "key = value", in the order written
    std::map<std::string, std::string> network;  ///< old lxc.network.* settings of the one NIC: "ipv4" → "10.0.3.32/24"
};

/// Reads the lines of a raw.lxc value. Keys as liblxc before 3.0 spelled them are translated, with a note; lines without
/// "=", keys that are not liblxc's and keys that ctl writes itself (root filesystem, id map, namespaces, network) are
/// errors.
[[nodiscard]] RawLxc read_raw_lxc(const Value& value, Diagnostics& diagnostics);

}  // namespace ctl::model

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "model/host_state.h"

namespace ctl::cli {

/// What is connected to what: the boxes and lines of a drawing.
struct Topology {
    enum class Kind { interface, network, tunnel, container };

    struct Node {
        Kind kind;
        std::string name;
        std::string details;  ///< "bridge, 10.0.0.1/24"; may be empty
    };
    /// From what hangs on something to what it hangs on.
    struct Line {
        std::size_t from;
        std::size_t to;
        std::string label;  ///< "eth0 by veth12ab, vlan 5, 10.0.0.2/24"; may be empty
    };

    std::vector<Node> nodes;  ///< interfaces, networks and tunnels, then containers; each by name
    std::vector<Line> lines;  ///< by what they hang on
};

/// Of a desired or an observed host. A link that others name but that isn't in the state is an interface without details.
[[nodiscard]] Topology topology_of(const model::HostState& state);

/// A tree per thing that hangs on nothing; a container stands once under each thing it hangs on.
[[nodiscard]] std::string to_text(const Topology& topology);
/// The language of Graphviz.
[[nodiscard]] std::string to_dot(const Topology& topology);
/// A drawing that needs nothing else: columns from the outside (left) to the containers (right).
[[nodiscard]] std::string to_svg(const Topology& topology);

/// "interface", "network", …
[[nodiscard]] std::string_view to_string(Topology::Kind kind);

}  // namespace ctl::cli

#pragma once

#include <vector>

#include "lab.h"

namespace ctl::testing {

/// Several sandboxes as hosts on one wire: each has the NIC enp4s0f0, up, on a switch in a sandbox of its own. Each gets a
/// machine-id(5) of its own, too: on one machine they would choose the same MACs.
class Segment {
public:
    explicit Segment(const std::vector<const Lab*>& hosts);

private:
    Sandbox switch_;
};

}  // namespace ctl::testing

#pragma once

namespace ctl::drivers::ovs {

/// Whether the kernel has Open vSwitch's datapath; asking loads the module where it can be loaded.
[[nodiscard]] bool kernel_has_datapath();

}  // namespace ctl::drivers::ovs

#pragma once

#include "drivers/api/driver.h"

// What a loadable driver module (lib/ctl/drivers/ctl-driver-NAME.so) exports: one function.
//
//   CTL_DRIVER_MODULE(netlink, [](const DriverContext& context) -> Result<std::unique_ptr<Driver>> { … })

namespace ctl::drivers {

/// Grows with every change of driver.h that a module compiled before would not survive.
inline constexpr unsigned interface_version = 2;

using DriverFactory = Result<std::unique_ptr<Driver>> (*)(const DriverContext& context);

/// The symbol `ctl_driver_module` of a module. `version` is read before anything else is trusted.
struct DriverModule {
    unsigned version = interface_version;
    const char* name = nullptr;
    DriverFactory make = nullptr;
};

}  // namespace ctl::drivers

/// Defines the module's symbol. `factory` is a function of type DriverFactory's target.
#define CTL_DRIVER_MODULE(driver_name, factory)                                                            \
    extern "C" __attribute__((visibility("default"))) const ctl::drivers::DriverModule ctl_driver_module { \
        ctl::drivers::interface_version, #driver_name, factory                                             \
    }

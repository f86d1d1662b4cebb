#include "drivers/api/module.h"
#include "drivers/sysctl/driver.h"

CTL_DRIVER_MODULE(sysctl, ctl::drivers::make_sysctl_driver);

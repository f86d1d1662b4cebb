#include "drivers/api/module.h"
#include "drivers/lxc/driver.h"

CTL_DRIVER_MODULE(lxc, ctl::drivers::make_lxc_driver);

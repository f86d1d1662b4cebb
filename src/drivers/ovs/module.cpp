#include "drivers/api/module.h"

#include "drivers/ovs/driver.h"

CTL_DRIVER_MODULE(ovs, ctl::drivers::make_ovs_driver);

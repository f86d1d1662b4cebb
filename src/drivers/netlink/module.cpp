#include "drivers/api/module.h"
#include "drivers/netlink/driver.h"

CTL_DRIVER_MODULE(netlink, ctl::drivers::make_netlink_driver);

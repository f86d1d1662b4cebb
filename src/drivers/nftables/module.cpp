#include "drivers/api/module.h"
#include "drivers/nftables/driver.h"

CTL_DRIVER_MODULE(nftables, ctl::drivers::make_nftables_driver);

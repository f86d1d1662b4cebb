#include "drivers/api/module.h"
#include "drivers/dnsmasq/driver.h"

CTL_DRIVER_MODULE(dnsmasq, ctl::drivers::make_dnsmasq_driver);

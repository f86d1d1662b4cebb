#include "drivers/api/module.h"
#include "drivers/proxy/driver.h"

CTL_DRIVER_MODULE(proxy, ctl::drivers::make_proxy_driver);

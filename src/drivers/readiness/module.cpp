#include "drivers/api/module.h"
#include "drivers/readiness/driver.h"

CTL_DRIVER_MODULE(readiness, ctl::drivers::make_readiness_driver);

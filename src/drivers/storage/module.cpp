#include "drivers/api/module.h"
#include "drivers/storage/driver.h"

CTL_DRIVER_MODULE(storage, &ctl::drivers::make_storage_driver);

#include "drivers/api/module.h"
#include "drivers/image/driver.h"

CTL_DRIVER_MODULE(image, &ctl::drivers::make_image_driver);

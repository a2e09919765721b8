// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cuda/device.h"

void cuda_devices_find(struct cuda_devices *devices) {
    devices->n_devices = 0;
    snprintf(devices->what, sizeof devices->what, "this wader was built without CUDA");
}

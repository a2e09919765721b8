// SPDX-License-Identifier: Apache-2.0
//
// What tests that are for devices only need beside tests/simt/device.h. After device_open.
#ifndef WADER_TESTS_GPU_DEVICE_CUDA_H
#define WADER_TESTS_GPU_DEVICE_CUDA_H

#include "cuda/device.h"

// All devices; device.h's memory is on the first.
const struct cuda_devices *device_cuda_all(void);

#endif

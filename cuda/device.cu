// SPDX-License-Identifier: Apache-2.0
//
// Linked with the static CUDA runtime, which looks for the driver when it is first called: the
// program starts on hosts that have none.
#include <cuda_runtime_api.h>

#include <cstdio>

extern "C" {
#include "cuda/device.h"
}

extern "C" void cuda_devices_find(struct cuda_devices *devices) {
    devices->n_devices = 0;
    int n = 0, driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        snprintf(devices->what, sizeof devices->what, "no NVIDIA driver on this host");
        return;
    }
    cudaError_t result = cudaGetDeviceCount(&n);
    cudaDeviceProp properties;
    if (result == cudaSuccess && n > 0) result = cudaGetDeviceProperties(&properties, 0);
    if (result != cudaSuccess || n == 0) {
        (void)cudaGetLastError();  // the runtime remembers the last failure
        snprintf(devices->what, sizeof devices->what, "no CUDA device: %s",
                 cudaGetErrorString(result == cudaSuccess ? cudaErrorNoDevice : result));
        return;
    }
    devices->n_devices = n;
    snprintf(devices->what, sizeof devices->what, "%s, compute capability %d.%d", properties.name,
             properties.major, properties.minor);
}

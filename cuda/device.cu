// SPDX-License-Identifier: Apache-2.0
//
// Linked with the static CUDA runtime, which looks for the driver when it is first called: the
// program starts on hosts that have none. Nothing here makes a context, so a device that is only
// looked at keeps its memory.
#include "cuda/device.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

// The 16 bytes in hexadecimal digits, in groups of 4, 2, 2, 2 and 6 bytes.
static void format_uuid(const cudaUUID_t &uuid, char (&text)[48]) {
    size_t n = (size_t)snprintf(text, sizeof text, "GPU");
    for (int i = 0; i < 16; i++) {
        const bool is_group = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%02x", is_group ? "-" : "",
                              (unsigned)(unsigned char)uuid.bytes[i]);
    }
}

static cudaError_t read_device(int index, struct cuda_device *device) {
    cudaDeviceProp properties;
    const cudaError_t result = cudaGetDeviceProperties(&properties, index);
    if (result != cudaSuccess) return result;
    device->index = index;
    snprintf(device->name, sizeof device->name, "%s", properties.name);
    format_uuid(properties.uuid, device->uuid);
    // A GPU is function 0 of its slot; the runtime does not say which function it is.
    snprintf(device->pci, sizeof device->pci, "%08x:%02x:%02x.0", (unsigned)properties.pciDomainID,
             (unsigned)properties.pciBusID, (unsigned)properties.pciDeviceID);
    device->major = properties.major;
    device->minor = properties.minor;
    device->n_multiprocessors = properties.multiProcessorCount;
    device->memory_nbytes = properties.totalGlobalMem;
    return cudaSuccess;
}

// Leaves the reason in `what`, and no failure for the next call of the runtime to find.
static void none(struct cuda_devices *devices, const char *reason) {
    (void)cudaGetLastError();
    devices->n_devices = 0;
    snprintf(devices->what, sizeof devices->what, "%s", reason);
}

extern "C" void cuda_devices_find(struct cuda_devices *devices) {
    memset(devices, 0, sizeof *devices);
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        none(devices, "no NVIDIA driver on this host");
        return;
    }
    devices->driver_version = driver;
    char reason[sizeof devices->what];
    int n = 0;
    cudaError_t result = cudaGetDeviceCount(&n);
    if (result == cudaSuccess && n == 0) result = cudaErrorNoDevice;
    if (result != cudaSuccess) {
        snprintf(reason, sizeof reason, "no CUDA device: %s", cudaGetErrorString(result));
        none(devices, reason);
        return;
    }
    if (n > CUDA_DEVICES_MAX) n = CUDA_DEVICES_MAX;
    for (int i = 0; i < n; i++) {
        result = read_device(i, &devices->devices[i]);
        if (result != cudaSuccess) {
            snprintf(reason, sizeof reason, "CUDA device %d cannot be read: %s", i,
                     cudaGetErrorString(result));
            none(devices, reason);
            return;
        }
    }
    devices->n_devices = n;
    snprintf(devices->what, sizeof devices->what, "%s", devices->devices[0].name);
}

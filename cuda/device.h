// SPDX-License-Identifier: Apache-2.0
//
// Which CUDA devices this host has. Pure C: built with nvcc it asks the driver (device.cu), built
// without it there are none (none.c).
#ifndef WADER_CUDA_DEVICE_H
#define WADER_CUDA_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_device {
    int32_t index;  // as CUDA_VISIBLE_DEVICES leaves them, from 0
    char name[256];
    char uuid[48];         // "GPU-12345678-9abc-def0-1234-56789abcdef0", as nvidia-smi prints it
    char pci[24];          // "00000000:3b:00.0"
    int32_t major, minor;  // compute capability
    int32_t n_multiprocessors;
    size_t memory_nbytes;
};

enum { CUDA_DEVICES_MAX = 64 };

struct cuda_devices {
    int32_t n_devices;
    struct cuda_device devices[CUDA_DEVICES_MAX];
    int32_t driver_version;  // the newest CUDA it serves, 13000 for 13.0; 0: there is none
    char what[256];          // the first device's name, or why there is none, for a message
};

// Never fails: a host without a driver is an answer.
void cuda_devices_find(struct cuda_devices *devices);

#ifdef __cplusplus
}
#endif

#endif

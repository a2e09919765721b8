// SPDX-License-Identifier: Apache-2.0
//
// Which CUDA devices this host has. Pure C: built with nvcc it asks the driver (device.cu), built
// without it there are none (device_none.c).
#ifndef WADER_CUDA_DEVICE_H
#define WADER_CUDA_DEVICE_H

struct cuda_devices {
    int n_devices;
    char what[256];  // the first device's name, or why there is none, for a message
};

// Never fails: a host without a driver is an answer.
void cuda_devices_find(struct cuda_devices *devices);

#endif

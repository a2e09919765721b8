// SPDX-License-Identifier: Apache-2.0
//
// Which devices there are, and which one a thread uses.
#include <stdio.h>
#include <string.h>

#include "tests/standin/api.h"

using namespace standin;

static bool is_device(int number) {
    return number >= 0 && number < the_world().settings.n_devices;
}

// As the real one does, a host without a driver is told by version 0.
extern "C" cudaError_t cudaDriverGetVersion(int *version) {
    const int code = enter(STANDIN_DEVICE, -1);
    *version = code == NO_DRIVER ? 0 : CUDART_VERSION;
    return result_of(code == NO_DRIVER ? (int)OK : code);
}

extern "C" cudaError_t cudaGetDeviceCount(int *n) {
    const int code = enter(STANDIN_DEVICE, -1);
    *n = code == OK ? the_world().settings.n_devices : 0;
    return result_of(code);
}

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int number) {
    const int code = enter(STANDIN_DEVICE, is_device(number) ? number : -1);
    if (code != OK) return result_of(code);
    if (!is_device(number)) return result_of(INVALID_DEVICE);
    const settings &s = the_world().settings;
    const bool is_other = s.is_mixed && number == s.n_devices - 1;
    memset(properties, 0, sizeof *properties);
    snprintf(properties->name, sizeof properties->name, "Stand-in GPU%s",
             is_other ? " of another kind" : "");
    for (int i = 0; i < 16; i++) properties->uuid.bytes[i] = (char)(0x10 + i + 0x40 * (i == 15));
    properties->uuid.bytes[0] = (char)number;
    properties->pciBusID = 0x20 + number;
    properties->totalGlobalMem = s.memory_nbytes;
    properties->major = s.major;
    properties->minor = s.minor;
    properties->multiProcessorCount = s.n_multiprocessors;
    return cudaSuccess;
}

// The thread uses the device though it is lost: what is left there can be freed.
extern "C" cudaError_t cudaSetDevice(int number) {
    const int code = enter(STANDIN_DEVICE, is_device(number) ? number : -1);
    if (is_device(number) && (code == OK || lost_code(number) != OK)) choose_device(number);
    return result_of(code != OK ? code : is_device(number) ? OK : INVALID_DEVICE);
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free_nbytes, size_t *total_nbytes) {
    const int code = enter_here(STANDIN_DEVICE);
    if (code != OK) return result_of(code);
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    const settings &s = w.settings;
    *total_nbytes = s.memory_nbytes;
    *free_nbytes = s.told_nbytes != SIZE_MAX
                       ? s.told_nbytes
                       : s.memory_nbytes - w.devices[(size_t)current_device()].used_nbytes;
    return cudaSuccess;
}

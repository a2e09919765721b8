// SPDX-License-Identifier: Apache-2.0
//
// tests/simt/device.h on a CUDA device, the first that there is. Fresh memory holds NaN in every
// format, unless DEVICE_FILL=none: then a tool that looks for reads of what was never written sees
// them. A call of the runtime that fails ends the program: what follows would be of no use.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/device.h"
#include "cuda/runtime.h"
#include "tests/gpu/device_cuda.h"
#include "tests/simt/device.h"

enum { STAGE_NBYTES = 4 << 20, NAN_BYTE = 0xFF };

static struct cuda_devices devices;
static unsigned char *stage, *nans;  // pinned, STAGE_NBYTES each; `nans` never changes
static struct CUevent_st *event;
static bool fills;

static void need(int code, const char *what) {
    if (code == 0) return;
    char text[128];
    fprintf(stderr, "device: %s: %s\n", what, gpu_code_name(code, text));
    exit(1);
}

int device_open(const char **why_not) {
    cuda_devices_find(&devices);
    *why_not = devices.what;
    if (devices.n_devices == 0) return 0;
    const char *fill = getenv("DEVICE_FILL");
    fills = fill == NULL || strcmp(fill, "none") != 0;
    void *memory;
    need(gpu_use(devices.devices[0].index), "the device cannot be used");
    need(gpu_alloc_pinned(STAGE_NBYTES, &memory), "no pinned memory");
    stage = memory;
    need(gpu_alloc_pinned(STAGE_NBYTES, &memory), "no pinned memory");
    nans = memory;
    memset(nans, NAN_BYTE, STAGE_NBYTES);
    need(gpu_event_create(&event), "no event");
    fprintf(stderr, "device %s, sm_%d%d\n", devices.devices[0].name, (int)devices.devices[0].major,
            (int)devices.devices[0].minor);
    return 1;
}

const struct cuda_devices *device_cuda_all(void) {
    return &devices;
}

int device_multiplies_bf16(void) {
    return devices.devices[0].major >= 8;
}

int device_writes_e4m3(void) {
    const struct cuda_device *device = &devices.devices[0];
    return device->major > 8 || (device->major == 8 && device->minor >= 9);
}

// Until all that was enqueued on the default stream is done.
static int finish(void) {
    int code = gpu_event_record(event, NULL);
    for (bool done = false; code == 0 && !done;) code = gpu_event_is_done(event, &done);
    return code;
}

static size_t piece(size_t rest) {
    return rest < STAGE_NBYTES ? rest : STAGE_NBYTES;
}

void *device_alloc(size_t nbytes) {
    void *memory;
    need(gpu_alloc(nbytes > 0 ? nbytes : 1, &memory), "no device memory");
    for (size_t at = 0; fills && at < nbytes; at += piece(nbytes - at)) {
        need(gpu_copy_in((char *)memory + at, nans, piece(nbytes - at), NULL), "filling memory");
    }
    return memory;
}

void device_free(void *memory) {
    need(gpu_free(memory), "freeing memory");
}

void device_write(void *to, const void *from, size_t nbytes) {
    for (size_t at = 0; at < nbytes; at += piece(nbytes - at)) {
        const size_t n = piece(nbytes - at);
        memcpy(stage, (const char *)from + at, n);
        need(gpu_copy_in((char *)to + at, stage, n, NULL), "copying to the device");
        need(finish(), "copying to the device, or a kernel before");
    }
}

void device_read(void *to, const void *from, size_t nbytes) {
    for (size_t at = 0; at < nbytes; at += piece(nbytes - at)) {
        const size_t n = piece(nbytes - at);
        need(gpu_copy_out(stage, (const char *)from + at, n, NULL), "copying from the device");
        need(finish(), "copying from the device, or a kernel before");
        memcpy((char *)to + at, stage, n);
    }
}

int device_last_blocks(size_t n) {
    return n == 0;
}

long device_faults(void) {
    const int code = finish();
    char text[128];
    if (code != 0) fprintf(stderr, "device: %s\n", gpu_code_name(code, text));
    return code != 0;
}

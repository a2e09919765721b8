// SPDX-License-Identifier: Apache-2.0
//
// What device.h and encoder_cuda.h say where wader was built without CUDA.
#include <stdio.h>

#include "cuda/device.h"
#include "cuda/encoder_cuda.h"

static const char why_none[] = "this wader was built without CUDA";

void cuda_devices_find(struct cuda_devices *devices) {
    *devices = (struct cuda_devices){0};
    snprintf(devices->what, sizeof devices->what, "%s", why_none);
}

enum status encoder_cuda_find_devices(int32_t timeout_seconds, struct cuda_devices *devices,
                                      struct error *error) {
    (void)timeout_seconds;
    (void)error;
    cuda_devices_find(devices);
    return STATUS_OK;
}

bool encoder_cuda_same_kind(const struct cuda_device *a, const struct cuda_device *b) {
    (void)a;
    (void)b;
    return true;
}

enum dtype encoder_cuda_dtype(const struct cuda_device *device) {
    (void)device;
    return DTYPE_F32;
}

enum status encoder_create_cuda(const struct model *model,
                                const struct encoder_cuda_settings *settings, struct encoder **out,
                                struct error *error) {
    (void)model;
    (void)settings;
    *out = NULL;
    return error_set(error, STATUS_MODEL, "%s", why_none);
}

enum status encoder_cuda_measure(const struct model *model,
                                 const struct encoder_cuda_settings *settings,
                                 struct encoder_cuda_memory *memory, struct error *error) {
    (void)model;
    (void)settings;
    *memory = (struct encoder_cuda_memory){0};
    return error_set(error, STATUS_MODEL, "%s", why_none);
}

bool encoder_cuda_is_stuck(void) {
    return false;
}

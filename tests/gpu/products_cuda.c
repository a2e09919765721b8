// SPDX-License-Identifier: Apache-2.0
//
// tests/simt/runtime_sync.h on a device: products by cublasLt, as the encoder has them. What is
// chosen is not kept on disk: a test must not change what users run.
#include "cuda/matmul.h"
#include "tests/gpu/device_cuda.h"
#include "tests/simt/device.h"
#include "tests/simt/runtime_sync.h"
#include "tests/support/must.h"

static struct matmul_choices *choices;
static void *workspace;

struct matmul_context *runtime_sync_open(void) {
    const struct cuda_device *device = &device_cuda_all()->devices[0];
    struct matmul_context *context;
    struct error error;
    int code;
    must(matmul_choices_open(device, &choices, &error), &error);
    must(matmul_open(device, choices, &context, &code, &error), &error);
    if (workspace == NULL) workspace = device_alloc(MATMUL_WORKSPACE_NBYTES);
    matmul_set_workspace(context, workspace);
    return context;
}

void runtime_sync_close(struct matmul_context *context) {
    matmul_close(context);
    matmul_choices_close(choices);
}

bool runtime_sync_fail_product(int n) {
    return n < 0;
}

double runtime_sync_tolerance(void) {
    return 5e-6;
}

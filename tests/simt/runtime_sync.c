// SPDX-License-Identifier: Apache-2.0
//
// cuda/runtime.h and cuda/matmul.h as tests of the forward pass need them: everything happens at
// once, on the test's device, and products are computed on the CPU, sums in double.
#include <string.h>

#include "cuda/matmul.h"
#include "cuda/runtime.h"
#include "tests/simt/device.h"
#include "tests/simt/runtime_sync.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

int gpu_alloc_pinned(size_t nbytes, void **out) {
    *out = must_zeroed(nbytes, 1);
    return 0;
}

int gpu_free_pinned(void *memory) {
    free(memory);
    return 0;
}

int gpu_copy_in(void *device, const void *pinned, size_t nbytes, struct CUstream_st *stream) {
    (void)stream;
    device_write(device, pinned, nbytes);
    return 0;
}

int gpu_stream_is_done(struct CUstream_st *stream, bool *done) {
    (void)stream;
    *done = true;
    return 0;
}

int gpu_event_create(struct CUevent_st **out) {
    *out = NULL;
    return 0;
}

int gpu_event_destroy(struct CUevent_st *event) {
    (void)event;
    return 0;
}

int gpu_event_record(struct CUevent_st *event, struct CUstream_st *stream) {
    (void)event;
    (void)stream;
    return 0;
}

int gpu_event_is_done(struct CUevent_st *event, bool *done) {
    (void)event;
    *done = true;
    return 0;
}

const char *gpu_code_name(int code, char text[128]) {
    snprintf(text, 128, "code %d", code);
    return text;
}

// ---- products

struct matmul {
    struct matmul_shape shape;
    size_t n_rows;
};

static int runs_until_failure = -1;

struct matmul_context *runtime_sync_open(void) {
    return NULL;
}

void runtime_sync_close(struct matmul_context *context) {
    (void)context;
}

bool runtime_sync_fail_product(int n) {
    runs_until_failure = n;
    return true;
}

double runtime_sync_tolerance(void) {
    return 0;
}

enum status matmul_create(struct matmul_context *context, const struct matmul_shape *shape,
                          int32_t n_rows, struct matmul **out, int *code, struct error *error) {
    (void)context;
    (void)error;
    *code = 0;
    *out = must_zeroed(1, sizeof **out);
    **out = (struct matmul){*shape, (size_t)n_rows};
    return STATUS_OK;
}

void matmul_destroy(struct matmul *matmul) {
    free(matmul);
}

static float *fetch(const void *device, size_t n, enum dtype dtype) {
    void *bits = must_zeroed(n, dtype_size(dtype));
    float *values = must_zeroed(n, sizeof *values);
    device_read(bits, device, n * dtype_size(dtype));
    tensor_read((struct tensor){bits, n, dtype}, 0, n, values);
    free(bits);
    return values;
}

static void store(void *device, const float *values, size_t n, enum dtype dtype) {
    void *bits = must_zeroed(n, dtype_size(dtype));
    if (dtype == DTYPE_F32) memcpy(bits, values, n * sizeof *values);
    if (dtype == DTYPE_F16) float_to_f16(values, n, bits);
    if (dtype == DTYPE_BF16) float_to_bf16(values, n, bits);
    device_write(device, bits, n * dtype_size(dtype));
    free(bits);
}

static double gelu_tanh(double x) {
    return x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

int matmul_run(struct matmul *matmul, const void *x, const void *weight, const void *bias, void *y,
               struct CUstream_st *stream) {
    (void)stream;
    const struct matmul_shape *shape = &matmul->shape;
    const size_t n_rows = matmul->n_rows, n_out = (size_t)shape->n_out, n_in = (size_t)shape->n_in;
    if (runs_until_failure >= 0 && runs_until_failure-- == 0) return RUNTIME_SYNC_FAILURE;
    CHECK((bias == NULL) == (shape->epilogue == MATMUL_PLAIN));
    float *in = fetch(x, n_rows * n_in, shape->dtype);
    float *w = fetch(weight, n_out * n_in, shape->dtype);
    float *b = bias != NULL ? fetch(bias, n_out, shape->out_dtype) : NULL;
    float *out = must_zeroed(n_rows * n_out, sizeof *out);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t o = 0; o < n_out; o++) {
            double sum = b != NULL ? (double)b[o] : 0;
            for (size_t i = 0; i < n_in; i++) {
                sum += (double)in[r * n_in + i] * (double)w[o * n_in + i];
            }
            if (shape->epilogue == MATMUL_BIAS_GELU) sum = gelu_tanh(sum);
            out[r * n_out + o] = (float)sum;
        }
    }
    store(y, out, n_rows * n_out, shape->out_dtype);
    free(out);
    free(b);
    free(w);
    free(in);
    return 0;
}

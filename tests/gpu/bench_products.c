// SPDX-License-Identifier: Apache-2.0
//
// How fast the products of cuda/forward.c are at bert-base's size, by the algorithms that the
// encoder takes, beside a large square product by the same library in the same format:
//   bench_gpu_products [--hidden 768] [--feed 3072] [--quantum 5632] [--most 16]
//                      [--squares 1]
// for quantum, 2, 4, ... up to `most` times as many rows; with --squares the squares alone.
#include <math.h>
#include <stdio.h>

#include "cuda/matmul.h"
#include "tests/gpu/bench.h"
#include "tests/simt/device.h"
#include "tests/simt/runtime_sync.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

enum { SQUARE = 8192, N_SETS = 4 };

static int32_t hidden_size = 768, feed_size = 3072, quantum = 5632, most = 16, squares = 0;

// Calls take the activations in turn, the weights are the same, as in the encoder.
struct product {
    struct matmul *matmul;
    const void *x[N_SETS], *weight, *bias;
    void *y[N_SETS];
};

static int enqueue(void *context, int turn, struct CUstream_st *stream) {
    const struct product *product = context;
    const int s = turn % N_SETS;
    return matmul_run(product->matmul, product->x[s], product->weight, product->bias, product->y[s],
                      stream);
}

// Operations in a second of the median call.
static double measure(struct matmul_context *context, const char *name,
                      const struct matmul_shape *shape, int32_t n_rows, double ceiling) {
    const size_t out = (size_t)shape->n_out, in = (size_t)shape->n_in, rows = (size_t)n_rows;
    struct product product = {.weight = bench_random(shape->dtype, out * in, 0.05F)};
    struct error error;
    int code;
    if (shape->epilogue != MATMUL_PLAIN) product.bias = bench_random(shape->out_dtype, out, 1);
    for (int s = 0; s < N_SETS; s++) {
        product.x[s] = bench_random(shape->dtype, rows * in, 1);
        product.y[s] = device_alloc(rows * out * dtype_size(shape->out_dtype));
    }
    must(matmul_create(context, shape, n_rows, &product.matmul, &code, &error), &error);
    const struct bench_time time = bench_time(enqueue, &product);
    const double operations = 2.0 * (double)n_rows * shape->n_out * shape->n_in;
    const double rate = operations / time.median;
    printf(
        "{\"what\": \"product\", \"name\": \"%s\", \"dtype\": \"%s\", \"rows\": %d, \"n_in\": %d, "
        "\"n_out\": %d, \"epilogue\": %d, \"us_min\": %.2f, \"us\": %.2f, \"tflops\": %.2f, "
        "\"share_of_square\": %.3f, \"calls\": %d}\n",
        name, bench_dtype_name(shape->dtype), (int)n_rows, (int)shape->n_in, (int)shape->n_out,
        (int)shape->epilogue, 1e6 * time.min, 1e6 * time.median, 1e-12 * rate,
        ceiling > 0 ? rate / ceiling : 1, time.n_calls);
    fflush(stdout);
    matmul_destroy(product.matmul);
    for (int s = 0; s < N_SETS; s++) {
        device_free((void *)product.x[s]);
        device_free(product.y[s]);
    }
    device_free((void *)product.weight);
    device_free((void *)product.bias);
    return rate;
}

// Those that the encoder has in e4m3.
static void measure_e4m3(struct matmul_context *context) {
    const int32_t h = hidden_size, f = feed_size;
    const struct matmul_shape square = {SQUARE, SQUARE, DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN};
    const struct matmul_shape intermediate = {f, h, DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN};
    const struct matmul_shape output = {h, f, DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN};
    const double ceiling = measure(context, "square", &square, SQUARE, 0);
    for (int32_t k = 1; squares == 0 && k <= most; k *= 2) {
        measure(context, "intermediate", &intermediate, k * quantum, ceiling);
        measure(context, "output", &output, k * quantum, ceiling);
    }
}

static void measure_all(struct matmul_context *context, enum dtype dtype) {
    const int32_t h = hidden_size, f = feed_size;
    const enum matmul_epilogue feed = dtype == DTYPE_BF16 ? MATMUL_BIAS_GELU : MATMUL_PLAIN;
    const struct matmul_shape square = {SQUARE, SQUARE, dtype, dtype, MATMUL_PLAIN};
    const struct {
        const char *name;
        struct matmul_shape shape;
    } products[] = {{"qkv", {3 * h, h, dtype, dtype, MATMUL_BIAS}},
                    {"attention_output", {h, h, dtype, dtype, MATMUL_PLAIN}},
                    {"intermediate", {f, h, dtype, dtype, feed}},
                    {"output", {h, f, dtype, dtype, MATMUL_PLAIN}},
                    {"key_value", {2 * h, h, dtype, dtype, MATMUL_PLAIN}},
                    {"pooler", {h, h, dtype, DTYPE_F32, MATMUL_PLAIN}}};
    const double ceiling = measure(context, "square", &square, SQUARE, 0);
    for (size_t i = 0; squares == 0 && i < ARRAY_LEN(products); i++) {
        for (int32_t k = 1; k <= most; k *= 2) {
            measure(context, products[i].name, &products[i].shape, k * quantum, ceiling);
        }
    }
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {{"--hidden", &hidden_size},
                                           {"--feed", &feed_size},
                                           {"--quantum", &quantum},
                                           {"--most", &most},
                                           {"--squares", &squares}};
    const struct cuda_device *device = bench_open(argc, argv, options, ARRAY_LEN(options));
    struct matmul_context *context = runtime_sync_open();
    for (int32_t d = 0; d < bench_n_dtypes(device); d++) measure_all(context, (enum dtype)d);
    if (device_writes_e4m3()) measure_e4m3(context);
    runtime_sync_close(context);
    return 0;
}

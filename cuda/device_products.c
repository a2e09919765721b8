// SPDX-License-Identifier: Apache-2.0
//
// Large products on a device, for who asks what the library alone reaches there (worker->products).
// Their operands are memory of their own, of numbers like a model's: a device multiplies zeros
// faster, for they take less power.
#include <string.h>

#include "cuda/device_worker.h"
#include "weights/dtype.h"

// In a function that returns a code: passes on the first that is not 0.
#define TRY(call)                     \
    do {                              \
        const int code_ = (call);     \
        if (code_ != 0) return code_; \
    } while (0)

// As many rows as a batch has, and as wide: square, and widening as the feed-forward product does.
enum { ROWS_MAX = 16384, WIDTH_MIN = 128, WIDTH_MAX = 4096, N_SHAPES = 2, N_PRODUCTS_MAX = 1000 };
enum { PATTERN_NBYTES = 1 << 20 };

static struct encoder_products shape_of(const struct device_worker *worker, int i) {
    static const int32_t widening[N_SHAPES] = {1, 4};
    const int32_t n_rows = worker->n_rows < ROWS_MAX ? worker->n_rows : ROWS_MAX;
    int32_t width = WIDTH_MIN;
    while (width < WIDTH_MAX && 2 * width <= n_rows) width *= 2;
    return (struct encoder_products){.n_rows = n_rows, .n_in = width, .n_out = width * widening[i]};
}

// ---- operands

// Numbers from -1 to 1.
static void make_pattern(enum dtype dtype, void *out) {
    const size_t n = PATTERN_NBYTES / dtype_size(dtype);
    for (size_t i = 0; i < n; i++) {
        const float value = (float)(i * 2654435761U % 65536) / 32768.0f - 1.0f;
        if (dtype == DTYPE_F32) ((float *)out)[i] = value;
        if (dtype == DTYPE_F16) float_to_f16(&value, 1, (uint16_t *)out + i);
        if (dtype == DTYPE_BF16) float_to_bf16(&value, 1, (uint16_t *)out + i);
    }
}

static int make_operand(struct device_worker *worker, size_t n, void **out) {
    const size_t nbytes = n * dtype_size(worker->dtype);
    TRY(gpu_alloc(nbytes, out));
    for (size_t at = 0; at < nbytes; at += PATTERN_NBYTES) {
        const size_t left = nbytes - at;
        TRY(gpu_copy_in((char *)*out + at, worker->products.pinned,
                        left < PATTERN_NBYTES ? left : PATTERN_NBYTES, worker->compute));
    }
    return 0;
}

static int make_operands(struct device_worker *worker, const struct encoder_products *shape) {
    struct device_products *products = &worker->products;
    const size_t n_rows = (size_t)shape->n_rows, n_in = (size_t)shape->n_in;
    const size_t n_out = (size_t)shape->n_out;
    TRY(make_operand(worker, n_rows * n_in, &products->x));
    TRY(make_operand(worker, n_out * n_in, &products->weight));
    return gpu_alloc(n_rows * n_out * dtype_size(worker->dtype), &products->y);
}

static void free_operands(struct device_products *products) {
    matmul_destroy(products->matmul);
    (void)gpu_free(products->x);
    (void)gpu_free(products->weight);
    (void)gpu_free(products->y);
    products->matmul = NULL;
    products->x = products->weight = products->y = NULL;
}

void device_products_close(struct device_worker *worker) {
    struct device_products *products = &worker->products;
    free_operands(products);
    (void)gpu_free_pinned(products->pinned);
    (void)gpu_event_destroy(products->begin);
    (void)gpu_event_destroy(products->end);
    products->pinned = NULL;
    products->begin = products->end = NULL;
}

// ---- their rate

static int run(struct device_worker *worker, int n, double *seconds) {
    const struct device_products *products = &worker->products;
    const struct poll poll = worker_poll(worker);
    TRY(gpu_event_record(products->begin, worker->compute));
    for (int i = 0; i < n; i++) {
        TRY(matmul_run(products->matmul, products->x, products->weight, NULL, products->y,
                       worker->compute));
    }
    TRY(gpu_event_record(products->end, worker->compute));
    TRY(poll_event(&poll, products->end));
    TRY(gpu_event_seconds(products->begin, products->end, seconds));
    if (*seconds < 1e-9) *seconds = 1e-9;
    return 0;
}

// The first run loads the library's code, the second tells how many there is time for.
static int measure(struct device_worker *worker, struct encoder_products *shape) {
    double seconds;
    TRY(run(worker, 1, &seconds));
    TRY(run(worker, 1, &seconds));
    const double wanted = worker->products.seconds / seconds;
    const int n = wanted < 1 ? 1 : wanted < N_PRODUCTS_MAX ? (int)wanted : N_PRODUCTS_MAX;
    TRY(run(worker, n, &seconds));
    shape->flops_per_s = 2.0 * shape->n_rows * shape->n_in * shape->n_out * n / seconds;
    return 0;
}

// A shape that the library does not take, or that there is no memory for, has no rate.
static int measure_shape(struct device_worker *worker, struct encoder_products *shape) {
    struct device_products *products = &worker->products;
    const struct matmul_shape wanted = {.n_out = shape->n_out,
                                        .n_in = shape->n_in,
                                        .dtype = worker->dtype,
                                        .out_dtype = worker->dtype,
                                        .epilogue = MATMUL_PLAIN};
    struct error reason;
    int code;
    const enum status status =
        matmul_create(worker->matmuls, &wanted, shape->n_rows, &products->matmul, &code, &reason);
    if (status != STATUS_OK) return code;
    worker_progress(worker);
    code = make_operands(worker, shape);
    if (code == 0) code = measure(worker, shape);
    if (code != 0 && !gpu_code_is_memory(code)) return code;  // what may be in use stays
    const struct poll poll = worker_poll(worker);
    TRY(poll_stream(&poll, worker->compute));
    free_operands(products);
    return 0;
}

int device_products_measure(struct device_worker *worker) {
    struct device_products *products = &worker->products;
    const struct poll poll = worker_poll(worker);
    products->best = (struct encoder_products){0};
    TRY(poll_stream(&poll, worker->compute));
    device_products_close(worker);  // what one that failed left
    TRY(gpu_event_create(&products->begin));
    TRY(gpu_event_create(&products->end));
    TRY(gpu_alloc_pinned(PATTERN_NBYTES, &products->pinned));
    make_pattern(worker->dtype, products->pinned);
    for (int i = 0; i < N_SHAPES; i++) {
        struct encoder_products shape = shape_of(worker, i);
        TRY(measure_shape(worker, &shape));
        if (shape.flops_per_s > products->best.flops_per_s) products->best = shape;
    }
    device_products_close(worker);
    return 0;
}

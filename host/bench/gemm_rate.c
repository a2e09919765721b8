// SPDX-License-Identifier: Apache-2.0
#include "host/bench/gemm_rate.h"

#include <stdlib.h>
#include <string.h>

#include "host/encoder/gemm.h"

enum { LINE_NBYTES = 64 };

// One thread's.
struct lane {
    struct gemm_stream *stream;
    void *x, *y;
    char *scratch, *scratch_line;
    enum status status;
    struct error error;
};

struct gemm_rate {
    struct crew *crew;
    struct gemm_shape shape;
    struct gemm_engine *engine;
    struct gemm *gemm;
    struct gemm_weights *weights;
    struct lane *lanes;  // [n_lanes]
    int32_t n_lanes, n_products;
};

// Of x and of weights; results have four bytes in every type.
static size_t element_nbytes(enum gemm_type type) {
    return type == GEMM_FP32 ? sizeof(float) : type == GEMM_BF16 ? sizeof(uint16_t) : 1;
}

// Numbers from -1 to 1, or all that a byte holds.
static void fill(enum gemm_type type, void *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float value = (float)(i * 2654435761U % 1024) / 512.0f - 1.0f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (type == GEMM_FP32) {
            ((float *)out)[i] = value;
        } else if (type == GEMM_BF16) {
            ((uint16_t *)out)[i] = (uint16_t)(bits >> 16);
        } else {
            ((uint8_t *)out)[i] = (uint8_t)(i * 2654435761U >> 7);
        }
    }
}

// On the thread that will use it, as gemm.h wants it.
static void open_lane(void *context, int32_t i) {
    struct gemm_rate *rate = context;
    struct lane *lane = &rate->lanes[i];
    const enum gemm_type type = rate->shape.type;
    const size_t rows = (size_t)rate->shape.n_rows, n_in = (size_t)rate->shape.n_in;
    const size_t n_out = (size_t)rate->shape.n_out;
    const size_t scratch_nbytes = gemm_scratch_nbytes(rate->gemm) + LINE_NBYTES;
    void *memory;
    lane->status = gemm_stream_create(rate->engine, &lane->stream, &lane->error);
    if (lane->status != STATUS_OK) return;
    lane->status =
        alloc_array(&memory, rows * n_in, element_nbytes(type), "a product", &lane->error);
    lane->x = memory;
    if (lane->status != STATUS_OK) return;
    lane->status = alloc_array(&memory, rows * n_out, sizeof(float), "a product", &lane->error);
    lane->y = memory;
    if (lane->status != STATUS_OK) return;
    lane->status = alloc_array(&memory, scratch_nbytes, 1, "a product", &lane->error);
    lane->scratch = memory;
    if (lane->status != STATUS_OK) return;
    lane->scratch_line = lane->scratch + (LINE_NBYTES - (uintptr_t)lane->scratch % LINE_NBYTES);
    fill(type, lane->x, rows * n_in);
    memset(lane->y, 0, rows * n_out * sizeof(float));
}

static enum status first_failure(const struct gemm_rate *rate, struct error *error) {
    for (int32_t i = 0; i < rate->n_lanes; i++) {
        if (rate->lanes[i].status == STATUS_OK) continue;
        if (error != NULL) *error = rate->lanes[i].error;
        return rate->lanes[i].status;
    }
    return STATUS_OK;
}

static enum status pack(struct gemm_rate *rate, struct error *error) {
    const size_t n_in = (size_t)rate->shape.n_in, n_out = (size_t)rate->shape.n_out;
    const enum gemm_type type = rate->shape.type;
    void *weight, *bias;
    enum status status =
        alloc_array(&weight, n_in * n_out, element_nbytes(type), "a product", error);
    if (status != STATUS_OK) return status;
    status = alloc_zeroed(&bias, n_out, sizeof(float), "a product", error);
    if (status == STATUS_OK) {
        fill(type, weight, n_in * n_out);
        status =
            gemm_pack(rate->gemm, weight, type == GEMM_INT8 ? NULL : bias, &rate->weights, error);
    }
    free(bias);
    free(weight);
    return status;
}

static enum status prepare(struct gemm_rate *rate, int32_t n_threads, struct error *error) {
    void *memory;
    enum status status = gemm_engine_create(&rate->engine, error);
    if (status == STATUS_OK) {
        status = gemm_create(rate->engine, &rate->shape, &rate->gemm, error);
    }
    if (status == STATUS_OK) status = pack(rate, error);
    if (status != STATUS_OK) return status;
    status = alloc_zeroed(&memory, (size_t)n_threads, sizeof *rate->lanes, "products", error);
    if (status != STATUS_OK) return status;
    rate->lanes = memory;
    rate->n_lanes = n_threads;
    crew_run(rate->crew, n_threads, open_lane, rate);
    return first_failure(rate, error);
}

enum status gemm_rate_create(struct crew *crew, int32_t n_threads, const char *precision,
                             struct product_size shape, struct gemm_rate **out,
                             struct error *error) {
    void *memory;
    *out = NULL;
    const bool is_fp32 = strcmp(precision, "fp32") == 0, is_bf16 = strcmp(precision, "bf16") == 0;
    if (!is_fp32 && !is_bf16 && strcmp(precision, "int8") != 0) {
        return error_set(error, STATUS_MODEL, "no products in %s can be measured here", precision);
    }
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "products", error);
    if (status != STATUS_OK) return status;
    struct gemm_rate *rate = memory;
    rate->crew = crew;
    rate->shape = (struct gemm_shape){.type = is_fp32   ? GEMM_FP32
                                              : is_bf16 ? GEMM_BF16
                                                        : GEMM_INT8,
                                      .n_rows = shape.n_rows,
                                      .n_in = shape.n_in,
                                      .n_out = shape.n_out};
    status = prepare(rate, n_threads, error);
    if (status != STATUS_OK) {
        gemm_rate_destroy(rate);
        return status;
    }
    *out = rate;
    return STATUS_OK;
}

void gemm_rate_destroy(struct gemm_rate *rate) {
    if (rate == NULL) return;
    for (int32_t i = 0; i < rate->n_lanes; i++) {
        gemm_stream_destroy(rate->lanes[i].stream);
        free(rate->lanes[i].x);
        free(rate->lanes[i].y);
        free(rate->lanes[i].scratch);
    }
    free(rate->lanes);
    gemm_weights_destroy(rate->weights);
    gemm_destroy(rate->gemm);
    gemm_engine_destroy(rate->engine);
    free(rate);
}

static void multiply(void *context, int32_t i) {
    struct gemm_rate *rate = context;
    struct lane *lane = &rate->lanes[i];
    for (int32_t n = 0; n < rate->n_products && lane->status == STATUS_OK; n++) {
        lane->status = gemm_run(rate->gemm, rate->weights, lane->stream, lane->x, lane->y,
                                lane->scratch_line, &lane->error);
    }
}

double gemm_rate_measure(struct gemm_rate *rate, int32_t n_threads, double seconds,
                         enum status *status, struct error *error) {
    const double flops = 2.0 * rate->shape.n_rows * rate->shape.n_in * rate->shape.n_out;
    rate->n_products = 1;
    double took = crew_run(rate->crew, n_threads, multiply, rate);
    if (took < seconds) {
        rate->n_products = 1 + (int32_t)(seconds / (took > 1e-6 ? took : 1e-6));
        took = crew_run(rate->crew, n_threads, multiply, rate);
    }
    *status = first_failure(rate, error);
    return flops * rate->n_products * n_threads / took;
}

// SPDX-License-Identifier: Apache-2.0
//
// host/encoder/gemm.h in plain loops, for test programs: linked in front of wader_encoder it takes
// the place of oneDNN's products, so that every tier can be tested on every processor. Never part
// of the program, which refuses what the processor lacks.
//
// GEMM_INT8's sums are integers, so they are those of any other exact implementation. Of the others
// an element is the bias, then x[i] w[i] added to it in fp32, i rising: the products of GEMM_BF16
// have 16 significant bits and are exact.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/encoder/gemm.h"
#include "weights/dtype.h"

enum { BLOCK = 64 };  // outputs that go together, padded with zeros

struct gemm_engine {
    char nothing;
};

struct gemm_stream {
    char nothing;
};

struct gemm {
    struct gemm_shape shape;
};

struct gemm_weights {
    float *blocks;  // [n_blocks, n_in, BLOCK]
    float *bias;    // [n_blocks, BLOCK]
    int8_t *bytes;  // GEMM_INT8: [n_out, n_in], and neither of the others
};

enum status gemm_type_check(enum gemm_type type, struct error *error) {
    (void)type;
    (void)error;
    return STATUS_OK;
}

enum status gemm_engine_create(struct gemm_engine **out, struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "plain products", error);
    *out = status == STATUS_OK ? memory : NULL;
    return status;
}

void gemm_engine_destroy(struct gemm_engine *engine) {
    free(engine);
}

enum status gemm_stream_create(struct gemm_engine *engine, struct gemm_stream **out,
                               struct error *error) {
    void *memory;
    (void)engine;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "plain products", error);
    *out = status == STATUS_OK ? memory : NULL;
    return status;
}

void gemm_stream_destroy(struct gemm_stream *stream) {
    free(stream);
}

enum status gemm_create(struct gemm_engine *engine, const struct gemm_shape *shape,
                        struct gemm **out, struct error *error) {
    void *memory;
    (void)engine;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "plain products", error);
    if (status != STATUS_OK) return status;
    *out = memory;
    (*out)->shape = *shape;
    return STATUS_OK;
}

void gemm_destroy(struct gemm *gemm) {
    free(gemm);
}

// A row as floats, or a row of weights and all of X as int16_t.
size_t gemm_scratch_nbytes(const struct gemm *gemm) {
    const size_t n_in = (size_t)gemm->shape.n_in;
    if (gemm->shape.type != GEMM_INT8) return n_in * sizeof(float);
    return ((size_t)gemm->shape.n_rows + 1) * n_in * sizeof(int16_t);
}

// ---- weights

static size_t blocks_of(const struct gemm *gemm) {
    return ((size_t)gemm->shape.n_out + BLOCK - 1) / BLOCK;
}

static void to_floats(enum gemm_type type, const void *from, size_t at, size_t n, float *out) {
    if (type == GEMM_FP32) memcpy(out, (const float *)from + at, n * sizeof *out);
    if (type == GEMM_BF16) bf16_to_float((const uint16_t *)from + at, n, out);
}

static enum status pack_floats(const struct gemm *gemm, const void *weight, const float *bias,
                               struct gemm_weights *out, struct error *error) {
    const size_t n_in = (size_t)gemm->shape.n_in, n_out = (size_t)gemm->shape.n_out;
    void *memory, *row;
    enum status status =
        alloc_zeroed(&memory, blocks_of(gemm) * BLOCK, n_in * sizeof(float), "weights", error);
    if (status != STATUS_OK) return status;
    out->blocks = memory;
    status = alloc_zeroed(&memory, blocks_of(gemm) * BLOCK, sizeof(float), "biases", error);
    if (status != STATUS_OK) return status;
    out->bias = memory;
    status = alloc_array(&row, n_in, sizeof(float), "weights", error);
    if (status != STATUS_OK) return status;
    for (size_t o = 0; o < n_out; o++) {
        float *block = out->blocks + o / BLOCK * BLOCK * n_in + o % BLOCK;
        to_floats(gemm->shape.type, weight, o * n_in, n_in, row);
        for (size_t i = 0; i < n_in; i++) block[i * BLOCK] = ((const float *)row)[i];
        out->bias[o] = bias[o];
    }
    free(row);
    return STATUS_OK;
}

static enum status pack_bytes(const struct gemm *gemm, const int8_t *weight,
                              struct gemm_weights *out, struct error *error) {
    const size_t n = (size_t)gemm->shape.n_in * (size_t)gemm->shape.n_out;
    void *memory;
    enum status status = alloc_array(&memory, n, 1, "weights", error);
    if (status != STATUS_OK) return status;
    out->bytes = memory;
    memcpy(out->bytes, weight, n);
    return STATUS_OK;
}

enum status gemm_pack(const struct gemm *gemm, const void *weight, const float *bias,
                      struct gemm_weights **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "plain products", error);
    if (status != STATUS_OK) return status;
    struct gemm_weights *packed = memory;
    status = gemm->shape.type == GEMM_INT8 ? pack_bytes(gemm, weight, packed, error)
                                           : pack_floats(gemm, weight, bias, packed, error);
    if (status != STATUS_OK) {
        gemm_weights_destroy(packed);
        return status;
    }
    *out = packed;
    return STATUS_OK;
}

void gemm_weights_destroy(struct gemm_weights *weights) {
    if (weights == NULL) return;
    free(weights->blocks);
    free(weights->bias);
    free(weights->bytes);
    free(weights);
}

// ---- products

static void multiply_floats(const struct gemm *gemm, const struct gemm_weights *weights,
                            const void *x, float *y, float *row) {
    const size_t n_in = (size_t)gemm->shape.n_in, n_out = (size_t)gemm->shape.n_out;
    for (size_t r = 0; r < (size_t)gemm->shape.n_rows; r++) {
        to_floats(gemm->shape.type, x, r * n_in, n_in, row);
        for (size_t first = 0; first < n_out; first += BLOCK) {
            const float *block = weights->blocks + first * n_in;
            const size_t n = n_out - first < BLOCK ? n_out - first : BLOCK;
            float sums[BLOCK];
            memcpy(sums, weights->bias + first, sizeof sums);
            for (size_t i = 0; i < n_in; i++) {
                for (size_t o = 0; o < BLOCK; o++) sums[o] += row[i] * block[i * BLOCK + o];
            }
            for (size_t o = 0; gemm->shape.tanh && o < n; o++) sums[o] = tanhf(sums[o]);
            memcpy(y + r * n_out + first, sums, n * sizeof *sums);
        }
    }
}

static void multiply_bytes(const struct gemm *gemm, const struct gemm_weights *weights,
                           const uint8_t *x, int32_t *y, int16_t *weight) {
    const size_t n_in = (size_t)gemm->shape.n_in, n_out = (size_t)gemm->shape.n_out;
    const size_t n_rows = (size_t)gemm->shape.n_rows;
    int16_t *rows = weight + n_in;
    for (size_t i = 0; i < n_rows * n_in; i++) rows[i] = x[i];
    for (size_t o = 0; o < n_out; o++) {
        for (size_t i = 0; i < n_in; i++) weight[i] = weights->bytes[o * n_in + i];
        for (size_t r = 0; r < n_rows; r++) {
            const int16_t *row = rows + r * n_in;
            int32_t sum = 0;
            for (size_t i = 0; i < n_in; i++) sum += row[i] * weight[i];
            y[r * n_out + o] = sum;
        }
    }
}

enum status gemm_run(const struct gemm *gemm, const struct gemm_weights *weights,
                     struct gemm_stream *stream, const void *x, void *y, void *scratch,
                     struct error *error) {
    (void)stream;
    (void)error;
    if (gemm->shape.type == GEMM_INT8) {
        multiply_bytes(gemm, weights, x, y, scratch);
    } else {
        multiply_floats(gemm, weights, x, y, scratch);
    }
    return STATUS_OK;
}

const char *gemm_library(char text[GEMM_LIBRARY_NBYTES]) {
    snprintf(text, GEMM_LIBRARY_NBYTES, "plain loops in place of oneDNN");
    return text;
}

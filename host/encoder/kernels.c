// SPDX-License-Identifier: Apache-2.0
//
// Compiled once per instruction set with WADER_KERNELS naming the table to define. Vectors are the
// compilers' own vector type of 16 floats: one register with AVX-512, two with AVX2, four with SSE2
// or NEON, the same lanes everywhere.
#include "host/encoder/kernels.h"

#include <math.h>
#include <string.h>

enum { LANES = KERNELS_LANES };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int32_t int_lanes __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4)));

#define TEXT_OF(x) #x
#define NAME_OF(x) TEXT_OF(x)

// Vectors never cross a call: these are macros so that no ABI question arises.
#define LOAD(pointer)         (*(const lanes *)(const void *)(pointer))
#define STORE(pointer, value) (*(lanes *)(void *)(pointer) = (value))

static inline float fold(const float part[LANES]) {
    float half[8], quarter[4];
    for (int i = 0; i < 8; i++) half[i] = part[i] + part[i + 8];
    for (int i = 0; i < 4; i++) quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

static void add_layer_norm(const float *a, const float *b, const float *weight, const float *bias,
                           float eps, int32_t hidden_size, float *out) {
    const int32_t whole = hidden_size / LANES * LANES;
    const float n = (float)hidden_size;
    float part[LANES];

    lanes sum = {0};
    for (int32_t i = 0; i < whole; i += LANES) {
        lanes x = LOAD(a + i) + LOAD(b + i);
        STORE(out + i, x);
        sum += x;
    }
    STORE(part, sum);
    for (int32_t i = whole; i < hidden_size; i++) {
        out[i] = a[i] + b[i];
        part[i - whole] += out[i];
    }
    const float mean = fold(part) / n;

    lanes squares = {0};
    for (int32_t i = 0; i < whole; i += LANES) {
        lanes x = LOAD(out + i) - mean;
        squares += x * x;
    }
    STORE(part, squares);
    for (int32_t i = whole; i < hidden_size; i++) {
        part[i - whole] += (out[i] - mean) * (out[i] - mean);
    }
    const float scale = 1.0f / sqrtf(fold(part) / n + eps);

    for (int32_t i = 0; i < whole; i += LANES) {
        STORE(out + i, (LOAD(out + i) - mean) * scale * LOAD(weight + i) + LOAD(bias + i));
    }
    for (int32_t i = whole; i < hidden_size; i++) {
        out[i] = (out[i] - mean) * scale * weight[i] + bias[i];
    }
}

// In place: row[i] = exp(row[i]) for `n` values, a multiple of LANES, each at most 0 or -infinity.
// exp(x) = 2^k exp(r) with x = k ln 2 + r, |r| <= ln 2 / 2, exp(r) by its Taylor polynomial to r^7
// (its remainder, below 6e-9, is a tenth of an fp32 rounding). Below -87 the result is 0.
static void exp_row(float *row, int32_t n) {
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    for (int32_t i = 0; i < n; i += LANES) {
        lanes x = LOAD(row + i);
        const int_lanes tiny = x < -87.0f;
        int_lanes bits;
        memcpy(&bits, &x, sizeof bits);
        bits &= ~tiny;
        memcpy(&x, &bits, sizeof x);  // 0 where the result will be 0: no overflow below
        const lanes shifted = x * 1.44269504f + magic;
        const lanes k = shifted - magic;
        const lanes r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
        lanes p = r * (1.0f / 5040.0f) + (1.0f / 720.0f);
        p = p * r + (1.0f / 120.0f);
        p = p * r + (1.0f / 24.0f);
        p = p * r + (1.0f / 6.0f);
        p = p * r + 0.5f;
        p = p * r + 1.0f;
        p = p * r + 1.0f;
        int_lanes exponent, result;
        memcpy(&exponent, &shifted, sizeof exponent);  // its low bits hold k
        memcpy(&result, &p, sizeof result);
        result = (result + (exponent << 23)) & ~tiny;
        memcpy(row + i, &result, sizeof result);
    }
}

static inline int32_t padded(int32_t n) {
    return (n + LANES - 1) / LANES * LANES;
}

// keys_t[c][j] = key[j][c], so that scores of 16 keys are one vector; columns past n_keys are 0.
static void transpose_keys(const struct attention_head *head, float *keys_t) {
    const int32_t width = padded(head->n_keys);
    memset(keys_t, 0, sizeof(float) * (size_t)width * (size_t)head->head_size);
    for (int32_t j = 0; j < head->n_keys; j++) {
        const float *key = head->key + (size_t)j * head->key_stride;
        float *column = keys_t + j;
        for (int32_t c = 0; c < head->head_size; c++, column += width) *column = key[c];
    }
}

// scores[j] = exp(scale q.k_j - max), 0 for the padding; returns their sum.
static float attention_weights(const struct attention_head *head, const float *query,
                               const float *keys_t, float *scores) {
    const int32_t width = padded(head->n_keys);
    for (int32_t j = 0; j < width; j += LANES) {
        lanes sum = {0};
        for (int32_t c = 0; c < head->head_size; c++) {
            sum += query[c] * LOAD(keys_t + (size_t)c * (size_t)width + j);
        }
        STORE(scores + j, sum * head->scale);
    }
    float max = scores[0];
    for (int32_t j = 1; j < head->n_keys; j++) max = scores[j] > max ? scores[j] : max;
    for (int32_t j = 0; j < head->n_keys; j++) scores[j] -= max;
    for (int32_t j = head->n_keys; j < width; j++) scores[j] = -INFINITY;
    exp_row(scores, width);
    lanes sum = {0};
    for (int32_t j = 0; j < width; j += LANES) sum += LOAD(scores + j);
    float part[LANES];
    STORE(part, sum);
    return fold(part);
}

static void attention(const struct attention_head *head) {
    const int32_t width = padded(head->n_keys), whole = head->head_size / LANES * LANES;
    float *keys_t = head->scratch;
    float *scores = head->scratch + (size_t)width * (size_t)head->head_size;
    transpose_keys(head, keys_t);
    for (int32_t i = 0; i < head->n_queries; i++) {
        const float *query = head->query + (size_t)i * head->query_stride;
        float *out = head->out + (size_t)i * head->out_stride;
        const float scale = 1.0f / attention_weights(head, query, keys_t, scores);
        for (int32_t c = 0; c < whole; c += LANES) {
            lanes sum = {0};
            for (int32_t j = 0; j < head->n_keys; j++) {
                sum += scores[j] * LOAD(head->value + (size_t)j * head->value_stride + c);
            }
            STORE(out + c, sum * scale);
        }
        for (int32_t c = whole; c < head->head_size; c++) {
            float sum = 0.0f;
            for (int32_t j = 0; j < head->n_keys; j++) {
                sum += scores[j] * head->value[(size_t)j * head->value_stride + (size_t)c];
            }
            out[c] = sum * scale;
        }
    }
}

extern const struct kernels WADER_KERNELS;
const struct kernels WADER_KERNELS = {
    .name = NAME_OF(WADER_KERNELS),
    .add_layer_norm = add_layer_norm,
    .attention = attention,
};

// SPDX-License-Identifier: Apache-2.0
//
// What cuda/kernels.h promises, computed in double: for each element what it should be and by how
// much an fp32 computation of the formula may miss it, before the result is rounded to its format.
// Plain host memory; any number of threads.
//
// The bounds hold whatever order a kernel adds in, on a device as on the emulator:
//   - each fp32 operation errs by half a step of its result, UNIT relative to it;
//   - a term of a row's sum passes through REF_ADDITIONS(n) additions at most, because a warp at
//     least shares a row, each lane taking every 32nd element or groups of 8;
//   - tanh, erf and exp err as the CUDA C++ Programming Guide's tables of errors say, __expf and
//     exp2f for exp included;
//   - the sums of a tensor core cut off where a processor rounds: twice UNIT;
//   - an fp32 number below the normal ones may become 0.
#ifndef WADER_TESTS_SIMT_KERNEL_REF_H
#define WADER_TESTS_SIMT_KERNEL_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda/kernels.h"

#define REF_ADDITIONS(n) ((n) / 32 + 16)

// x rounded to the nearest number of the format, ties to even, infinity beyond the largest.
double ref_round(enum dtype dtype, double x);
double ref_spacing(enum dtype dtype, double x);  // of the format's numbers from |x| on

// A row of kernel_layer_norm; kernel_embed's is that of a word's row and a position's.
struct ref_norm {
    int32_t n;                   // H
    const float *x, *residual;   // [H]
    const float *x_bias;         // [H], or NULL
    const float *weight, *bias;  // [H]
    float eps;
};
void ref_layer_norm(const struct ref_norm *row, double *want, double *allowed);

// One element; `x` and `bias` are finite or NaN.
void ref_gelu(enum gelu_form form, float x, float bias, double *want, double *allowed);

// One head's view of one title. Strides are in elements.
struct ref_attention {
    enum dtype dtype;
    int32_t n_queries, n_keys, head_size;
    float scale;
    // Scores are equal or follow a rule, so the roundings of the probabilities need not cancel.
    bool is_regular;
    const float *query, *key, *value;
    size_t query_stride, key_stride;  // the values' stride is the keys'
};
// Row i of want and allowed begins at i * stride.
void ref_attention(const struct ref_attention *head, size_t stride, double *want, double *allowed);

// The logits of one title, [K], and the softmax of logits as they are.
struct ref_head {
    enum head_activation activation;
    int32_t n_hidden, n_labels;
    const float *x, *x_bias, *weight, *bias;
};
void ref_logits(const struct ref_head *head, double *want, double *allowed);
void ref_softmax(const float *logits, int32_t n, double *want, double *allowed);

#endif

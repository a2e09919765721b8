// SPDX-License-Identifier: Apache-2.0
//
// What a BERT encoder does on a CPU besides matrix products. kernels.c is compiled once for each
// instruction set that CMakeLists.txt lists; the best one that the processor has is taken at run
// time (kernels_choose.c).
//
// All of it works on one row or one title at a time, in an order that depends on the shapes alone:
// the same input gives the same bits in every batch and on every thread. Sums and statistics are
// fp32, each in KERNELS_LANES partial sums folded in a fixed order. Any number of threads may use
// one set at the same time; arrays need no alignment beyond that of float.
#ifndef WADER_HOST_ENCODER_KERNELS_H
#define WADER_HOST_ENCODER_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { KERNELS_LANES = 16, KERNELS_SETS_MAX = 3 };

// One head's view of one title. Row j of `key` begins at key + j * key_stride; the strides are in
// floats.
struct attention_head {
    const float *query, *key, *value;
    float *out;
    size_t query_stride, key_stride, value_stride, out_stride;
    int32_t n_queries;  // rows of query and out: all of the title's, or the first one
    int32_t n_keys;     // tokens of the title
    int32_t head_size;
    float scale;     // 1 / sqrt(head_size)
    float *scratch;  // [attention_scratch_len(n_keys, head_size)]
};

struct kernels {
    const char *name;  // of the instruction set

    // out[H] = (x - mean) / sqrt(variance + eps) * weight + bias, where x = a + b and the variance
    // is the biased one. `out` may be `a` or `b`.
    void (*add_layer_norm)(const float *a, const float *b, const float *weight, const float *bias,
                           float eps, int32_t hidden_size, float *out);

    // out[i] = sum_j softmax_j(scale * query_i . key_j) value_j
    void (*attention)(const struct attention_head *head);
};

// The best set for this processor.
const struct kernels *kernels_choose(void);

// Every set that this processor can run, best first, for tests. Returns how many.
int kernels_list(const struct kernels *sets[KERNELS_SETS_MAX]);

// Floats of scratch that attention needs: the transposed keys and a row of scores, each padded to
// whole vectors.
size_t attention_scratch_len(int32_t n_keys, int32_t head_size);

#endif

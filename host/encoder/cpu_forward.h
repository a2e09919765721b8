// SPDX-License-Identifier: Apache-2.0
//
// The forward pass, private to cpu_forward.c and the steps it is made of, in cpu_steps.c.
#ifndef WADER_HOST_ENCODER_CPU_FORWARD_H
#define WADER_HOST_ENCODER_CPU_FORWARD_H

#include "host/encoder/cpu_model.h"

struct cpu_forward {
    const struct cpu_model *model;
    struct gemm_stream *stream;
    struct cpu_memory memory;
    struct error *error;              // of the run in progress
    struct encoder_profile *profile;  // of it, or NULL
    double lap;                       // when its last piece of work ended
};

// `work` ends here.
static inline void lap(struct cpu_forward *forward, enum encoder_work work) {
    if (forward->profile == NULL) return;
    const double now = now_seconds();
    forward->profile->seconds[work] += now - forward->lap;
    forward->lap = now;
}

// Rows from `first` on, of `width` elements each.
struct operand_rows operands_from(const struct cpu_model *model, struct operand_rows rows,
                                  size_t first, size_t width);

// Element `at` of results: they have 4 bytes an element in every tier.
static inline void *result_at(void *results, size_t at) {
    return (char *)results + at * sizeof(float);
}

// y = x W^T, with the bias where the tier's products add it.
enum status cpu_product(struct cpu_forward *forward, const struct gemm *gemm,
                        const struct gemm_weights *weights, const void *x, void *y);

// hidden[t] = LayerNorm(word + position + type), also as operands, for all tokens of the batch.
void cpu_embed(struct cpu_forward *forward, const struct encoder_slot *slot);

// What attention of one title takes: `query` has n_queries rows, the title's length, or 1 where
// only [CLS] is wanted.
struct title_rows {
    struct result_rows query, key, value;
    int32_t n_keys, n_queries;
};

// Columns of results from `at` on.
struct result_rows columns_from(const struct result_rows *rows, size_t at);

// All heads of one title, to the rows of `context` from `row` on.
void cpu_attend(struct cpu_forward *forward, const struct title_rows *title, size_t row);

// A tile of rows on its way through what follows attention.
struct tile {
    float *hidden;
    struct operand_rows in, context;
    size_t n_rows;  // that a token or title stands behind
};

// hidden = LayerNorm(hidden + context Wo^T + bo), also as operands
enum status cpu_attention_output(struct cpu_forward *forward, const struct layer_weights *layer,
                                 const struct tile *tile);
// memory.feed = GELU(hidden Wi^T + bi)
enum status cpu_feed(struct cpu_forward *forward, const struct layer_weights *layer,
                     const struct tile *tile);
// hidden = LayerNorm(hidden + feed Wf^T + bf), also as operands
enum status cpu_output(struct cpu_forward *forward, const struct layer_weights *layer,
                       const struct tile *tile);

#endif

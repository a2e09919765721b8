// SPDX-License-Identifier: Apache-2.0
//
// What a model has to compute, counted from its shapes and the titles' lengths.
//
// T tokens, N titles, n_i tokens of title i, L layers, H hidden size, F feed-forward size, K
// labels; a product of n rows by an [out, in] matrix is 2 n in out operations.
//   each of L - 1 layers   2 T (4 H H + 2 H F)  +  4 H sum n_i^2        products, attention
//   the last layer         2 T 2 H H  +  2 N (2 H H + 2 H F)  +  4 H sum n_i
//   the head               2 N (H H + H K)
// The last layer needs keys and values of every token, but the rest for [CLS] alone, because the
// head sees nothing else. Not counted are biases, softmax, GELU, LayerNorm and embeddings: a share
// of operations is a share of products and attention.
#ifndef WADER_HOST_BENCH_FLOPS_H
#define WADER_HOST_BENCH_FLOPS_H

#include "host/encoder/encoder.h"

struct flops {
    double by_work[ENCODER_WORKS];  // what the titles need; 0 for works without products
    double total;                   // their sum
    double executed;                // with the rows that are padding
    uint64_t tokens, titles;
    uint64_t token_rows;  // computed: whole tiles of each batch
    uint64_t title_rows;
};

// Adds one batch, as it lies in a slot.
void flops_add(struct flops *flops, const struct bert_config *config, const struct encoder *encoder,
               const int32_t *cu_seqlens, int32_t n_titles);

// The share of computed operations that some title needs: 1 without padding.
double flops_padding_efficiency(const struct flops *flops);

// Bytes that a work has to move for a batch, at least: weights once for each tile of rows, what is
// read and written of activations once. `element_nbytes` of activations, `weight_nbytes` of an
// element of a matrix.
double flops_bytes(const struct bert_config *config, const struct encoder *encoder,
                   const struct flops *flops, enum encoder_work work, double element_nbytes,
                   double weight_nbytes);

#endif

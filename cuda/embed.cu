// SPDX-License-Identifier: Apache-2.0
//
// Embeddings: one warp gathers one token's row of the word table, adds the row of its position and
// normalizes the sum. The word table is too large for any cache and read at random, a row at a
// time; the position table stays in the L2 cache.
#include "cuda/launch.cuh"

template <typename T, int n_groups>
__global__ void __launch_bounds__(ROW_THREADS) embed(struct kernel_embed args) {
    const int row = row_of_warp();
    if (row >= args.n_rows) return;
    T *to = static_cast<T *>(args.out) + (size_t)row * args.hidden_size;
    const int token = args.token_ids[row], position = args.position_ids[row];
    if (position < 0) {
        const float zeros[GROUP] = {};
#pragma unroll
        for (int i = 0; i < n_groups; i++) {
            if (group_start(i) < args.hidden_size) store_group(to + group_start(i), zeros);
        }
        return;
    }
    const T *word = static_cast<const T *>(args.word) + (size_t)token * args.hidden_size;
    const float *place = args.position + (size_t)position * args.hidden_size;
    float sum[n_groups][GROUP], p[n_groups][GROUP];
    load_row(word, args.hidden_size, sum);
    load_row(place, args.hidden_size, p);
    add_row(sum, p);
    normalize_row(sum, args.hidden_size, args.eps, args.weight, args.bias, to);
}

template <typename T, int n_groups>
static int run(const struct kernel_embed *args, struct CUstream_st *stream) {
    return launch(row_shape("embed", args->n_rows, stream), embed<T, n_groups>, *args);
}

int kernel_embed(const struct kernel_embed *args, struct CUstream_st *stream) {
    if (!is_dtype(args->dtype) || args->n_rows < 0 || !is_hidden_size(args->hidden_size) ||
        !is_aligned(args->token_ids) || !is_aligned(args->position_ids) ||
        !is_aligned(args->word) || !is_aligned(args->position) || !is_aligned(args->weight) ||
        !is_aligned(args->bias) || !is_aligned(args->out)) {
        return cudaErrorInvalidValue;
    }
    if (args->n_rows == 0) return cudaSuccess;
    RUN_BY_DTYPE_AND_GROUPS(run, args, stream)
}

struct kernel_cost kernel_embed_cost(const struct kernel_embed *args) {
    const double n = (double)args->n_rows * args->hidden_size;
    // Word, position and result; two ids a row; the LayerNorm's vectors. Tables are counted by the
    // rows that are read, each time.
    return {
        n * (2 * element_nbytes(args->dtype) + 4) + 8.0 * args->n_rows + 8.0 * args->hidden_size,
        n * 8 + 3.0 * args->n_rows};
}

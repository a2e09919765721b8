// SPDX-License-Identifier: Apache-2.0
//
// Everything that BERT computes on a CUDA device besides matrix products. Pure C: each function
// enqueues one kernel on `stream` and returns at once.
//
// Letters
//   R rows of tokens, dummies included    N titles (rows of [CLS])    H hidden size
//   A heads    D head size, H / A         F feed-forward size         K labels
//   V vocabulary    P positions
//
// Contract of all of them
//   Pointers are device memory, matrices row-major without gaps, aligned to 16 bytes. `dtype` is
//   the format of activations and tables; vectors (biases, LayerNorm weights) are float. All
//   arithmetic is fp32 but for the two products inside attention, whose operands are `dtype` and
//   whose sums are fp32; results are rounded once, where they are stored.
//   H is a multiple of 32 from 64 to 1024, D 32 or 64, F a multiple of 8, K at least 1; R and N
//   may be 0. N A and the items of a call times A stay below 2^30, R F below 2^34.
//   A row's result depends on that row (in attention: on its title's rows) alone: the same bits
//   wherever it stands and whatever stands beside it.
//   Returns 0, or a cudaError_t: cudaErrorInvalidValue where the arguments are not as said here
//   (nothing is enqueued, not even for R or N of 0), else what the launch returned. What goes wrong
//   while a kernel runs is told by whoever waits for the stream.
//   Needs compute capability 7.5; kernel_attention with DTYPE_BF16 needs 8.0, the kernels that
//   write e4m3 need 8.9, which the caller checks: below, the kernel traps.
//   Thread rule: calls are independent of each other; any thread may make them whose current device
//   owns stream and memory.
//
// The kernel_..._cost functions count what a call with these arguments cannot avoid: each input
// byte read once, each output byte written once, and the arithmetic of the formula (an exponential,
// a division, a root: one operation). A bench divides them by time.
#ifndef WADER_CUDA_KERNELS_H
#define WADER_CUDA_KERNELS_H

#include <stdint.h>

#include "cuda/attention_items.h"
#include "weights/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;  // what a cudaStream_t points to

struct kernel_cost {
    double bytes;
    double operations;
};

// out[r] = LayerNorm(word[token_ids[r]] + position[position_ids[r]]), or zeros for a dummy row.
struct kernel_embed {
    enum dtype dtype;
    int32_t n_rows, hidden_size;
    float eps;
    const int32_t *token_ids;     // [R] in [0, V)
    const int32_t *position_ids;  // [R] in [0, P), or -1: a dummy row
    const void *word;             // [V, H]
    const float *position;        // [P, H], the embedding of token type 0 added
    const float *weight, *bias;   // [H] of the LayerNorm
    void *out;                    // [R, H]
};
int kernel_embed(const struct kernel_embed *args, struct CUstream_st *stream);
struct kernel_cost kernel_embed_cost(const struct kernel_embed *args);

// out[r] = LayerNorm(x[r] + x_bias + residual[r]). `out` may be `x` or `residual`.
struct kernel_layer_norm {
    enum dtype dtype;
    int32_t n_rows, hidden_size;
    float eps;
    const void *x;               // [R, H]
    const float *x_bias;         // [H], or NULL: none
    const void *residual;        // [R, H]
    const float *weight, *bias;  // [H] of the LayerNorm
    void *out;                   // [R, H]
};
int kernel_layer_norm(const struct kernel_layer_norm *args, struct CUstream_st *stream);
struct kernel_cost kernel_layer_norm_cost(const struct kernel_layer_norm *args);

// x[r] = gelu(x[r] + bias), in place. cublasLt's epilogue computes the form GELU_TANH.
struct kernel_gelu {
    enum dtype dtype;
    enum gelu_form form;
    int32_t n_rows, n_columns;  // R, F
    const float *bias;          // [F], or NULL: none
    void *x;                    // [R, F]
};
int kernel_gelu(const struct kernel_gelu *args, struct CUstream_st *stream);
struct kernel_cost kernel_gelu_cost(const struct kernel_gelu *args);

// Around products of e4m3 (matmul.h). Such a product is of values without their scales; the kernel
// that reads it multiplies by them: element [r, c] by row_scales[r] * column_scales[c], in fp32.
// What is written for the next one is by the rule of weights/quantize.h, to the bit.

// kernel_layer_norm in bf16, and either or both of: x is a product of e4m3; `out`, as it is rounded
// to bf16, is also wanted as values and scales. `out` may be `x` or `residual`.
struct kernel_layer_norm_e4m3 {
    int32_t n_rows, hidden_size;
    float eps;
    const void *x;               // [R, H] bf16
    const float *row_scales;     // [R], or NULL with the next: x is no product of e4m3
    const float *column_scales;  // [H]
    const float *x_bias;         // [H]
    const void *residual;        // [R, H] bf16
    const float *weight, *bias;  // [H] of the LayerNorm
    void *out;                   // [R, H] bf16
    void *values;                // [R, H] e4m3, or NULL with the next: not wanted
    float *scales;               // [R]
};
int kernel_layer_norm_e4m3(const struct kernel_layer_norm_e4m3 *args, struct CUstream_st *stream);
struct kernel_cost kernel_layer_norm_e4m3_cost(const struct kernel_layer_norm_e4m3 *args);

// values[r] scales[r] = gelu(x[r] + bias), x a product of e4m3. F is at most 4096. `scales` may be
// `row_scales`, nothing else may overlap.
struct kernel_gelu_e4m3 {
    enum gelu_form form;
    int32_t n_rows, n_columns;   // R, F
    const void *x;               // [R, F] bf16
    const float *row_scales;     // [R]
    const float *column_scales;  // [F]
    const float *bias;           // [F]
    void *values;                // [R, F] e4m3
    float *scales;               // [R]
};
int kernel_gelu_e4m3(const struct kernel_gelu_e4m3 *args, struct CUstream_st *stream);
struct kernel_cost kernel_gelu_e4m3_cost(const struct kernel_gelu_e4m3 *args);

// For every head of every item: context[q] = sum_k softmax_k(scale * query[q] . key[k]) value[k],
// for the item's queries over all keys of its title. One call takes one bucket of the items
// (attention_items.h); calls for different buckets write different rows. With DTYPE_F32 every
// bucket is computed by one kernel, which asks for no particular length.
// Rows that no item names are not written. Items and starts lie on the device, so that the launch
// does not depend on a batch.
struct kernel_attention {
    enum dtype dtype;
    int32_t n_heads, head_size;
    float scale;  // 1 / sqrt(D), or what of it is not yet in the query weights
    int32_t bucket;
    int32_t items_cap;                   // most items of the bucket: sizes the grid, no more
    int32_t n_multiprocessors;           // of the device, at least 1: sizes the grid, no more
    const void *qkv;                     // [R, 3H]: queries, keys, values, each head by head
    const struct attention_item *items;  // [starts[ATTENTION_BUCKETS]]
    const int32_t *starts;               // [ATTENTION_BUCKETS + 1]
    void *context;                       // [R, H]
};
int kernel_attention(const struct kernel_attention *args, struct CUstream_st *stream);
// `items` and `starts` are read here, so they must be host copies.
struct kernel_cost kernel_attention_cost(const struct kernel_attention *args);

// The last layer needs [CLS] only: context[i] = attention of query[i], title i's one query, over
// the title's keys and values. A title of no tokens is a dummy: its row is not written.
struct kernel_attention_cls {
    enum dtype dtype;
    int32_t n_titles, n_heads, head_size;
    float scale;                // as above
    const int32_t *cu_seqlens;  // [N + 1] rows, never falling
    const void *query;          // [N, H]
    const void *key_value;      // [R, 2H]: keys, values
    void *context;              // [N, H]
};
int kernel_attention_cls(const struct kernel_attention_cls *args, struct CUstream_st *stream);
// `cu_seqlens` is read here, so it must be a host copy.
struct kernel_cost kernel_attention_cls_cost(const struct kernel_attention_cls *args);

// cls[i] = hidden[cu_seqlens[i]], or zeros for a title of no tokens.
struct kernel_gather_cls {
    enum dtype dtype;
    int32_t n_titles, hidden_size;
    const int32_t *cu_seqlens;  // [N + 1] rows, never falling
    const void *hidden;         // [R, H]
    void *cls;                  // [N, H]
};
int kernel_gather_cls(const struct kernel_gather_cls *args, struct CUstream_st *stream);
struct kernel_cost kernel_gather_cls_cost(const struct kernel_gather_cls *args);

// What follows the pooler's product x = cls Wp^T:
//   logits[i] = W activation(x[i] + x_bias) + bias, where relu(NaN) is NaN as tanh(NaN) is
//   probabilities[i] = softmax(logits[i])
struct kernel_head {
    enum head_activation activation;
    int32_t n_titles, hidden_size, n_labels;
    const float *x;        // [N, H]
    const float *x_bias;   // [H]
    const float *weight;   // [K, H]
    const float *bias;     // [K]
    float *logits;         // [N, K]
    float *probabilities;  // [N, K], or NULL: not wanted
};
int kernel_head(const struct kernel_head *args, struct CUstream_st *stream);
struct kernel_cost kernel_head_cost(const struct kernel_head *args);

#ifdef __cplusplus
}
#endif

#endif

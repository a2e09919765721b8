// SPDX-License-Identifier: Apache-2.0
//
// The CPU encoder's two halves, private to it. cpu_model: the weights, packed for the matrix
// products, immutable and shared by all threads. cpu_forward: one thread's working memory and the
// forward pass of one batch. encoder_cpu.c puts slots and threads around them.
#ifndef WADER_HOST_ENCODER_CPU_MODEL_H
#define WADER_HOST_ENCODER_CPU_MODEL_H

#include "host/base/base.h"
#include "host/encoder/encoder.h"
#include "host/encoder/gemm.h"
#include "host/encoder/kernels.h"
#include "weights/model.h"

// Rows of every matrix product. A batch is walked in tiles of this many; the rows past its last
// token are computed and dropped. Large enough for the library's full rate, small enough that the
// last tile wastes little and a tile's feed-forward activations stay in the cache.
enum { TILE_ROWS = 128 };
_Static_assert(TILE_ROWS % 16 == 0,
               "gemm.h: only then a row's result does not depend on its place");

struct norm_weights {
    float *weight, *bias;  // [H]
};

struct layer_weights {
    struct gemm_weights *qkv;  // [3H, H]: query, key and value side by side; but in the last layer
    struct gemm_weights *query;  // [H, H]: there the query is wanted for the [CLS] rows alone
    struct gemm_weights *kv;     // [2H, H]
    struct gemm_weights *attention_output;
    struct gemm_weights *intermediate;
    struct gemm_weights *output;
    struct norm_weights attention_norm, output_norm;
};

struct cpu_model {
    struct bert_config config;
    const struct kernels *kernels;
    struct gemm_engine *engine;
    // Plans, by what they take and give.
    struct gemm *h_to_3h, *h_to_2h, *h_to_h, *h_to_f_gelu, *f_to_h, *h_to_h_head, *h_to_k;
    size_t scratch_nbytes;          // the most that any plan needs
    struct tensor word_embeddings;  // [V, H], in the file's own dtype, read row by row
    float *position_embeddings;     // [P, H], with the embedding of token type 0 added, if any
    struct norm_weights embedding_norm;
    struct layer_weights *layers;  // [n_layers]
    struct gemm_weights *pooler, *classifier;
};

enum status cpu_model_create(const struct model *model, struct cpu_model **out,
                             struct error *error);
void cpu_model_destroy(struct cpu_model *model);  // NULL is fine

// One thread's working memory, for batches of up to `batch_tokens`.
struct cpu_forward;
enum status cpu_forward_create(const struct cpu_model *model, int32_t batch_tokens,
                               struct cpu_forward **out, struct error *error);
void cpu_forward_destroy(struct cpu_forward *forward);  // NULL is fine

// Bytes that cpu_forward_create takes, nearly all of the encoder's working memory.
size_t cpu_forward_nbytes(const struct bert_config *config, int32_t batch_tokens);

// Titles in a batch at most: a title has [CLS] and [SEP] at least.
static inline int32_t titles_cap_of(int32_t batch_tokens) {
    return batch_tokens > 1 ? batch_tokens / 2 : 1;
}

// Fills slot->logits. To be called by the thread that created `forward`, and no other.
enum status cpu_forward_run(struct cpu_forward *forward, struct encoder_slot *slot,
                            struct error *error);

#endif

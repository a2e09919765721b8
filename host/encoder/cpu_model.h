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
// token are multiplied and dropped. Large enough for the library's full rate, small enough that the
// last tile wastes little; int8, whose sums need their own pass, is quickest where a tile's
// feed-forward sums stay near the core.
static inline int32_t tile_rows_of(enum cpu_precision precision) {
    return precision == CPU_INT8 ? 128 : 192;
}

// A multiple of the rows of every tier.
enum { TILE_ROWS_ALL = 384 };

struct norm_weights {
    float *weight, *bias;  // [H]
};

// One product's.
struct dense_weights {
    struct gemm_weights *packed;
    struct channels channels;  // CPU_INT8; else NULL, and the bias is in `packed`
    float *block;              // of the channels
};

struct layer_weights {
    struct dense_weights qkv;  // [3H, H]: query, key and value side by side; but in the last layer
    struct dense_weights query;  // [H, H]: there the query is wanted for the [CLS] rows alone
    struct dense_weights kv;     // [2H, H]
    struct dense_weights attention_output;
    struct dense_weights *intermediate;  // [n_parts] of F / n_parts outputs each
    struct dense_weights output;
    struct norm_weights attention_norm, output_norm;
};

struct cpu_model {
    struct bert_config config;
    enum cpu_precision precision;
    enum operand operand;  // of all products but the head's
    int32_t tile_rows;
    int32_t n_parts;  // of the first feed-forward product
    const struct kernels *kernels;
    struct gemm_engine *engine;
    // Plans, by what they take and give.
    struct gemm *h_to_3h, *h_to_2h, *h_to_h, *h_to_f_part, *f_to_h, *h_to_h_head, *h_to_k;
    size_t scratch_nbytes;          // the most that any plan needs
    struct tensor word_embeddings;  // [V, H], in the file's own dtype, read row by row
    float *position_embeddings;     // [P, H], with the embedding of token type 0 added, if any
    struct norm_weights embedding_norm;
    struct layer_weights *layers;  // [n_layers]
    struct gemm_weights *pooler, *classifier;
};

// `plain`: with the kernels that every processor can run.
enum status cpu_model_create(const struct model *model, enum cpu_precision precision, bool plain,
                             struct cpu_model **out, struct error *error);
void cpu_model_destroy(struct cpu_model *model);  // NULL is fine

// Bytes of the packed weights, nearly all that cpu_model_create keeps; and of what it takes
// besides while it packs them, at most.
size_t cpu_model_nbytes(const struct bert_config *config, enum cpu_precision precision);
size_t cpu_model_packing_nbytes(const struct bert_config *config, enum cpu_precision precision);

// In how many parts the first feed-forward product is done, so that a tile of a part's results
// stays in the cache until GELU has read it.
int32_t feed_parts_of(const struct bert_config *config, enum cpu_precision precision);

// ---- cpu_weights.c

// Reads a whole tensor into a new array.
enum status read_values(const struct tensor *tensor, float **out, struct error *error);

// Outputs [first, first + n_out) of a dense layer.
struct dense_part {
    const struct dense *dense;
    int32_t first, n_out;
};

// Packs parts of dense layers that share their input, of `n_in`, as one product: their outputs
// stand side by side. `mean_in` is the mean of that input: CPU_INT8 takes from the biases what the
// rounding of weights adds to the mean of each output. Others look at no mean.
enum status pack_dense(const struct gemm *gemm, enum cpu_precision precision, int32_t n_in,
                       const float *mean_in, const struct dense_part *parts, int n_parts,
                       struct dense_weights *out, struct error *error);
void dense_weights_free(struct dense_weights *weights);

// ---- cpu_layout.c

struct operand_rows {
    void *rows;
    struct row_scale *scales;  // CPU_INT8
};

// One thread's working memory, one block. T token rows (rounded up to whole tiles), N titles
// (likewise), R rows of a tile, L tokens of the longest title.
struct cpu_memory {
    void *block;
    float *hidden;                // [T, H], the residual stream
    struct operand_rows in;       // [T, H], the same as operands; CPU_FP32: `hidden` itself
    struct operand_rows context;  // [T, H], of attention
    void *window;                 // [L + R, 3H], queries, keys and values not yet attended to
    float *mixed;                 // [L, H], of one title before it becomes `context`
    void *tile;                   // [R, the most outputs of a product that has none of its own]
    struct operand_rows feed;     // [R, F]
    float *cls;                   // [N, H], the last layer and the head, [CLS] rows only
    struct operand_rows cls_in;   // [N, H]
    void *query;                  // [N, H]
    float *logits;                // [R, K]
    float *scores;                // scratch of attention
    void *gemm;                   // scratch of the products
};

// Bytes of the block, nearly all of the encoder's working memory; with `memory`, places all of it
// into memory->block, which is that large.
size_t cpu_memory_lay_out(const struct bert_config *config, enum cpu_precision precision,
                          int32_t batch_tokens, size_t gemm_scratch_nbytes,
                          struct cpu_memory *memory);

// Titles in a batch at most: a title has [CLS] and [SEP] at least.
static inline int32_t titles_cap_of(int32_t batch_tokens) {
    return batch_tokens > 1 ? batch_tokens / 2 : 1;
}

// ---- cpu_forward.c

// For batches of up to `batch_tokens`.
struct cpu_forward;
enum status cpu_forward_create(const struct cpu_model *model, int32_t batch_tokens,
                               struct cpu_forward **out, struct error *error);
void cpu_forward_destroy(struct cpu_forward *forward);  // NULL is fine

// Fills slot->logits. To be called by the thread that created `forward`, and no other.
enum status cpu_forward_run(struct cpu_forward *forward, struct encoder_slot *slot,
                            struct error *error);

// The same, and adds up where the time went.
enum status cpu_forward_profile(struct cpu_forward *forward, struct encoder_slot *slot,
                                struct encoder_profile *profile, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Where everything lies in the one block of device memory that an encoder takes, and in the pinned
// block of host memory of each batch slot. Pure C: arithmetic on the model's shape, nothing is
// allocated here.
//
// Letters as in kernels.h; T token rows and N titles of a batch, dummies included. Offsets are in
// bytes from the block's begin, multiples of 256.
//
//   weights                 once: dtype for matrices, fp32 for vectors (but see layer_places)
//   hidden [T, H]           the residual stream; the last layer's [CLS] rows are in cls [N, H]
//   wide                    qkv [T, 3H] and behind it context [T, H]; or feed [T, F]: the two never
//                           live at the same time
//   values, scales          an operand of e4m3, [T, F] at most, and its scales [T] fp32
//   narrow [T, H]           what the two products give that a LayerNorm takes
//   query, cls_context, pooled [N, H]
//   slots                   inputs and logits of each batch in flight
#ifndef WADER_CUDA_MEMORY_PLAN_H
#define WADER_CUDA_MEMORY_PLAN_H

#include "host/base/base.h"
#include "weights/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct memory_request {
    const struct bert_config *config;
    enum dtype dtype;       // of activations and matrices; DTYPE_E4M3: see below
    int32_t n_rows;         // T
    int32_t n_titles;       // N
    int32_t n_slots;        // at least 1
    size_t scratch_nbytes;  // of the matrix products
};

// With DTYPE_E4M3 everything is as with DTYPE_BF16 but for the two products of the feed-forward
// part in all layers but the first and the last. README.md has what each costs in exactness.
static inline enum dtype activation_dtype(enum dtype dtype) {
    return dtype == DTYPE_E4M3 ? DTYPE_BF16 : dtype;
}

// Within a layer, from the layer's begin on (memory_plan_layer).
struct layer_places {
    size_t qkv_weight;  // [3H, H]
    size_t qkv_bias;    // [3H] dtype: added in the product's epilogue
    size_t attention_output_weight, attention_output_bias;  // [H, H], [H] fp32
    size_t attention_norm_weight, attention_norm_bias;      // [H] fp32
    size_t intermediate_weight;                             // [F, H]
    size_t intermediate_bias;  // [F] dtype where the epilogue adds it, else fp32: room for fp32
    size_t output_weight, output_bias;            // [H, F], [H] fp32
    size_t intermediate_scales, output_scales;    // [F], [H] fp32, of e4m3's rows; else no room
    size_t output_norm_weight, output_norm_bias;  // [H] fp32
};

// Of a slot: the same offsets in its pinned block and in its part of the device's block. One copy
// takes [0, inputs_nbytes) in, one takes the logits out.
struct slot_places {
    size_t token_ids, position_ids;  // [T] int32
    size_t cu_seqlens;               // [N + 1] int32
    size_t starts;                   // [ATTENTION_BUCKETS + 1] int32
    size_t items;                    // [items_cap] struct attention_item
    size_t items_cap;
    size_t inputs_nbytes;
    size_t logits, logits_nbytes;  // [N, K] fp32
    size_t nbytes;                 // of the slot
};

// Layers that are laid out alike.
struct plan_layers {
    size_t begin, layer_nbytes;
    struct layer_places layer;
};

struct memory_plan {
    size_t word_embeddings;                             // [V, H]
    size_t position_embeddings;                         // [P, H] fp32, token type 0 added
    size_t embedding_norm_weight, embedding_norm_bias;  // [H] fp32
    struct plan_layers layers, e4m3_layers;  // the latter of n_e4m3_layers layers from layer 1 on
    int32_t n_e4m3_layers;
    size_t pooler_weight, pooler_bias;          // [H, H], [H] fp32
    size_t classifier_weight, classifier_bias;  // [K, H] fp32, [K] fp32
    size_t weights_nbytes;                      // all above; activations begin here
    size_t hidden, cls, wide, context, narrow, query, cls_context;
    size_t values, scales;
    size_t pooled;  // fp32
    size_t scratch;
    size_t slots;  // slot s: slots + s * slot.nbytes
    struct slot_places slot;
    size_t nbytes;  // of the whole block
};

// False when that is not a shape the kernels take (kernels.h), or not a number of bytes; `*plan` is
// then undefined.
bool memory_plan_make(const struct memory_request *request, struct memory_plan *plan);

// Where layer l lies, and whether its feed-forward part is e4m3.
struct layer_view {
    const struct layer_places *places;
    size_t begin;
    bool is_e4m3;
};
static inline struct layer_view memory_plan_layer(const struct memory_plan *plan, int32_t l) {
    const bool is_e4m3 = l >= 1 && l <= plan->n_e4m3_layers;
    const struct plan_layers *layers = is_e4m3 ? &plan->e4m3_layers : &plan->layers;
    const int32_t before = is_e4m3 || l == 0 ? l - (int32_t)is_e4m3 : l - plan->n_e4m3_layers;
    const struct layer_view view = {&layers->layer,
                                    layers->begin + (size_t)before * layers->layer_nbytes, is_e4m3};
    return view;
}

// The most rows, a multiple of `quantum` and at most `rows_max`, whose plan is at most
// `room_nbytes`; N is memory_plan_titles of them. 0: not even `quantum` rows fit.
int32_t memory_plan_rows(const struct memory_request *request, size_t room_nbytes, int32_t quantum,
                         int32_t rows_max);

// Titles that a batch of `n_rows` rows has room for. Fewer than could be there: titles of less than
// 8 tokens on average fill a batch early, and all others gain by a last layer that is computed for
// an eighth of the rows. At least 1.
int32_t memory_plan_titles(int32_t n_rows);

// Why the kernels do not take this model in this format, into `error` (STATUS_MODEL), with the
// figure at fault.
enum status memory_plan_check(const struct bert_config *config, enum dtype dtype,
                              struct error *error);

#ifdef __cplusplus
}
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The forward pass of one packed batch on a device: what is enqueued, in which order, on what
// memory. Everything lies in one block (memory_plan.h); counts lie in the slot's inputs, so that
// what is enqueued depends on the slot alone and can be kept as a graph.
#ifndef WADER_CUDA_FORWARD_H
#define WADER_CUDA_FORWARD_H

#include "cuda/device.h"
#include "cuda/matmul.h"
#include "cuda/memory_plan.h"
#include "host/encoder/encoder.h"

// The products of a pass: with T rows, and with N rows (the last layer's [CLS] rows).
struct forward_matmuls {
    struct matmul *qkv, *key_value, *attention_output, *intermediate, *output;
    struct matmul *e4m3_intermediate, *e4m3_output;  // or NULL: no layer has them
    struct matmul *cls_query, *cls_attention_output, *cls_intermediate, *cls_output, *pooler;
};

// Events that a pass leaves behind each piece of its work, for who wants to know what takes how
// long.
struct forward_marks {
    struct CUevent_st **events;  // [cap]
    enum encoder_work *works;    // [cap] what ended with it
    int32_t n, cap;
};

// As many as a pass leaves: seven a layer, embeddings and head.
static inline int32_t forward_marks_cap(const struct bert_config *config) {
    return 7 * config->n_layers + 2;
}

struct forward {
    const struct bert_config *config;
    struct memory_plan plan;
    enum dtype dtype;  // as of the plan's request
    int32_t n_rows, n_titles, n_multiprocessors;
    char *block;  // of plan.nbytes, weights uploaded, the rest written once with zeros
    struct forward_matmuls matmuls;
    struct forward_marks *marks;  // NULL: none are left
};

// Plans the products; the rest of `forward` is filled in. STATUS_MODEL and `*code` as of
// matmul_create. What was made is released by forward_destroy, which takes a zeroed one too.
enum status forward_create(struct forward *forward, struct matmul_context *context, int *code,
                           struct error *error);
void forward_destroy(struct forward *forward);

// Fills the inputs of a slot's pinned block behind token_ids and cu_seqlens, which the caller wrote
// for `n_titles` titles: positions, items, and dummies up to T rows and N titles.
void forward_prepare(const struct forward *forward, int32_t n_titles, void *pinned);

// Enqueues the pass on the inputs of slot `slot`, which lie on the device; its logits come behind
// them. Returns a code of runtime.h.
int forward_enqueue(const struct forward *forward, int32_t slot, struct CUstream_st *stream);

#endif

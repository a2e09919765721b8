// SPDX-License-Identifier: Apache-2.0
//
// The seam between the stream and whatever computes: packed token ids in, logits out. Pure C; the
// stream does not know what is behind it, and what is behind it does not know titles, files or
// gzip.
//
// Letters, here and in every implementation (weights/model.h has those of the weights):
//   T most token rows of a batch    N most titles of a batch    K classes
//
// A batch is packed, not padded: title i is token_ids[cu_seqlens[i] .. cu_seqlens[i+1]), one title
// after the other. The row count handed to one matrix product never changes, so a title's logits
// are the same bits whatever its neighbours, the batch size, the slot and the number of threads.
//
// Slots are the only queue and the only back-pressure. One goes round:
//   free -- fill its batch --> encoder_submit --> encoder_wait --> read its logits --> free
// Thread rule: a slot belongs to one thread at a time; different slots may be filled, submitted and
// waited for by different threads at the same time.
#ifndef WADER_HOST_ENCODER_ENCODER_H
#define WADER_HOST_ENCODER_ENCODER_H

#include <string.h>

#include "host/base/base.h"
#include "weights/model.h"

// In what a CPU encoder multiplies. Between the products all is fp32: the residual stream,
// LayerNorm, softmax, GELU before its rounding, and the head with its products.
enum cpu_precision {
    CPU_FP32,  // any processor: the exact tier
    CPU_BF16,  // AVX-512 BF16 or AMX: weights and what they are multiplied with in bfloat16
    CPU_INT8,  // AVX-512 VNNI, AVX-VNNI or AMX: weights in 8 bits with a scale for each output
               // channel, what they are multiplied with in 8 bits with a range for each token
};

struct encoder_limits {
    int32_t batch_tokens;          // most tokens in one batch, at least the longest title
    int32_t n_threads;             // worker threads of a CPU encoder
    int32_t n_slots;               // batches in flight, at least 1; 0 lets the encoder choose
    enum cpu_precision precision;  // of a CPU encoder
    bool plain;                    // which does without the processor's vector instructions where
                                   // that is up to us: a second opinion
};

// The arrays belong to the encoder and live as long as it does. Whoever holds the slot writes
// token_ids, cu_seqlens (n_titles + 1 entries, from 0, rising by at least 1) and n_titles before
// submitting, and reads logits after waiting.
struct encoder_slot {
    int32_t *token_ids;   // [T], each in [0, vocab_size)
    int32_t *cu_seqlens;  // [N + 1]
    float *logits;        // [N, K]
    int32_t n_titles;     // 0 is legal: nothing is computed
    double seconds;       // that computing it took; valid after encoder_wait
};

struct encoder {
    const struct encoder_ops *ops;
    int32_t n_slots;
    int32_t batch_tokens;  // T
    int32_t titles_cap;    // N
    int32_t n_labels;      // K
    int32_t max_length;    // tokens of one title, at most
    int32_t token_tile;    // products compute token rows in whole multiples of this,
    int32_t title_tile;    // and the last layer's [CLS] rows of this; what is over is padding
    const char *remark;    // for who asks how it computes ("without CUDA graphs"), or NULL
};

// What computing a batch is made of, for who asks where its time goes.
enum encoder_work {
    ENCODER_EMBED,             // embeddings, their LayerNorm
    ENCODER_QKV,               // the product for queries, keys and values
    ENCODER_ATTENTION,         // scores, softmax, weighted values
    ENCODER_ATTENTION_OUTPUT,  // its product
    ENCODER_NORM,              // residual and LayerNorm, twice a layer
    ENCODER_INTERMEDIATE,      // the product to F, GELU
    ENCODER_OUTPUT,            // the product back to H
    ENCODER_HEAD,              // pooler, classifier
    ENCODER_COPY,              // to a device and back
    ENCODER_WORKS,
};

struct encoder_profile {
    double seconds[ENCODER_WORKS];  // of one batch on one thread, or one device
};

// What large products alone reach, on all devices of an encoder together.
struct encoder_products {
    double flops_per_s;           // 0: none could be made, as where memory is short
    int32_t n_rows, n_in, n_out;  // of each
};

// What an implementation provides. The wrappers below check the batch and call these.
struct encoder_ops {
    struct encoder_slot *(*slot)(struct encoder *encoder, int32_t i);
    void (*submit)(struct encoder *encoder, int32_t i);
    enum status (*wait)(struct encoder *encoder, int32_t i, struct error *error);
    void (*destroy)(struct encoder *encoder);
    enum status (*profile)(struct encoder *encoder, int32_t i, struct encoder_profile *profile,
                           struct error *error);  // NULL: cannot tell
    enum status (*products)(struct encoder *encoder, double seconds,
                            struct encoder_products *products,
                            struct error *error);  // NULL: cannot tell
};

// STATUS_MODEL, saying what is missing, when this processor, or the library for it, cannot compute
// in `precision` natively.
enum status encoder_cpu_check(enum cpu_precision precision, struct error *error);

// The encoder on the CPU. `model` must outlive it. STATUS_IO when memory does not suffice;
// STATUS_USAGE, naming the most that fits, when `batch_tokens` asks for more than there is;
// STATUS_MODEL when the processor or the library cannot do it. `*out` is NULL on failure.
enum status encoder_create_cpu(const struct model *model, const struct encoder_limits *limits,
                               struct encoder **out, struct error *error);

// What encoder_create_cpu takes beside the model, which stays mapped. `n_slots` and `batch_tokens`
// of the limits as there; the same refusals where that is more than there is.
struct encoder_cpu_memory {
    size_t weights_nbytes;  // packed for the products, shared by all threads
    size_t working_nbytes;  // of all threads and batches, or of packing, if that takes more
};
enum status encoder_cpu_measure(const struct bert_config *config,
                                const struct encoder_limits *limits,
                                struct encoder_cpu_memory *memory, struct error *error);

// A batch size for this model and thread count that keeps the working memory small and the products
// efficient.
int32_t encoder_cpu_batch_tokens(const struct bert_config *config, int32_t n_threads,
                                 int32_t max_length);

struct encoder_slot *encoder_slot(struct encoder *encoder, int32_t i);

// Hands slot i's batch over; returns at once. A malformed batch is a programmer's error (assert).
void encoder_submit(struct encoder *encoder, int32_t i);

// Waits until the logits of slot i, which was submitted, are there. STATUS_MODEL when the device
// failed, STATUS_IO when memory did not suffice, STATUS_AGAIN when a device died in the middle of a
// run: the same command may succeed on another one.
enum status encoder_wait(struct encoder *encoder, int32_t i, struct error *error);

// Appends a title to a batch that has room for it; cu_seqlens[0] is 0.
static inline void encoder_slot_add(struct encoder_slot *slot, const int32_t *ids, int32_t n) {
    const int32_t at = slot->cu_seqlens[slot->n_titles];
    memcpy(slot->token_ids + at, ids, (size_t)n * sizeof *ids);
    slot->cu_seqlens[++slot->n_titles] = at + n;
}

// Computes slot i's batch, as encoder_submit and encoder_wait would, and tells where the time went.
// No slot may be in flight. Statuses as of encoder_wait; STATUS_MODEL also where the
// implementation cannot tell.
enum status encoder_profile_batch(struct encoder *encoder, int32_t i,
                                  struct encoder_profile *profile, struct error *error);

// Measures the best of a few large products in the encoder's tier, over about `seconds` each: the
// ceiling of what it computes. No slot may be in flight. Statuses as of encoder_wait; STATUS_MODEL
// also where the implementation cannot tell.
enum status encoder_measure_products(struct encoder *encoder, double seconds,
                                     struct encoder_products *products, struct error *error);

// No slot may be in flight. NULL is fine.
void encoder_destroy(struct encoder *encoder);

#endif

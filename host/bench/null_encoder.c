// SPDX-License-Identifier: Apache-2.0
#include "host/bench/null_encoder.h"

#include <stdlib.h>

#include "host/bench/lengths.h"

struct null_encoder {
    struct encoder base;         // first: a pointer to it is a pointer to this
    struct encoder_slot *slots;  // [n_slots], of one array of logits
    float *logits;
};

static struct encoder_slot *null_slot(struct encoder *encoder, int32_t i) {
    return &((struct null_encoder *)encoder)->slots[i];
}

static void null_submit(struct encoder *encoder, int32_t i) {
    (void)encoder;
    (void)i;
}

static enum status null_wait(struct encoder *encoder, int32_t i, struct error *error) {
    (void)encoder;
    (void)i;
    (void)error;
    return STATUS_OK;
}

static void null_destroy(struct encoder *encoder) {
    struct null_encoder *null = (struct null_encoder *)encoder;
    for (int32_t i = 0; null->slots != NULL && i < encoder->n_slots; i++) {
        free(null->slots[i].token_ids);
        free(null->slots[i].cu_seqlens);
    }
    free(null->slots);
    free(null->logits);
    free(null);
}

static const struct encoder_ops null_ops = {
    .slot = null_slot, .submit = null_submit, .wait = null_wait, .destroy = null_destroy};

static enum status make_slots(struct null_encoder *null, struct error *error) {
    const size_t titles = (size_t)null->base.titles_cap, k = (size_t)null->base.n_labels;
    struct bench_random random = {1};
    void *memory;
    enum status status =
        alloc_zeroed(&memory, (size_t)null->base.n_slots, sizeof *null->slots, "slots", error);
    if (status != STATUS_OK) return status;
    null->slots = memory;
    status = alloc_array(&memory, titles * k, sizeof(float), "logits", error);
    if (status != STATUS_OK) return status;
    null->logits = memory;
    for (size_t i = 0; i < titles * k; i++) {
        null->logits[i] = (float)(8 * bench_unit(&random) - 4);
    }
    for (int32_t i = 0; i < null->base.n_slots; i++) {
        struct encoder_slot *slot = &null->slots[i];
        slot->logits = null->logits;
        status = alloc_zeroed(&memory, (size_t)null->base.batch_tokens, sizeof(int32_t),
                              "token ids", error);
        if (status != STATUS_OK) return status;
        slot->token_ids = memory;
        status = alloc_zeroed(&memory, titles + 1, sizeof(int32_t), "title offsets", error);
        if (status != STATUS_OK) return status;
        slot->cu_seqlens = memory;
    }
    return STATUS_OK;
}

enum status null_encoder_create(const struct encoder *like, struct encoder **out,
                                struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof(struct null_encoder), "an encoder", error);
    if (status != STATUS_OK) return status;
    struct null_encoder *null = memory;
    null->base = *like;
    null->base.ops = &null_ops;
    null->base.remark = NULL;
    status = make_slots(null, error);
    if (status != STATUS_OK) {
        encoder_destroy(&null->base);
        return status;
    }
    *out = &null->base;
    return STATUS_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/encoder.h"

#include <assert.h>

struct encoder_slot *encoder_slot(struct encoder *encoder, int32_t i) {
    assert(i >= 0 && i < encoder->n_slots);
    return encoder->ops->slot(encoder, i);
}

static void check_batch(struct encoder *encoder, int32_t i) {
    const struct encoder_slot *slot = encoder_slot(encoder, i);
    assert(slot->n_titles >= 0 && slot->n_titles <= encoder->titles_cap);
    assert(slot->cu_seqlens[0] == 0);
    for (int32_t t = 0; t < slot->n_titles; t++) {
        int32_t n_tokens = slot->cu_seqlens[t + 1] - slot->cu_seqlens[t];
        assert(n_tokens >= 1 && n_tokens <= encoder->max_length);
    }
    assert(slot->cu_seqlens[slot->n_titles] <= encoder->batch_tokens);
}

void encoder_submit(struct encoder *encoder, int32_t i) {
    check_batch(encoder, i);
    encoder->ops->submit(encoder, i);
}

enum status encoder_wait(struct encoder *encoder, int32_t i, struct error *error) {
    assert(i >= 0 && i < encoder->n_slots);
    return encoder->ops->wait(encoder, i, error);
}

enum status encoder_profile_batch(struct encoder *encoder, int32_t i,
                                  struct encoder_profile *profile, struct error *error) {
    check_batch(encoder, i);
    *profile = (struct encoder_profile){0};
    if (encoder->ops->profile == NULL) {
        return error_set(error, STATUS_MODEL, "this encoder cannot tell where its time goes");
    }
    return encoder->ops->profile(encoder, i, profile, error);
}

enum status encoder_measure_products(struct encoder *encoder, double seconds,
                                     struct encoder_products *products, struct error *error) {
    *products = (struct encoder_products){0};
    if (encoder->ops->products == NULL) {
        return error_set(error, STATUS_MODEL, "this encoder cannot tell what products reach");
    }
    return encoder->ops->products(encoder, seconds, products, error);
}

void encoder_destroy(struct encoder *encoder) {
    if (encoder != NULL) encoder->ops->destroy(encoder);
}

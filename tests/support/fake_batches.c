// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_batches.h"

#include "tests/support/fake_encoder.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

enum { VOCABULARY = 200 };

// What was submitted.
struct kept {
    int32_t *token_ids, *cu_seqlens;
    int32_t n_titles;
    bool is_submitted, has_failed;
};

struct fake_batches {
    struct encoder *encoder;
    struct kept *kept;  // [n_slots]
};

struct fake_batches *fake_batches_open(struct encoder *encoder) {
    struct fake_batches *batches = must_zeroed(1, sizeof *batches);
    batches->encoder = encoder;
    batches->kept = must_zeroed((size_t)encoder->n_slots, sizeof *batches->kept);
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        struct kept *kept = &batches->kept[i];
        kept->token_ids = must_zeroed((size_t)encoder->batch_tokens, sizeof(int32_t));
        kept->cu_seqlens = must_zeroed((size_t)encoder->titles_cap + 1, sizeof(int32_t));
    }
    return batches;
}

void fake_batches_close(struct fake_batches *batches) {
    for (int32_t i = 0; i < batches->encoder->n_slots; i++) {
        free(batches->kept[i].token_ids);
        free(batches->kept[i].cu_seqlens);
    }
    free(batches->kept);
    free(batches);
}

// ---- a batch

// As many tokens as a title may have and the batch has room for, at most `longest`.
static void fill(const struct encoder *encoder, struct kept *kept, int32_t n_titles,
                 int32_t longest, struct check_random *random) {
    int32_t n_tokens = 0;
    kept->n_titles = 0;
    while (kept->n_titles < n_titles && n_tokens < encoder->batch_tokens) {
        const int32_t left = encoder->batch_tokens - n_tokens;
        const int32_t most = left < longest ? left : longest;
        const int32_t n = 1 + (int32_t)check_below(random, (unsigned)most);
        for (int32_t t = 0; t < n; t++) {
            kept->token_ids[n_tokens++] = (int32_t)check_below(random, VOCABULARY);
        }
        kept->cu_seqlens[++kept->n_titles] = n_tokens;
    }
}

void fake_batches_submit(struct fake_batches *batches, int32_t i, struct check_random *random) {
    struct encoder *encoder = batches->encoder;
    struct encoder_slot *slot = encoder_slot(encoder, i);
    struct kept *kept = &batches->kept[i];
    const unsigned kind = check_below(random, 8);
    kept->is_submitted = true;
    if (kept->has_failed) {
        encoder_submit(encoder, i);
        return;
    }
    const int32_t longest = encoder->max_length, all = encoder->titles_cap;
    if (kind == 0) fill(encoder, kept, 0, 1, random);
    if (kind == 1) fill(encoder, kept, all, 1, random);
    if (kind == 2) fill(encoder, kept, all, longest, random);
    if (kind > 2) fill(encoder, kept, 1 + (int32_t)check_below(random, 6), longest, random);
    const int32_t n_tokens = kept->cu_seqlens[kept->n_titles];
    memcpy(slot->token_ids, kept->token_ids, (size_t)n_tokens * sizeof(int32_t));
    memcpy(slot->cu_seqlens, kept->cu_seqlens, ((size_t)kept->n_titles + 1) * sizeof(int32_t));
    slot->n_titles = kept->n_titles;
    // Whoever reads logits before they are there shall not find good ones.
    memset(slot->logits, 0xFF, (size_t)all * FAKE_LABELS * sizeof(float));
    encoder_submit(encoder, i);
}

bool fake_batches_is_submitted(const struct fake_batches *batches, int32_t i) {
    return batches->kept[i].is_submitted;
}

int32_t fake_batches_titles(const struct fake_batches *batches, int32_t i) {
    return batches->kept[i].n_titles;
}

static const char *compare(const struct kept *kept, const struct encoder_slot *slot) {
    const size_t n = (size_t)kept->n_titles;
    if (slot->n_titles != kept->n_titles) return "another number of titles";
    if (memcmp(slot->cu_seqlens, kept->cu_seqlens, (n + 1) * sizeof(int32_t)) != 0) {
        return "other titles";
    }
    if (!(slot->seconds >= 0 && slot->seconds < 60)) return "seconds that cannot be";
    if (n == 0) return slot->seconds == 0 ? "" : "seconds of nothing";
    for (size_t t = 0; t < n; t++) {
        float want[FAKE_LABELS];
        fake_encoder_logits(kept->token_ids + kept->cu_seqlens[t],
                            kept->cu_seqlens[t + 1] - kept->cu_seqlens[t], -1, want);
        if (memcmp(slot->logits + t * FAKE_LABELS, want, sizeof want) != 0) return "wrong logits";
    }
    return "";
}

enum status fake_batches_wait(struct fake_batches *batches, int32_t i, const char **wrong,
                              struct error *error) {
    const enum status status = encoder_wait(batches->encoder, i, error);
    batches->kept[i].is_submitted = false;
    batches->kept[i].has_failed = status != STATUS_OK;
    *wrong =
        status == STATUS_OK ? compare(&batches->kept[i], encoder_slot(batches->encoder, i)) : "";
    return status;
}

struct model *fake_batches_model(int32_t n_heads) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.hidden_size = 64;
    spec.config.n_heads = n_heads;
    spec.config.n_layers = 1;
    spec.config.n_labels = FAKE_LABELS;
    spec.config.vocab_size = VOCABULARY;
    return tiny_model_open(&spec);
}

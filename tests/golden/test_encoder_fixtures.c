// SPDX-License-Identifier: Apache-2.0
//
// The CPU encoder against PyTorch in float64, on the small classifiers in tests/golden:
// test_encoder_fixtures [DIR], where DIR holds the bert_* directories.
#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/support/fixture.h"

// Encoders promise 1e-4 of the logits' scale, the largest |logit| of a fixture's titles here. fp32
// leaves some 1e-6, as the figures printed below show.
#define TOLERANCE 5e-6

// All titles of the fixture as one packed batch.
static enum status run(struct encoder *encoder, const struct fixture *fixture,
                       struct error *error) {
    struct encoder_slot *slot = encoder_slot(encoder, 0);
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        const struct fixture_case *item = &fixture->cases[i];
        memcpy(slot->token_ids + slot->cu_seqlens[i], item->ids,
               (size_t)item->n_ids * sizeof *item->ids);
        slot->cu_seqlens[i + 1] = slot->cu_seqlens[i] + item->n_ids;
    }
    slot->n_titles = fixture->n_cases;
    encoder_submit(encoder, 0);
    return encoder_wait(encoder, 0, error);
}

// Returns the largest difference in units of the scale.
static double check_logits(const struct encoder_slot *slot, const struct fixture *fixture,
                           const char *name) {
    const size_t K = (size_t)fixture->n_logits;
    double worst = 0, scale = 0;
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        for (size_t c = 0; c < K; c++) scale = fmax(scale, fabs(fixture->cases[i].logits[c]));
    }
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        const struct fixture_case *item = &fixture->cases[i];
        double apart = 0;
        for (size_t c = 0; c < K; c++) {
            const double difference = fabs(slot->logits[(size_t)i * K + c] - item->logits[c]);
            apart = isnan(difference) ? INFINITY : fmax(apart, difference / scale);
        }
        CHECK_NEAR(apart, 0, TOLERANCE);
        if (!(apart <= TOLERANCE))
            fprintf(stderr, "  %s: \"%.*s\"\n", name, (int)item->title.len, item->title.ptr);
        worst = fmax(worst, apart);
    }
    return worst;
}

static void check_fixture(const char *root, const char *name) {
    char dir[PATH_NBYTES_MAX];
    struct error error = {""};
    struct model *model = NULL;
    struct fixture *fixture = NULL;
    struct encoder *encoder = NULL;
    struct encoder_limits limits = {.batch_tokens = 2, .n_threads = 1, .n_slots = 1};
    if (path_join(dir, sizeof dir, root, name, &error) != STATUS_OK ||
        fixture_open(dir, &fixture, &error) != STATUS_OK ||
        model_open(dir, NULL, &model, &error) != STATUS_OK) {
        CHECK_FAIL("%s: %s", name, error.text);
        goto out_close;
    }
    for (int32_t i = 0; i < fixture->n_cases; i++) limits.batch_tokens += fixture->cases[i].n_ids;
    if (encoder_create_cpu(model, &limits, &encoder, &error) != STATUS_OK ||
        run(encoder, fixture, &error) != STATUS_OK) {
        CHECK_FAIL("%s: %s", name, error.text);
        goto out_close;
    }
    CHECK_INT(encoder->n_labels, fixture->n_logits);
    CHECK_INT(encoder->max_length, fixture->max_length);
    if (check_failures > 0) goto out_close;
    printf("%-18s %d titles: logits within %.1e of their scale\n", name, fixture->n_cases,
           check_logits(encoder_slot(encoder, 0), fixture, name));
out_close:
    encoder_destroy(encoder);
    model_close(model);
    fixture_close(fixture);
}

int main(int argc, char **argv) {
    const char *root = argc > 1 ? argv[1] : "tests/golden";
    for (int i = 0; i < FIXTURE_MODELS; i++) check_fixture(root, fixture_models[i]);
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// The CPU encoder against PyTorch in float64 on a real encoder: test_encoder_minilm [DIR], where
// DIR holds minilm.json.gz. The environment variable WADER_MINILM names the model directories that
// make_minilm.py made; without it the test is skipped.
#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/golden/minilm.h"

// Encoders promise 1e-4 of the scale of what is compared. In fp32 six layers of this width leave
// some 3e-6 of a title's logits, and of a hidden state, whose largest value is far above the
// others, some 3e-7, as the figures printed below show; half a step of fp32 in tanh(h / 16) is in
// that.
#define LOGITS_TOLERANCE 1e-5
#define STATES_TOLERANCE 2e-6

struct minilm {
    struct model *model;
    struct encoder *encoder;
};

// Opens `models`/`name` and runs all titles in one packed batch. NULL on failure, which is counted.
static const struct encoder_slot *run(const char *models, const char *name,
                                      const struct fixture *golden, struct minilm *out) {
    char dir[PATH_NBYTES_MAX];
    struct error error = {""};
    struct encoder_limits limits = {.batch_tokens = 0, .n_threads = 1, .n_slots = 1};
    for (int32_t i = 0; i < golden->n_cases; i++) limits.batch_tokens += golden->cases[i].n_ids;
    if (path_join(dir, sizeof dir, models, name, &error) != STATUS_OK ||
        model_open(dir, NULL, &out->model, &error) != STATUS_OK ||
        encoder_create_cpu(out->model, &limits, &out->encoder, &error) != STATUS_OK) {
        CHECK_FAIL("%s: %s", name, error.text);
        return NULL;
    }
    struct encoder_slot *slot = encoder_slot(out->encoder, 0);
    for (int32_t i = 0; i < golden->n_cases; i++) {
        const struct fixture_case *item = &golden->cases[i];
        memcpy(slot->token_ids + slot->cu_seqlens[i], item->ids,
               (size_t)item->n_ids * sizeof *item->ids);
        slot->cu_seqlens[i + 1] = slot->cu_seqlens[i] + item->n_ids;
    }
    slot->n_titles = golden->n_cases;
    encoder_submit(out->encoder, 0);
    if (encoder_wait(out->encoder, 0, &error) != STATUS_OK) {
        CHECK_FAIL("%s: %s", name, error.text);
        return NULL;
    }
    return slot;
}

static void minilm_close(struct minilm *minilm) {
    encoder_destroy(minilm->encoder);
    model_close(minilm->model);
}

static void check_classifier(const char *models, const struct fixture *golden) {
    struct minilm minilm = {0};
    const struct encoder_slot *slot = run(models, "classifier", golden, &minilm);
    double worst = 0;
    if (slot != NULL) {
        CHECK_INT(minilm.encoder->n_labels, 8);
        CHECK_INT(golden->n_logits, 8);
        for (int32_t i = 0; i < golden->n_cases && check_failures == 0; i++) {
            double logits[8];
            for (size_t c = 0; c < 8; c++) logits[c] = slot->logits[(size_t)i * 8 + c];
            const double apart = fixture_distance(logits, golden->cases[i].logits, 8);
            CHECK_NEAR(apart, 0, LOGITS_TOLERANCE);
            worst = fmax(worst, apart);
        }
        printf("classifier: %d titles: logits within %.1e of their scale\n", golden->n_cases,
               worst);
    }
    minilm_close(&minilm);
}

// hidden_N's logits are tanh(h / 16), h the state of [CLS] after layer N.
static void check_layer(const char *models, int32_t n_layers, const struct fixture *golden) {
    char name[32];
    struct minilm minilm = {0};
    double worst = 0;
    int32_t n_compared = 0;
    snprintf(name, sizeof name, "hidden_%d", n_layers);
    const struct encoder_slot *slot = run(models, name, golden, &minilm);
    const size_t H = (size_t)golden->state_size;
    double *state = calloc(H, sizeof *state);
    CHECK(state != NULL);
    if (slot == NULL || state == NULL) goto out_close;
    CHECK_INT(minilm.model->config.n_layers, n_layers);
    CHECK_INT(minilm.encoder->n_labels, golden->state_size);
    for (int32_t i = 0; i < golden->n_cases && check_failures == 0; i++) {
        const struct fixture_case *item = &golden->cases[i];
        for (size_t c = 0; c < H; c++) {
            state[c] = 16 * atanh((double)slot->logits[(size_t)i * H + c]);
        }
        for (int32_t s = 0; s < item->n_states; s++) {
            if (item->states[s].layer != n_layers || item->states[s].token != 0) continue;
            const double apart = fixture_distance(state, item->states[s].values, H);
            CHECK_NEAR(apart, 0, STATES_TOLERANCE);
            worst = fmax(worst, apart);
            n_compared++;
        }
    }
    CHECK(n_compared >= 14);
    printf("%s: [CLS] of %d titles read back from the logits within %.1e of its scale\n", name,
           n_compared, worst);
out_close:
    free(state);
    minilm_close(&minilm);
}

int main(int argc, char **argv) {
    return minilm_main(argc, argv, check_classifier, check_layer);
}

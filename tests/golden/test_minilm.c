// SPDX-License-Identifier: Apache-2.0
//
// The float64 reference against PyTorch in float64 on a real encoder: test_minilm [DIR], where DIR
// holds minilm.json.gz. The environment variable WADER_MINILM names the model directories that
// make_minilm.py made; without it the test is skipped.
#include "tests/check.h"
#include "tests/golden/minilm.h"
#include "tests/reference/bert_ref.h"

#define TOLERANCE 1e-8  // of the largest value compared: the golden figures have nine digits

struct worst {
    double logits, states;
    int32_t n_states, n_inner;  // states compared, and those of tokens other than [CLS]
};

static void check_title(const struct bert_ref *ref, const struct model *model,
                        const struct fixture_case *item, double *hidden, struct worst *worst) {
    const size_t H = (size_t)model->config.hidden_size;
    double logits[8];
    struct error error;
    CHECK_INT(bert_ref_logits(ref, item->ids, item->n_ids, logits, &error), STATUS_OK);
    const double logits_apart = fixture_distance(logits, item->logits, ARRAY_LEN(logits));
    CHECK_NEAR(logits_apart, 0, TOLERANCE);
    worst->logits = fmax(worst->logits, logits_apart);

    CHECK_INT(bert_ref_hidden(ref, item->ids, item->n_ids, hidden, &error), STATUS_OK);
    for (int32_t s = 0; s < item->n_states; s++) {
        const struct fixture_state *state = &item->states[s];
        const size_t at = (size_t)state->layer * (size_t)item->n_ids + (size_t)state->token;
        CHECK(state->layer <= model->config.n_layers);
        const double apart = fixture_distance(hidden + at * H, state->values, H);
        CHECK_NEAR(apart, 0, TOLERANCE);
        worst->states = fmax(worst->states, apart);
        worst->n_states++;
        worst->n_inner += state->token != 0;
    }
}

static void check_classifier(const char *models, const struct fixture *golden) {
    char dir[PATH_NBYTES_MAX];
    struct error error = {""};
    struct model *model = NULL;
    struct bert_ref *ref = NULL;
    void *hidden = NULL;
    struct worst worst = {0};
    if (path_join(dir, sizeof dir, models, "classifier", &error) != STATUS_OK ||
        model_open(dir, NULL, &model, &error) != STATUS_OK ||
        bert_ref_open(model, &ref, &error) != STATUS_OK ||
        alloc_array(&hidden, bert_ref_hidden_size(ref, golden->max_length), sizeof(double),
                    "hidden states", &error) != STATUS_OK) {
        CHECK_FAIL("%s", error.text);
        goto out_close;
    }
    CHECK_INT(model->config.n_labels, 8);
    CHECK_INT(model->config.n_labels, golden->n_logits);
    CHECK_INT(model->config.hidden_size, golden->state_size);
    if (check_failures > 0) goto out_close;
    for (int32_t i = 0; i < golden->n_cases; i++)
        check_title(ref, model, &golden->cases[i], hidden, &worst);
    CHECK(worst.n_states > 100 && worst.n_inner > 20);
    printf("classifier: %d titles: logits within %.1e, %d hidden states within %.1e\n",
           golden->n_cases, worst.logits, worst.n_states, worst.states);
out_close:
    free(hidden);
    bert_ref_close(ref);
    model_close(model);
}

// hidden_N's logits are tanh(h / 16), h the state of [CLS] after layer N.
static double check_layer(const struct bert_ref *ref, const struct fixture_case *item,
                          const struct fixture_state *state, double *logits, size_t H) {
    struct error error;
    CHECK_INT(bert_ref_logits(ref, item->ids, item->n_ids, logits, &error), STATUS_OK);
    for (size_t i = 0; i < H; i++) logits[i] = 16 * atanh(logits[i]);
    const double apart = fixture_distance(logits, state->values, H);
    CHECK_NEAR(apart, 0, TOLERANCE);
    return apart;
}

static void check_truncated(const char *models, int32_t n_layers, const struct fixture *golden) {
    char name[32], dir[PATH_NBYTES_MAX];
    struct error error = {""};
    struct model *model = NULL;
    struct bert_ref *ref = NULL;
    void *logits = NULL;
    double worst = 0;
    int32_t n_compared = 0;
    snprintf(name, sizeof name, "hidden_%d", n_layers);
    if (path_join(dir, sizeof dir, models, name, &error) != STATUS_OK ||
        model_open(dir, NULL, &model, &error) != STATUS_OK ||
        bert_ref_open(model, &ref, &error) != STATUS_OK ||
        alloc_array(&logits, (size_t)golden->state_size, sizeof(double), "logits", &error) !=
            STATUS_OK) {
        CHECK_FAIL("%s", error.text);
        goto out_close;
    }
    CHECK_INT(model->config.n_layers, n_layers);
    CHECK_INT(model->config.n_labels, golden->state_size);
    if (check_failures > 0) goto out_close;
    for (int32_t i = 0; i < 4; i++) {
        const struct fixture_case *item = &golden->cases[i];
        for (int32_t s = 0; s < item->n_states; s++) {
            if (item->states[s].layer != n_layers || item->states[s].token != 0) continue;
            worst = fmax(worst, check_layer(ref, item, &item->states[s], logits,
                                            (size_t)golden->state_size));
            n_compared++;
        }
    }
    CHECK_INT(n_compared, 4);
    printf("%s: [CLS] read back from the logits within %.1e\n", name, worst);
out_close:
    free(logits);
    bert_ref_close(ref);
    model_close(model);
}

int main(int argc, char **argv) {
    return minilm_main(argc, argv, check_classifier, check_truncated);
}

// SPDX-License-Identifier: Apache-2.0
//
// The float64 reference against PyTorch in float64, on the small classifiers in tests/golden:
// test_bert_fixtures [DIR], where DIR holds the bert_* directories.
#include "tests/check.h"
#include "tests/reference/bert_ref.h"
#include "tests/support/fixture.h"
#include "tests/support/must.h"

// Both sides compute in float64; what is left is the order of their sums, some 1e-15 as the figures
// printed below show.
#define TOLERANCE 1e-12  // of the largest value compared

static double check_logits(const struct bert_ref *ref, const struct fixture *fixture,
                           const char *name) {
    const size_t K = (size_t)fixture->n_logits;
    double *logits = must_zeroed(K, sizeof *logits);
    double worst = 0;
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        const struct fixture_case *item = &fixture->cases[i];
        struct error error;
        CHECK_INT(bert_ref_logits(ref, item->ids, item->n_ids, logits, &error), STATUS_OK);
        const double apart = fixture_distance(logits, item->logits, K);
        CHECK(apart <= TOLERANCE);
        if (!(apart <= TOLERANCE))
            fprintf(stderr, "%s: \"%.*s\": logits differ by %g of their scale\n", name,
                    (int)item->title.len, item->title.ptr, apart);
        worst = fmax(worst, apart);
    }
    free(logits);
    return worst;
}

static double check_states(const struct bert_ref *ref, const struct model *model,
                           const struct fixture *fixture, const char *name) {
    const size_t H = (size_t)model->config.hidden_size;
    double worst = 0;
    int32_t n_states = 0;
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        const struct fixture_case *item = &fixture->cases[i];
        if (item->n_states == 0) continue;
        double *hidden = must_zeroed(bert_ref_hidden_size(ref, item->n_ids), sizeof *hidden);
        struct error error;
        CHECK_INT(bert_ref_hidden(ref, item->ids, item->n_ids, hidden, &error), STATUS_OK);
        for (int32_t s = 0; s < item->n_states; s++) {
            const struct fixture_state *state = &item->states[s];
            CHECK(state->layer <= model->config.n_layers);
            const size_t at = (size_t)state->layer * (size_t)item->n_ids + (size_t)state->token;
            const double apart = fixture_distance(hidden + at * H, state->values, H);
            CHECK(apart <= TOLERANCE);
            if (!(apart <= TOLERANCE))
                fprintf(stderr, "%s: layer %d, token %d: states differ by %g of their scale\n",
                        name, state->layer, state->token, apart);
            worst = fmax(worst, apart);
            n_states++;
        }
        free(hidden);
    }
    CHECK_INT(n_states, 2 * (model->config.n_layers + 1));
    return worst;
}

// A fixture whose titles all had the same logits would prove nothing.
static void check_variety(const struct fixture *fixture) {
    const size_t K = (size_t)fixture->n_logits;
    size_t n_apart = 0;
    for (int32_t i = 1; i < fixture->n_cases; i++)
        n_apart += fixture_distance(fixture->cases[i].logits, fixture->cases[0].logits, K) > 0.05;
    CHECK(n_apart >= 15);
    int32_t n_truncated = 0;
    for (int32_t i = 0; i < fixture->n_cases; i++) {
        const struct fixture_case *item = &fixture->cases[i];
        n_truncated += item->truncated;
        CHECK(item->truncated ? item->n_ids == fixture->max_length
                              : item->n_ids <= fixture->max_length);
    }
    CHECK(n_truncated > 0);
}

static void check_fixture(const char *root, const char *name) {
    char dir[PATH_NBYTES_MAX];
    struct error error = {""};
    struct model *model = NULL;
    struct fixture *fixture = NULL;
    struct bert_ref *ref = NULL;
    if (path_join(dir, sizeof dir, root, name, &error) != STATUS_OK ||
        fixture_open(dir, &fixture, &error) != STATUS_OK ||
        model_open(dir, NULL, &model, &error) != STATUS_OK ||
        bert_ref_open(model, &ref, &error) != STATUS_OK) {
        CHECK_FAIL("%s: %s", name, error.text);
        goto out_close;
    }
    CHECK_INT(fixture->n_logits, model->config.n_labels);
    CHECK_INT(fixture->state_size, model->config.hidden_size);
    CHECK_INT(fixture->max_length, model->config.max_positions);
    if (check_failures > 0) goto out_close;
    check_variety(fixture);
    const double logits = check_logits(ref, fixture, name);
    const double states = check_states(ref, model, fixture, name);
    printf("%-18s %d titles: logits within %.1e, hidden states within %.1e of their scale\n", name,
           fixture->n_cases, logits, states);
out_close:
    bert_ref_close(ref);
    model_close(model);
    fixture_close(fixture);
}

int main(int argc, char **argv) {
    const char *root = argc > 1 ? argv[1] : "tests/golden";
    for (int i = 0; i < FIXTURE_MODELS; i++) check_fixture(root, fixture_models[i]);
    return check_result();
}

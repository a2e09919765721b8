// SPDX-License-Identifier: Apache-2.0
//
// Figures of an evaluation, against ones computed by hand and against plain loops over random
// titles.
#include "host/job/evaluation.h"

#include <float.h>

#include "tests/check.h"

enum { MANY = 400 };

static struct evaluation made(struct evaluation_model model, size_t n_titles, const float *logits,
                              const uint8_t *members) {
    struct evaluation evaluation = {.model = model};
    const size_t n = (size_t)model.n_labels;
    for (size_t i = 0; i < n_titles; i++) {
        CHECK_INT(evaluation_add(&evaluation, logits + i * n, members + i * n, NULL), STATUS_OK);
    }
    return evaluation;
}

static void measure(struct evaluation_model model, size_t n_titles, const float *logits,
                    const uint8_t *members, struct measures *measures) {
    struct evaluation evaluation = made(model, n_titles, logits, members);
    CHECK_INT(evaluation_measure(&evaluation, measures, NULL), STATUS_OK);
    evaluation_free(&evaluation);
}

static struct reliability_bin bin_of(const struct reliability *reliability, int i) {
    return reliability->bins[i];
}

// Four titles, two labels, logits whose softmax is 0.81, 0.81, 0.61 and 0.5.
static void by_hand(void) {
    const float a = 1.4500102f, b = 0.44731222f;
    const float logits[] = {a, 0, 0, a, b, 0, 1, 1};
    const uint8_t members[] = {1, 0, 1, 0, 0, 1, 1, 0};
    const float thresholds[] = {0.55f, 0.9f};
    const struct evaluation_model model = {2, false, 1.0, thresholds};
    struct measures measures;
    measure(model, 4, logits, members, &measures);
    CHECK_INT(measures.n_titles, 4);
    CHECK_INT(measures.n_right, 2);  // the first; and the last, the lowest of equals
    const uint32_t confusion[] = {2, 1, 1, 0};
    CHECK(memcmp(measures.confusion, confusion, sizeof confusion) == 0);
    CHECK_INT(measures.labels[0].support, 3);
    CHECK_INT(measures.labels[0].predicted, 3);
    CHECK_INT(measures.labels[0].right, 2);
    CHECK_INT(measures.labels[1].support, 1);
    CHECK_INT(measures.labels[1].predicted, 1);
    CHECK_INT(measures.labels[1].right, 0);
    CHECK_NEAR(measures.macro_f1, 1.0 / 3.0, 1e-12);
    CHECK_INT(measures.n_macro, 2);
    // (p + z2/2n) / (1 + z2/n) is 1/2, and so is p.
    CHECK_NEAR(measures.low, 0.150039, 1e-6);
    CHECK_NEAR(measures.high, 0.849961, 1e-6);
    CHECK_INT(measures.n_answered, 2);  // 0.81 and 0.61 of label 0
    CHECK_INT(measures.n_answered_right, 1);
    CHECK_NEAR(measures.reliability.nll, -log(0.81 * 0.19 * 0.39 * 0.5) / 4.0, 1e-7);
    CHECK_INT(bin_of(&measures.reliability, 12).n, 2);
    CHECK_INT(bin_of(&measures.reliability, 12).n_right, 1);
    CHECK_INT(bin_of(&measures.reliability, 7).n, 1);
    CHECK_NEAR(bin_of(&measures.reliability, 7).sum, 0.5, 1e-12);
    // |1 - 1.62| + |0 - 0.61| + |1 - 0.5|, by 4
    CHECK_NEAR(measures.reliability.error, 1.73 / 4.0, 1e-6);
    measures_free(&measures);
}

// The temperature where two labels' logits differ by d each time and a share s is right is
// d / log(s / (1 - s)).
static void temperature_by_hand(void) {
    float logits[2 * 10];
    uint8_t members[2 * 10];
    struct measures measures;
    for (int i = 0; i < 10; i++) {
        logits[2 * i] = 3.0f;
        logits[2 * i + 1] = 1.0f;
        members[2 * i] = i < 8;
        members[2 * i + 1] = i >= 8;
    }
    measure((struct evaluation_model){2, false, 1.0, NULL}, 10, logits, members, &measures);
    CHECK_INT(measures.place, TEMPERATURE_INSIDE);
    CHECK_NEAR(measures.temperature, 2.0 / log(4.0), 1e-12);
    CHECK_NEAR(measures.at_best.error, 0.0, 1e-12);
    CHECK_NEAR(measures.at_best.nll, -(0.8 * log(0.8) + 0.2 * log(0.2)), 1e-12);
    CHECK_NEAR(measures.reliability.nll, 0.8 * log(1 + exp(-2)) + 0.2 * log(1 + exp(2)), 1e-12);
    CHECK_INT(measures.n_answered, 0);
    measures_free(&measures);
    // The same as two titles of one sigmoid: 1/T is log(4) / 2 for z = 2.
    for (int i = 0; i < 10; i++) {
        logits[i] = i < 5 ? 2.0f : -2.0f;
        members[i] = i < 4 || i == 9;
    }
    measure((struct evaluation_model){1, true, 1.0, NULL}, 10, logits, members, &measures);
    CHECK_INT(measures.place, TEMPERATURE_INSIDE);
    CHECK_NEAR(measures.temperature, 2.0 / log(4.0), 1e-12);
    CHECK_INT(measures.n_right, 8);
    measures_free(&measures);
}

static enum temperature_place place_of(struct evaluation_model model, size_t n, const float *logits,
                                       const uint8_t *members) {
    struct measures measures;
    measure(model, n, logits, members, &measures);
    CHECK(isfinite(measures.temperature) && isfinite(measures.reliability.nll));
    CHECK(isfinite(measures.at_best.nll) && isfinite(measures.at_best.error));
    const enum temperature_place place = measures.place;
    const double want = place == TEMPERATURE_NONE     ? 1.0
                        : place == TEMPERATURE_AT_MIN ? TEMPERATURE_SEARCH_MIN
                                                      : TEMPERATURE_SEARCH_MAX;
    if (place != TEMPERATURE_INSIDE) CHECK(measures.temperature == want);
    measures_free(&measures);
    return place;
}

static void temperature_edges(void) {
    const struct evaluation_model one = {2, false, 1.0, NULL}, many = {2, true, 1.0, NULL};
    const uint8_t first[] = {1, 0, 1, 0};
    const float right[] = {2, 1, 9, -9}, wrong[] = {1, 2, 1, 3}, equal[] = {4, 4, 7, 7};
    const float tiny[] = {1e-3f, 0, 0, 1e-6f}, huge[] = {FLT_MAX, -FLT_MAX, -FLT_MAX, FLT_MAX};
    CHECK_INT(place_of(one, 2, right, first), TEMPERATURE_NONE);
    CHECK_INT(place_of(one, 2, equal, first), TEMPERATURE_NONE);
    CHECK_INT(place_of(one, 2, wrong, first), TEMPERATURE_AT_MAX);
    CHECK_INT(place_of(one, 2, tiny, first), TEMPERATURE_AT_MIN);
    CHECK_INT(place_of(one, 2, huge, first), TEMPERATURE_AT_MAX);
    CHECK_INT(place_of(many, 1, right + 2, first), TEMPERATURE_NONE);
    CHECK_INT(place_of(many, 1, right, first), TEMPERATURE_INSIDE);
    CHECK_INT(place_of(many, 2, wrong, first), TEMPERATURE_AT_MAX);
    CHECK_INT(place_of(many, 2, tiny, first), TEMPERATURE_AT_MIN);
    CHECK_INT(place_of(many, 2, huge, first), TEMPERATURE_AT_MAX);
    // All logits of a title moved by one number, the softmax is the same; so is the temperature.
    const float near[] = {3, 2, 0, 0.5f, 2, 0}, far[] = {1003, 1002, -900, -899.5f, 6, 4};
    const uint8_t members[] = {1, 0, 1, 0, 0, 1};
    struct measures measures[2];
    measure(one, 2, near, members, &measures[0]);
    measure(one, 2, far, members, &measures[1]);
    CHECK_NEAR(measures[0].temperature, measures[1].temperature, 1e-12);
    CHECK_NEAR(measures[0].reliability.nll, measures[1].reliability.nll, 1e-12);
    measures_free(&measures[0]);
    measures_free(&measures[1]);
}

// ---- random titles, and what plain loops say of them

struct titles {
    struct evaluation_model model;
    float logits[MANY * 6];
    uint8_t members[MANY * 6];
};

static void make_titles(struct titles *titles, struct check_random *random) {
    const int n = titles->model.n_labels;
    memset(titles->members, 0, sizeof titles->members);
    for (int i = 0; i < MANY; i++) {
        float *logits = titles->logits + i * n;
        uint8_t *members = titles->members + i * n;
        int top = 0;
        for (int k = 0; k < n; k++) {
            logits[k] = (float)check_below(random, 8001) / 1000.0f - 4.0f;
            if (logits[k] > logits[top]) top = k;
            if (titles->model.multi_label) {
                members[k] = logits[k] + (float)check_below(random, 600) / 100.0f > 3.0f;
            }
        }
        if (titles->model.multi_label) continue;
        members[check_below(random, 3) > 0 ? top : (int)check_below(random, (unsigned)n)] = 1;
    }
}

static double probability(const struct titles *titles, int i, int k, double temperature) {
    const int n = titles->model.n_labels;
    const float *logits = titles->logits + i * n;
    if (titles->model.multi_label) return 1.0 / (1.0 + exp(-(double)logits[k] / temperature));
    double sum = 0.0;
    for (int j = 0; j < n; j++) sum += exp((double)logits[j] / temperature);
    return exp((double)logits[k] / temperature) / sum;
}

static double nll_of(const struct titles *titles, double temperature) {
    const int n = titles->model.n_labels;
    double sum = 0.0;
    for (int i = 0; i < MANY * n; i++) {
        const double p = probability(titles, i / n, i % n, temperature);
        if (titles->members[i]) sum -= log(p);
        if (!titles->members[i] && titles->model.multi_label) sum -= log(1.0 - p);
    }
    return sum / (MANY * (titles->model.multi_label ? n : 1));
}

static double error_of(const struct titles *titles, double temperature) {
    const int n = titles->model.n_labels;
    double gap[EVALUATION_BINS] = {0}, sum = 0.0;
    int count = 0;
    for (int i = 0; i < MANY * n; i++) {
        const double p = probability(titles, i / n, i % n, temperature);
        bool is_top = true;
        for (int k = 0; k < n; k++) {
            const float other = titles->logits[i / n * n + k];
            is_top = is_top && (k < i % n ? other < titles->logits[i] : other <= titles->logits[i]);
        }
        if (!is_top && !titles->model.multi_label) continue;
        for (int b = 0; b < EVALUATION_BINS; b++) {
            if (p > (double)b / EVALUATION_BINS && p <= (double)(b + 1) / EVALUATION_BINS) {
                gap[b] += p - titles->members[i];
                count++;
            }
        }
    }
    for (int b = 0; b < EVALUATION_BINS; b++) sum += fabs(gap[b]);
    return sum / count;
}

static void check_random_titles(struct titles *titles) {
    struct measures measures;
    measure(titles->model, MANY, titles->logits, titles->members, &measures);
    const double temperature = titles->model.temperature;
    CHECK_NEAR(measures.reliability.nll, nll_of(titles, temperature), 1e-9);
    CHECK_NEAR(measures.reliability.error, error_of(titles, temperature), 1e-9);
    CHECK_INT(measures.place, TEMPERATURE_INSIDE);
    CHECK_NEAR(measures.at_best.nll, nll_of(titles, measures.temperature), 1e-9);
    CHECK_NEAR(measures.at_best.error, error_of(titles, measures.temperature), 1e-9);
    for (double t = TEMPERATURE_SEARCH_MIN; t < TEMPERATURE_SEARCH_MAX; t *= 1.01) {
        CHECK(nll_of(titles, t) >= measures.at_best.nll - 1e-12);
    }
    // And it is the place, not only the value.
    CHECK(nll_of(titles, measures.temperature * 1.001) > measures.at_best.nll);
    CHECK(nll_of(titles, measures.temperature * 0.999) > measures.at_best.nll);
    uint64_t right = 0;
    for (int32_t k = 0; k < titles->model.n_labels; k++) right += measures.labels[k].right;
    if (!titles->model.multi_label) CHECK_INT(measures.n_right, right);
    CHECK_INT(measures.all.right, right);
    measures_free(&measures);
}

static void against_loops(void) {
    static struct titles titles;
    struct check_random random = {3};
    for (int i = 0; i < 12; i++) {
        titles.model = (struct evaluation_model){
            .n_labels = 2 + i % 5, .multi_label = i >= 6, .temperature = 0.5 + 0.25 * i};
        make_titles(&titles, &random);
        check_random_titles(&titles);
    }
}

static void many_labels(void) {
    const float logits[] = {1, -1, 2, -3, 0, 4, -1, -1, -1};
    const uint8_t members[] = {1, 0, 0, 0, 1, 1, 0, 0, 0};
    const float thresholds[] = {0.0f, 0.6f, 0.9f};  // 0 is none
    struct measures measures;
    measure((struct evaluation_model){3, true, 1.0, NULL}, 3, logits, members, &measures);
    CHECK_INT(measures.n_right, 2);  // a logit of 0 is 0.5, which is enough
    CHECK(measures.confusion == NULL);
    CHECK_INT(measures.labels[2].predicted, 2);
    CHECK_INT(measures.labels[2].right, 1);
    CHECK_INT(measures.all.support, 3);
    CHECK_INT(measures.all.predicted, 4);
    CHECK_INT(measures.all.right, 3);
    CHECK_NEAR(measures.macro_f1, (1.0 + 1.0 + 2.0 / 3.0) / 3.0, 1e-12);
    measures_free(&measures);
    measure((struct evaluation_model){3, true, 1.0, thresholds}, 3, logits, members, &measures);
    CHECK_INT(measures.labels[0].predicted, 1);
    CHECK_INT(measures.labels[1].predicted, 0);
    CHECK_INT(measures.labels[2].predicted, 1);  // 0.88 is not, 0.98 is
    CHECK_INT(measures.n_right, 2);
    measures_free(&measures);
    // No label and none predicted: nothing has an F1.
    measure((struct evaluation_model){3, true, 1.0, NULL}, 1, logits + 6, members + 6, &measures);
    CHECK_INT(measures.n_macro, 0);
    CHECK(measures.macro_f1 == 0.0);
    CHECK_INT(measures.n_right, 1);
    measures_free(&measures);
}

// A probability that is a bin's end belongs to it: a third ends bin 4 of 15, and 1 the last.
static void bin_ends(void) {
    const float logits[] = {5, 5, 5, 900, 0, 0};
    const uint8_t members[] = {0, 1, 0, 1, 0, 0};
    struct measures measures;
    measure((struct evaluation_model){3, false, 1.0, NULL}, 2, logits, members, &measures);
    CHECK_INT(bin_of(&measures.reliability, 4).n, 1);
    CHECK_INT(bin_of(&measures.reliability, 4).n_right, 0);
    CHECK_INT(bin_of(&measures.reliability, 14).n, 1);
    CHECK_INT(bin_of(&measures.reliability, 14).n_right, 1);
    measures_free(&measures);
}

static void limits(void) {
    enum { WIDE = EVALUATION_CELLS_MAX / 2 };
    struct evaluation evaluation = {.model = {.n_labels = WIDE, .temperature = 1.0}};
    struct measures measures;
    struct error error;
    float *logits = calloc(WIDE, sizeof *logits);
    uint8_t *members = calloc(WIDE, 1);
    CHECK_INT(evaluation_measure(&evaluation, &measures, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "no title");
    members[7] = 1;
    logits[7] = 1.0f;
    for (int i = 0; i < 2; i++) {
        CHECK_INT(evaluation_add(&evaluation, logits, members, &error), STATUS_OK);
    }
    CHECK_INT(evaluation_add(&evaluation, logits, members, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "more than 2 titles");
    CHECK_INT(evaluation_measure(&evaluation, &measures, &error), STATUS_OK);
    CHECK(measures.confusion == NULL);
    CHECK_INT(measures.n_right, 2);
    CHECK(measures.high == 1.0 && measures.low < 1.0);
    measures_free(&measures);
    evaluation_free(&evaluation);
    free(logits);
    free(members);
}

int main(void) {
    by_hand();
    temperature_by_hand();
    temperature_edges();
    against_loops();
    many_labels();
    bin_ends();
    limits();
    return check_result();
}

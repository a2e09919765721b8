// SPDX-License-Identifier: Apache-2.0
//
// Rows of a calibrated model: probabilities at a temperature, titles that abstain.
#include "host/stream/row.h"

#include "tests/check.h"

static char *const labels[] = {"art", "science & \"tech\"", "tab\there"};
static const float logits[] = {0.5f, 2.0f, -1.25f};
static const struct field extra = {"year", 1};

static char scratch[RECORD_NBYTES_MAX];

struct setup {
    enum row_kind to;
    enum row_scores scores;
    enum row_probability probability;
    float temperature;        // 0: 1
    const float *thresholds;  // NULL: none
    int n_passthrough;
};

// The row for a line of TSV input, parsed first unless it has a status already.
static void check_row_of(struct setup setup, const char *line, enum record_status status,
                         const float *values, const char *want) {
    const struct record_format input = {.kind = RECORD_TSV,
                                        .id = {"1", 1},
                                        .title = {"2", 2},
                                        .passthrough = &extra,
                                        .n_passthrough = setup.n_passthrough};
    const struct row_format format = {
        .kind = setup.to,
        .scores = setup.scores,
        .input = &input,
        .labels = labels,
        .n_labels = 3,
        .probability = setup.probability,
        .temperature = setup.temperature > 0 ? setup.temperature : 1,
        .thresholds = setup.thresholds,
    };
    struct record record = {.line = span_text(line)};
    struct buffer row = {0};
    struct span title;
    record_parse(&input, &record, scratch, &title);
    if (status != RECORD_OK) record.status = status;
    row_add(&row, &format, &record, 12, record_is_bad(record.status) ? NULL : values);
    buffer_add(&row, "", 1);
    CHECK_STR(row.bytes, want);
    buffer_free(&row);
}

static void check_row(struct setup setup, const char *want) {
    check_row_of(setup, "12\tt", RECORD_OK, logits, want);
}

// Probabilities of logits / T, in double, beside the ones that rows get.
static void temperatures(void) {
    static const float values[] = {1e-3f, 0.05f, 0.5f, 1, 1.37f, 2, 30, 1e3f};
    struct check_random random = {.state = 7};
    struct label label;
    for (int i = 0; i < 400; i++) {
        float l[3];
        for (int k = 0; k < 3; k++) l[k] = ((float)check_below(&random, 20001) - 10000) / 1000;
        for (size_t t = 0; t < ARRAY_LEN(values); t++) {
            struct row_format format = {.n_labels = 3, .temperature = values[t]};
            const double T = values[t];
            const double top = fmax(l[0], fmax(l[1], l[2]));
            double sum = 0;
            for (int k = 0; k < 3; k++) sum += exp((l[k] - top) / T);
            CHECK(label_of_logits(&format, l, &label));
            CHECK(l[label.index] == (float)top);
            CHECK_NEAR(label.score, 1 / sum, 1e-6);
            for (int k = 0; k < 3; k++) {
                CHECK_NEAR(probability_of(&format, l, &label, k), exp((l[k] - top) / T) / sum,
                           1e-6);
            }
            format.probability = ROW_SIGMOID;
            CHECK(label_of_logits(&format, l, &label));
            CHECK(l[label.index] == (float)top);
            CHECK_NEAR(label.score, 1 / (1 + exp(-top / T)), 1e-6);
            for (int k = 0; k < 3; k++) {
                CHECK_NEAR(probability_of(&format, l, &label, k), 1 / (1 + exp(-l[k] / T)), 1e-6);
            }
        }
    }
    // Logits at the ends of float at the least temperature: no NaN.
    static const float far[] = {3e38f, -3e38f, 3e38f};
    for (int kind = ROW_SOFTMAX; kind <= ROW_SIGMOID; kind++) {
        const struct row_format format = {
            .n_labels = 3, .probability = (enum row_probability)kind, .temperature = 1e-3f};
        const float want = kind == ROW_SOFTMAX ? 0.5f : 1.0f;
        CHECK(label_of_logits(&format, far, &label) && label.score == want);
        CHECK(probability_of(&format, far, &label, 1) == 0);
        CHECK(probability_of(&format, far, &label, 2) == want);
    }
    const struct setup half = {.scores = SCORES_ALL, .temperature = 0.5f};
    check_row(
        half,
        "{\"id\":\"12\",\"label\":\"science & \\\"tech\\\"\",\"score\":0.951212,\"scores\":{"
        "\"art\":0.047358,\"science & \\\"tech\\\"\":0.951212,\"tab\\u0009here\":0.001430}}\n");
    struct setup raw = half;
    raw.scores = SCORES_LOGITS;
    raw.to = ROW_TSV;
    check_row(raw, "12\tscience & \"tech\"\t0.951212\t0.5\t2\t-1.25\t\n");
}

// The very floats of before there were temperatures.
static void temperature_one(void) {
    const struct row_format softmax = {.n_labels = 3, .temperature = 1};
    struct row_format sigmoid = softmax;
    sigmoid.probability = ROW_SIGMOID;
    struct check_random random = {.state = 8};
    struct label label;
    for (int i = 0; i < 2000; i++) {
        float l[3], top = -INFINITY, sum = 0;
        for (int k = 0; k < 3; k++) {
            l[k] = (float)check_next(&random) / 0x1p60f - 8;
            top = fmaxf(top, l[k]);
        }
        for (int k = 0; k < 3; k++) sum += expf(l[k] - top);
        const float score = 1.0f / sum;
        CHECK(label_of_logits(&softmax, l, &label) && label.score == score);
        for (int k = 0; k < 3; k++) {
            CHECK(probability_of(&softmax, l, &label, k) == expf(l[k] - top) * score);
        }
        CHECK(label_of_logits(&sigmoid, l, &label) && label.score == 1.0f / (1.0f + expf(-top)));
        for (int k = 0; k < 3; k++) {
            CHECK(probability_of(&sigmoid, l, &label, k) == 1.0f / (1.0f + expf(-l[k])));
        }
    }
}

#define SILENT "\"label\":null,\"score\":0.792453"

// Below its threshold a title has its scores and no label; it is no truncated one either.
static void abstains(void) {
    static const float strict[] = {0, 0.9f, 0};
    const struct setup top = {.thresholds = strict};
    struct setup all = top, raw = top, tsv = top, wide = top, passed = top, sure = top;
    check_row(top, "{\"id\":\"12\"," SILENT ",\"status\":\"abstain\"}\n");
    check_row_of(top, "12\tt", RECORD_TRUNCATED, logits,
                 "{\"id\":\"12\"," SILENT ",\"status\":\"abstain\"}\n");
    all.scores = SCORES_ALL;
    check_row(all, "{\"id\":\"12\"," SILENT
                   ",\"scores\":{\"art\":0.176820,\"science & \\\"tech\\\"\":"
                   "0.792453,\"tab\\u0009here\":0.030727},\"status\":\"abstain\"}\n");
    raw.scores = SCORES_LOGITS;
    check_row(raw, "{\"id\":\"12\"," SILENT ",\"logits\":[0.5,2,-1.25],\"status\":\"abstain\"}\n");
    tsv.to = ROW_TSV;
    check_row(tsv, "12\t\t0.792453\tabstain\n");
    wide.to = ROW_TSV;
    wide.scores = SCORES_ALL;
    check_row(wide, "12\t\t0.792453\t0.176820\t0.792453\t0.030727\tabstain\n");
    passed.to = ROW_TSV;
    passed.n_passthrough = 1;
    check_row(passed, "12\t\t0.792453\tabstain\t12\n");
    // A sigmoid of 2 is 0.880797, at a temperature of 0.5 0.982014.
    sure.probability = ROW_SIGMOID;
    check_row(sure, "{\"id\":\"12\",\"label\":null,\"score\":0.880797,\"status\":\"abstain\"}\n");
    sure.temperature = 0.5f;
    check_row(sure, "{\"id\":\"12\",\"label\":\"science & \\\"tech\\\"\",\"score\":0.982014}\n");
    const float never[] = {1, NAN, 1};
    check_row_of(all, "12\tt", RECORD_OK, never,
                 "{\"id\":\"12\",\"label\":null,\"status\":\"nonfinite_logits\"}\n");
    check_row_of(wide, "12\tt", RECORD_BLANK, NULL, "12\t\t\t\t\t\tblank_line\n");
}

// Only the label's own threshold counts, and it is not below itself.
static void abstains_at(void) {
    const struct row_format plain = {.n_labels = 3, .temperature = 1};
    struct label label;
    CHECK(label_of_logits(&plain, logits, &label) && !label_abstains(&plain, &label));
    const float score = label.score;
    const struct {
        float thresholds[3];
        bool want;
    } cases[] = {
        {{1, score, 1}, false}, {{0, nextafterf(score, 1), 0}, true},  {{1, 0, 1}, false},
        {{0, 1, 0}, true},      {{0, nextafterf(score, 0), 0}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct row_format format = plain;
        format.thresholds = cases[i].thresholds;
        CHECK_INT(label_abstains(&format, &label), cases[i].want);
        const struct setup setup = {.thresholds = cases[i].thresholds};
        check_row(
            setup,
            cases[i].want
                ? "{\"id\":\"12\"," SILENT ",\"status\":\"abstain\"}\n"
                : "{\"id\":\"12\",\"label\":\"science & \\\"tech\\\"\",\"score\":0.792453}\n");
    }
    // A score of exactly 1 reaches a threshold of 1.
    const float one[] = {1, 1, 1};
    struct row_format certain = plain;
    certain.thresholds = one;
    CHECK(label_of_logits(&certain, (const float[]){300, 0, 0}, &label));
    CHECK(label.score == 1 && !label_abstains(&certain, &label));
}

int main(void) {
    temperatures();
    temperature_one();
    abstains();
    abstains_at();
    return check_result();
}

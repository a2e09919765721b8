// SPDX-License-Identifier: Apache-2.0
//
// Rows, byte for byte: every kind of id and status, scores in all their forms, passed-through
// fields, and logits that give no label.
#include "host/stream/row.h"

#include "tests/check.h"

static char *const labels[] = {"art", "science & \"tech\"", "tab\there"};
static const float logits[] = {0.5f, 2.0f, -1.25f};
static const struct field extra[] = {{"year", 1}, {"/a/b", 3}, {"no", 9}};

static char scratch[RECORD_NBYTES_MAX];

struct setup {
    enum record_kind from;
    enum row_kind to;
    enum row_scores scores;
    int n_passthrough;
    enum row_probability probability;
};

static struct record_format record_format_of(struct setup setup) {
    const bool tsv = setup.from == RECORD_TSV;
    return (struct record_format){.kind = setup.from,
                                  .id = {tsv ? "1" : "id", 1},
                                  .title = {tsv ? "2" : "title", 2},
                                  .passthrough = extra,
                                  .n_passthrough = setup.n_passthrough};
}

// The row for `line`, parsed first unless it has a status already.
static void check_row_of(struct setup setup, struct span line, enum record_status status,
                         const float *values, const char *want) {
    const struct record_format input = record_format_of(setup);
    const struct row_format format = {.kind = setup.to,
                                      .scores = setup.scores,
                                      .input = &input,
                                      .labels = labels,
                                      .n_labels = 3,
                                      .probability = setup.probability,
                                      .temperature = 1};
    struct record record = {.line = line};
    struct buffer row = {0};
    struct span title;
    record_parse(&input, &record, scratch, &title);
    if (status != RECORD_OK) record.status = status;
    row_add(&row, &format, &record, 12, record_is_bad(record.status) ? NULL : values);
    buffer_add(&row, "", 1);
    CHECK_STR(row.bytes, want);
    buffer_free(&row);
}

static void check_row(struct setup setup, const char *line, const char *want) {
    check_row_of(setup, span_text(line), RECORD_OK, logits, want);
}

#define LABELLED "\"label\":\"science & \\\"tech\\\"\",\"score\":0.792453"

static void ids(void) {
    static const struct {
        const char *id, *json, *tsv;
    } cases[] = {
        {"\"a\"", "\"a\"", "a"},
        {"7", "7", "7"},
        {"-0.50e+3", "-0.50e+3", "-0.50e+3"},
        {"123456789012345678901234567890", "123456789012345678901234567890",
         "123456789012345678901234567890"},
        {"null", "null", "null"},
        {"false", "false", "false"},
        {"[1, {\"a\":\"\\t\"}]", "[1, {\"a\":\"\\t\"}]", "[1, {\"a\":\"\\\\t\"}]"},
        {"[1,\r\"\\r\"\r]", "[1, \"\\r\" ]", "[1, \"\\\\r\" ]"},
        {"\"\"", "\"\"", ""},
        {"\"a\\tb\\n\\\\c\\u0041\"", "\"a\\tb\\n\\\\c\\u0041\"", "a\\tb\\n\\\\cA"},
        {"\"\\ud83d\\ude00\\ud800\"", "\"\\ud83d\\ude00\\ud800\"", "\xf0\x9f\x98\x80\xef\xbf\xbd"},
        {"\"x\xff\xe2\x80y\"", "\"x\xef\xbf\xbd\xef\xbf\xbdy\"", "x\xef\xbf\xbd\xef\xbf\xbdy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[200], want[200];
        snprintf(line, sizeof line, "{\"title\":\"t\",\"id\":%s}", cases[i].id);
        snprintf(want, sizeof want, "{\"id\":%s," LABELLED "}\n", cases[i].json);
        check_row((struct setup){.from = RECORD_JSONL}, line, want);
        snprintf(want, sizeof want, "%s\tscience & \"tech\"\t0.792453\t\n", cases[i].tsv);
        check_row((struct setup){.from = RECORD_JSONL, .to = ROW_TSV}, line, want);
    }
    check_row((struct setup){.from = RECORD_TEXT}, "t", "{\"id\":12," LABELLED "}\n");
    check_row((struct setup){.from = RECORD_TEXT, .to = ROW_TSV}, "t",
              "12\tscience & \"tech\"\t0.792453\t\n");
    check_row((struct setup){.from = RECORD_TSV}, "007\tt", "{\"id\":\"007\"," LABELLED "}\n");
    check_row((struct setup){.from = RECORD_TSV}, "\tt", "{\"id\":\"\"," LABELLED "}\n");
    check_row((struct setup){.from = RECORD_TSV}, "a\\\"\x01\xff\tt",
              "{\"id\":\"a\\\\\\\"\\u0001\xef\xbf\xbd\"," LABELLED "}\n");
    check_row((struct setup){.from = RECORD_TSV, .to = ROW_TSV}, "a\\t\tt",
              "a\\\\t\tscience & \"tech\"\t0.792453\t\n");
    check_row((struct setup){.from = RECORD_TSV, .to = ROW_TSV}, "\tt",
              "\tscience & \"tech\"\t0.792453\t\n");
}

static void long_id(void) {
    struct buffer line = {0}, want = {0};
    buffer_add_text(&line, "{\"title\":\"\",\"id\":\"");
    for (int i = 0; i < 100000; i++) buffer_add_text(&line, "\\u00e9");
    buffer_add_text(&line, "\"}");
    for (int i = 0; i < 100000; i++) buffer_add_text(&want, "\xc3\xa9");
    buffer_add(&want, "\tscience & \"tech\"\t0.792453\t\n",
               sizeof "\tscience & \"tech\"\t0.792453\t\n");
    check_row_of((struct setup){.from = RECORD_JSONL, .to = ROW_TSV},
                 (struct span){line.bytes, line.len}, RECORD_OK, logits, want.bytes);
    buffer_free(&line);
    buffer_free(&want);
}

static void scores(void) {
    check_row((struct setup){.scores = SCORES_ALL}, "t",
              "{\"id\":12," LABELLED
              ",\"scores\":{\"art\":0.176820,\"science & \\\"tech\\\"\":"
              "0.792453,\"tab\\u0009here\":0.030727}}\n");
    check_row((struct setup){.scores = SCORES_LOGITS}, "t",
              "{\"id\":12," LABELLED ",\"logits\":[0.5,2,-1.25]}\n");
    check_row((struct setup){.to = ROW_TSV, .scores = SCORES_ALL}, "t",
              "12\tscience & \"tech\"\t0.792453\t0.176820\t0.792453\t0.030727\t\n");
    check_row((struct setup){.to = ROW_TSV, .scores = SCORES_LOGITS}, "t",
              "12\tscience & \"tech\"\t0.792453\t0.5\t2\t-1.25\t\n");
    static const float odd[] = {0.1f, -0.0f, 1.1754944e-38f};
    check_row_of((struct setup){.scores = SCORES_LOGITS}, (struct span){"t", 1}, RECORD_OK, odd,
                 "{\"id\":12,\"label\":\"art\",\"score\":0.355913,\"logits\":[0.100000001,-0,"
                 "1.17549435e-38]}\n");
}

// A sigmoid for each label: they sum to what they like.
static void multi_label(void) {
    const struct setup top = {.probability = ROW_SIGMOID};
    struct setup all = top, tsv = top, raw = top;
    all.scores = SCORES_ALL;
    raw.scores = SCORES_LOGITS;
    tsv.scores = SCORES_ALL;
    tsv.to = ROW_TSV;
    check_row(top, "t", "{\"id\":12,\"label\":\"science & \\\"tech\\\"\",\"score\":0.880797}\n");
    check_row(
        all, "t",
        "{\"id\":12,\"label\":\"science & \\\"tech\\\"\",\"score\":0.880797,\"scores\":{"
        "\"art\":0.622459,\"science & \\\"tech\\\"\":0.880797,\"tab\\u0009here\":0.222700}}\n");
    check_row(raw, "t",
              "{\"id\":12,\"label\":\"science & \\\"tech\\\"\",\"score\":0.880797,\"logits\":["
              "0.5,2,-1.25]}\n");
    check_row(tsv, "t", "12\tscience & \"tech\"\t0.880797\t0.622459\t0.880797\t0.222700\t\n");
    static const float far[] = {-3e38f, -200, -0.0f}, none[] = {-40, -3, -88};
    check_row_of(tsv, (struct span){"t", 1}, RECORD_OK, far,
                 "12\ttab\\there\t0.500000\t0.000000\t0.000000\t0.500000\t\n");
    check_row_of(tsv, (struct span){"t", 1}, RECORD_OK, none,
                 "12\tscience & \"tech\"\t0.047426\t0.000000\t0.047426\t0.000000\t\n");
    struct label label;
    const struct row_format two = {.n_labels = 2, .probability = ROW_SIGMOID, .temperature = 1};
    CHECK(label_of_logits(&two, (const float[]){3e38f, 3e38f}, &label));
    CHECK(label.index == 0 && label.score == 1.0f);
    for (float x = -20; x < 20; x += 0.37f) {
        const float values[] = {x, x - 1};
        CHECK(label_of_logits(&two, values, &label));
        CHECK_NEAR(label.score, 1 / (1 + exp(-(double)x)), 1e-6);
        const double other = probability_of(&two, values, &label, 1);
        CHECK_NEAR(other, 1 / (1 + exp(-(double)values[1])), 1e-6);
    }
}

static void bad(void) {
    for (int s = RECORD_BAD_JSON; s < RECORD_STATUS_COUNT; s++) {
        const enum record_status status = (enum record_status)s;
        const char *name = record_status_name(status);
        char want[200];
        snprintf(want, sizeof want, "{\"id\":12,\"label\":null,\"status\":\"%s\"}\n", name);
        check_row_of((struct setup){0}, (struct span){"t", 1}, status, NULL, want);
        check_row_of((struct setup){.scores = SCORES_ALL}, (struct span){"t", 1}, status, NULL,
                     want);
        snprintf(want, sizeof want, "12\t\t\t%s\n", name);
        check_row_of((struct setup){.to = ROW_TSV}, (struct span){"t", 1}, status, NULL, want);
        snprintf(want, sizeof want, "12\t\t\t\t\t\t%s\n", name);
        check_row_of((struct setup){.to = ROW_TSV, .scores = SCORES_LOGITS}, (struct span){"t", 1},
                     status, NULL, want);
    }
    check_row((struct setup){.from = RECORD_JSONL}, "{\"title\":\"t\"}",
              "{\"id\":null,\"label\":null,\"status\":\"missing_id\"}\n");
    check_row((struct setup){.from = RECORD_JSONL, .to = ROW_TSV}, "{", "\t\t\tbad_json\n");
    check_row((struct setup){.from = RECORD_JSONL}, "{\"id\":\"k\",\"title\":3}",
              "{\"id\":\"k\",\"label\":null,\"status\":\"title_not_a_string\"}\n");
    check_row_of((struct setup){0}, (struct span){"t", 1}, RECORD_TRUNCATED, logits,
                 "{\"id\":12," LABELLED ",\"status\":\"truncated\"}\n");
    check_row_of((struct setup){.to = ROW_TSV}, (struct span){"t", 1}, RECORD_TRUNCATED, logits,
                 "12\tscience & \"tech\"\t0.792453\ttruncated\n");
}

static void passthrough(void) {
    const struct setup json = {.from = RECORD_JSONL, .n_passthrough = 3};
    const struct setup json_to_tsv = {.from = RECORD_JSONL, .to = ROW_TSV, .n_passthrough = 3};
    const struct setup tsv = {.from = RECORD_TSV, .n_passthrough = 3};
    const struct setup tsv_to_tsv = {.from = RECORD_TSV, .to = ROW_TSV, .n_passthrough = 3};
    const char *line = "{\"id\":1,\"title\":\"t\",\"year\":1999,\"a\":{\"b\":\"x\\ty\"}}";
    check_row(json, line, "{\"id\":1," LABELLED ",\"year\":1999,\"/a/b\":\"x\\ty\",\"no\":null}\n");
    check_row(json_to_tsv, line, "1\tscience & \"tech\"\t0.792453\t\t1999\tx\\ty\t\n");
    check_row(json, "{\"id\":1,\"year\":[1,\"\xff\"]}",
              "{\"id\":1,\"label\":null,\"status\":\"missing_title\",\"year\":[1,\"\xef\xbf\xbd\"],"
              "\"/a/b\":null,\"no\":null}\n");
    check_row(json, "{\"id\":1,",
              "{\"id\":null,\"label\":null,\"status\":\"bad_json\",\"year\":null,\"/a/b\":null,"
              "\"no\":null}\n");
    check_row(tsv, "i\tt\tz\"",
              "{\"id\":\"i\"," LABELLED ",\"year\":\"i\",\"/a/b\":\"z\\\"\",\"no\":null}\n");
    check_row(tsv_to_tsv, "i\tt\tz\\", "i\tscience & \"tech\"\t0.792453\t\ti\tz\\\\\t\n");
}

static void header(void) {
    const struct record_format input = record_format_of((struct setup){.n_passthrough = 2});
    struct row_format format = {.kind = ROW_TSV, .input = &input, .labels = labels, .n_labels = 3};
    struct buffer row = {0};
    row_add_header(&row, &format);
    format.scores = SCORES_ALL;
    row_add_header(&row, &format);
    format.scores = SCORES_LOGITS;
    row_add_header(&row, &format);
    buffer_add(&row, "", 1);
    CHECK_STR(row.bytes,
              "id\tlabel\tscore\tstatus\tyear\t/a/b\n"
              "id\tlabel\tscore\tart\tscience & \"tech\"\ttab\\there\tstatus\tyear\t/a/b\n"
              "id\tlabel\tscore\tart\tscience & \"tech\"\ttab\\there\tstatus\tyear\t/a/b\n");
    buffer_free(&row);
}

static void tops(void) {
    static const struct {
        float logits[3];
        int32_t index;
        double score;
    } cases[] = {
        {{1, 1, 1}, 0, 1.0 / 3.0},     {{0, 1, 1}, 1, 1.0 / (2.0 + 0.36787944)},
        {{-1, -2, -1}, 0, 0.42231880}, {{-0.0f, 0.0f, 0.0f}, 0, 1.0 / 3.0},
        {{3e38f, -3e38f, 0}, 0, 1.0},  {{-3e38f, -3e38f, -3e38f}, 0, 1.0 / 3.0},
        {{100, 200, 300}, 2, 1.0},
    };
    struct label label;
    const struct row_format one = {.n_labels = 1, .temperature = 1};
    const struct row_format three = {.n_labels = 3, .temperature = 1};
    const struct row_format sigmoids = {
        .n_labels = 3, .probability = ROW_SIGMOID, .temperature = 1};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(label_of_logits(&three, cases[i].logits, &label));
        CHECK_INT(label.index, cases[i].index);
        CHECK_NEAR(label.score, cases[i].score, 1e-6);
        double sum = 0;
        for (int32_t k = 0; k < 3; k++) sum += probability_of(&three, cases[i].logits, &label, k);
        CHECK_NEAR(sum, 1.0, 1e-6);
        CHECK_NEAR(probability_of(&three, cases[i].logits, &label, label.index), label.score, 0);
    }
    CHECK(label_of_logits(&one, (const float[]){-7.0f}, &label));
    CHECK(label.index == 0 && label.score == 1.0f);
    for (int k = 0; k < 3; k++) {
        static const float never[] = {NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < ARRAY_LEN(never); i++) {
            float values[] = {1, 2, 3};
            values[k] = never[i];
            CHECK(!label_of_logits(&three, values, &label));
            CHECK(!label_of_logits(&sigmoids, values, &label));
            check_row_of((struct setup){.scores = SCORES_LOGITS}, (struct span){"t", 1}, RECORD_OK,
                         values, "{\"id\":12,\"label\":null,\"status\":\"nonfinite_logits\"}\n");
            check_row_of((struct setup){.to = ROW_TSV, .scores = SCORES_ALL}, (struct span){"t", 1},
                         RECORD_TRUNCATED, values, "12\t\t\t\t\t\tnonfinite_logits\n");
        }
    }
}

int main(void) {
    ids();
    long_id();
    scores();
    multi_label();
    bad();
    passthrough();
    header();
    tops();
    return check_result();
}

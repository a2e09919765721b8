// SPDX-License-Identifier: Apache-2.0
//
// The audit: right runs pass over thousands of rows, whatever the batches; a wrong logit and a
// wrong token id are found; the sample is as large as it should be, and the same one each time.
#include "host/stream/audit.h"

#include <stdlib.h>

#include "tests/check.h"
#include "tests/support/must.h"
#include "tests/support/stream_rig.h"

enum { N_RECORDS = 6000, BAD_PERCENT = 5 };

static struct rig rig;
static struct totals expected;
static char input_path[TEMP_PATH_MAX], output_path[TEMP_PATH_MAX];

static struct encoder *reference_of(int32_t batch_tokens, int64_t lie_at) {
    const struct fake_encoder_spec spec = {.batch_tokens = batch_tokens,
                                           .titles_cap = batch_tokens / 2,
                                           .n_slots = 3,
                                           .max_length = RIG_MAX_LENGTH,
                                           .n_threads = 2,
                                           .fail_at = -1,
                                           .lie_at = lie_at,
                                           .nan_id = rig.nan_id};
    return fake_encoder_create(&spec);
}

static struct audit *open_audit(int32_t n_rows, struct encoder *reference) {
    const struct audit_setup setup = {.n_rows = n_rows,
                                      .tokenizer = rig.tokenizer,
                                      .max_length = RIG_MAX_LENGTH,
                                      .reference = reference,
                                      .format = &rig.record_format,
                                      .labels = rig.row_format.labels,
                                      .input = "in.jsonl",
                                      .tolerance = 2e-4};
    struct audit *audit;
    struct error error;
    must(audit_create(&setup, &audit, &error), &error);
    return audit;
}

// A whole run with an audit; how the audit ended.
static enum status run(int32_t n_rows, int32_t batch_tokens, int64_t lie_at,
                       int64_t reference_lie_at, struct audit_result *result, struct error *error) {
    struct encoder *reference = reference_of(batch_tokens / 2 + RIG_MAX_LENGTH, reference_lie_at);
    struct rig_run spec = {.batch_tokens = batch_tokens,
                           .titles_cap = batch_tokens / 2,
                           .n_slots = 3,
                           .n_tokenizers = 2,
                           .n_threads = 2,
                           .flush_ms = -1,
                           .fail_at = -1,
                           .lie_at = lie_at,
                           .audit = open_audit(n_rows, reference)};
    struct totals totals;
    must(rig_run(&rig, &spec, input_path, output_path, &totals, error), error);
    enum status status = audit_finish(spec.audit, NULL, result, error);
    audit_destroy(spec.audit);
    CHECK_STR(fake_encoder_fault(reference), "");
    encoder_destroy(reference);
    return status;
}

static uint64_t n_good(void) {
    return expected.records - totals_bad(&expected);
}

static void test_right(void) {
    static const int32_t sizes[] = {1, 2, 17, 1000, N_RECORDS, 2 * N_RECORDS};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct audit_result result;
        struct error error = {""};
        const enum status status = run(sizes[i], 64 + (int32_t)i * 100, 0, 0, &result, &error);
        CHECK_INT(status, STATUS_OK);
        CHECK_STR(error.text, "");
        const uint64_t most = (uint64_t)sizes[i];
        CHECK_INT(result.rows, most < n_good() ? most : n_good());
        CHECK_NEAR(result.apart, 0, 0);
    }
}

// All rows are looked at: whichever title is wrong, it is found, and named the same each time.
static void test_wrong_logits(void) {
    for (int64_t lie_at = 1; lie_at <= 41; lie_at += 8) {
        struct audit_result result;
        struct error first = {""}, again = {""};
        CHECK_INT(run(N_RECORDS, 256, lie_at, 0, &result, &first), STATUS_MODEL);
        CHECK_CONTAINS(first.text, "in.jsonl: record ");
        CHECK_CONTAINS(first.text, "the logit of \"art\"");
        CHECK(result.apart >= 1);
        CHECK_INT(run(N_RECORDS, 256, lie_at, 0, &result, &again), STATUS_MODEL);
        CHECK_STR(again.text, first.text);
    }
    struct audit_result result;
    struct error error;
    CHECK_INT(run(500, 256, 0, 2, &result, &error), STATUS_MODEL);
}

// Which rows are the sample: those that a lie of the reference's in its first batch, whose first
// title has the lowest number of all, names. It does not depend on the batches.
static void test_sample(void) {
    struct audit_result result;
    struct error first = {""}, again = {""};
    CHECK_INT(run(100, 64, 0, 1, &result, &first), STATUS_MODEL);
    for (int32_t batch_tokens = 100; batch_tokens < 2000; batch_tokens *= 3) {
        CHECK_INT(run(100, batch_tokens, 0, 1, &result, &again), STATUS_MODEL);
        CHECK_STR(again.text, first.text);
    }
}

// ---- row by row

// Shows the audit a row whose logits or ids are what the encoder says, but for one.
static enum status see(struct audit *audit, uint64_t number, int32_t *changed_id,
                       float *changed_logit, struct error *error) {
    char line[] = "{\"id\":7,\"title\":\"abc de\"}";
    struct record record = {.line = {line, sizeof line - 1}, .offset = 70, .id = {"7", 1}};
    int32_t ids[RIG_MAX_LENGTH];
    float logits[FAKE_LABELS];
    record.n_tokens =
        tokenizer_encode(rig.tokenizer, span_text("abc de"), RIG_MAX_LENGTH, ids).n_ids;
    fake_encoder_logits(ids, record.n_tokens, rig.nan_id, logits);
    if (changed_id != NULL) ids[2] = *changed_id;
    if (changed_logit != NULL) logits[0] = *changed_logit;
    return audit_see(audit, &record, number, ids, logits, error);
}

static void test_wrong_ids(void) {
    struct encoder *reference = reference_of(64, 0);
    struct audit *audit = open_audit(3, reference);
    struct error error = {""};
    int32_t id = 1;
    CHECK_INT(see(audit, 1, NULL, NULL, &error), STATUS_OK);
    CHECK_INT(see(audit, 2, &id, NULL, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "in.jsonl: record 2 at byte 70: ");
    CHECK_CONTAINS(error.text, "token 2 is 1 by the run");
    audit_destroy(audit);
    encoder_destroy(reference);
}

// What is in the tolerance and what is beyond it, and what is not a number.
static void test_tolerance(void) {
    struct encoder *reference = reference_of(64, 0);
    int32_t ids[RIG_MAX_LENGTH];
    float logits[FAKE_LABELS], largest = 1;
    const int32_t n =
        tokenizer_encode(rig.tokenizer, span_text("abc de"), RIG_MAX_LENGTH, ids).n_ids;
    fake_encoder_logits(ids, n, rig.nan_id, logits);
    for (int k = 0; k < FAKE_LABELS; k++) largest = fmaxf(largest, fabsf(logits[k]));
    const struct {
        float logit;
        enum status status;
    } cases[] = {{logits[0] + 1.9e-4F * largest, STATUS_OK},
                 {logits[0] - 1.9e-4F * largest, STATUS_OK},
                 {logits[0] + 2.2e-4F * largest, STATUS_MODEL},
                 {logits[0] - 2.2e-4F * largest, STATUS_MODEL},
                 {NAN, STATUS_MODEL},
                 {INFINITY, STATUS_MODEL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct audit *audit = open_audit(5, reference);
        struct audit_result result;
        struct error error = {""};
        float changed = cases[i].logit;
        must(see(audit, 1, NULL, NULL, &error), &error);
        must(see(audit, 2, NULL, &changed, &error), &error);
        CHECK_INT(audit_finish(audit, NULL, &result, &error), cases[i].status);
        CHECK_INT(result.rows, 2);
        if (cases[i].status != STATUS_OK) CHECK_CONTAINS(error.text, "record 2 at byte 70");
        audit_destroy(audit);
    }
    encoder_destroy(reference);
}

static bool stopped(void) {
    return true;
}

static void test_ends(void) {
    struct encoder *reference = reference_of(64, 0);
    struct audit *audit = open_audit(5, reference);
    struct audit_result result;
    struct error error = {""};
    CHECK_INT(audit_finish(audit, stopped, &result, &error), STATUS_OK);  // nothing to compute
    audit_destroy(audit);
    audit = open_audit(5, reference);
    must(see(audit, 1, NULL, NULL, &error), &error);
    CHECK_INT(audit_finish(audit, stopped, &result, &error), STATUS_AGAIN);
    audit_destroy(audit);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // who end the program then
    const struct audit_setup huge = {.n_rows = INT32_MAX,
                                     .tokenizer = rig.tokenizer,
                                     .max_length = INT32_MAX,
                                     .reference = reference};
    CHECK_INT(audit_create(&huge, &audit, &error), STATUS_IO);
    CHECK(audit == NULL);
#endif
    encoder_destroy(reference);
}

int main(void) {
    struct buffer catalog = {0}, rows = {0};
    struct error error;
    rig_open(&rig, RECORD_JSONL, ROW_JSONL);
    rig_catalog(&rig, &catalog, N_RECORDS, BAD_PERCENT, 11);
    rig_expect(&rig, (struct span){catalog.bytes, catalog.len}, &rows, &expected);
    temp_dir_write(rig.dir, "in.jsonl", catalog.bytes, catalog.len);
    must(path_join(input_path, sizeof input_path, rig.dir, "in.jsonl", &error), &error);
    must(path_join(output_path, sizeof output_path, rig.dir, "out.jsonl", &error), &error);
    CHECK(n_good() > 5000);
    test_right();
    test_wrong_logits();
    test_sample();
    test_wrong_ids();
    test_tolerance();
    test_ends();
    buffer_free(&catalog);
    buffer_free(&rows);
    rig_close(&rig);
    return check_result();
}

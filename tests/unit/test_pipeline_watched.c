// SPDX-License-Identifier: Apache-2.0
//
// A stream without an output: the watcher sees every record with its logits, in order; a first line
// that is no record is left out; and whoever watches or reads the first line may end the run.
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/stream_rig.h"

enum { NOWHERE = 1 << 30 };

// Makes the rows that an output would have got.
struct watched {
    const struct rig *rig;
    struct buffer rows;
    uint64_t shift;    // of numbers, by a header
    uint64_t fail_at;  // a record's number
    uint64_t n;
};

static enum status watch(void *context, const struct record *record, uint64_t number,
                         const float *logits, struct error *error) {
    struct watched *watched = context;
    struct record copy = *record;
    CHECK_INT(number, ++watched->n + watched->shift);
    CHECK_INT(logits == NULL, record_is_bad(record->status));
    row_add(&watched->rows, &watched->rig->row_format, &copy, number - watched->shift, logits);
    if (number != watched->fail_at) return STATUS_OK;
    return error_set(error, STATUS_ROWS, "record %llu is not liked", (unsigned long long)number);
}

struct first_line {
    const char *want;
    bool is_header;
    enum status status;
    int n;
};

static enum status read_first_line(void *context, struct span line, struct record_format *format,
                                   bool *is_header, struct error *error) {
    struct first_line *first = context;
    first->n++;
    CHECK(span_equal(line, first->want));
    CHECK(format->kind == RECORD_TSV || format->kind == RECORD_JSONL);
    *is_header = first->is_header;
    format->title.column = 2;  // where it is; the run begins with another one
    if (first->status == STATUS_OK) return STATUS_OK;
    return error_set(error, first->status, "the first line is not liked");
}

static enum status run_watched(const struct rig *rig, struct rig_run run, struct span catalog,
                               struct watched *watched, struct first_line *first,
                               struct totals *totals, struct error *error) {
    char path[TEMP_PATH_MAX];
    struct rig running = *rig;
    if (first != NULL) running.record_format.title.column = 77;
    path_join(path, sizeof path, rig->dir, "in", NULL);
    temp_dir_write(rig->dir, "in", catalog.len > 0 ? catalog.ptr : "", catalog.len);
    *error = (struct error){""};
    watched->rig = rig;
    watched->n = 0;
    buffer_clear(&watched->rows);
    run.fail_at = -1;
    run.watcher = (struct record_watcher){true, watch, watched};
    if (first != NULL) run.first_line = (struct first_line_reader){read_first_line, first};
    enum status status = rig_run(&running, &run, path, NULL, totals, error);
    unlink(path);
    return status;
}

static void check_rows(const struct watched *watched, const struct buffer *want) {
    CHECK_INT(watched->rows.len, want->len);
    CHECK(watched->rows.len == want->len &&
          (want->len == 0 || memcmp(watched->rows.bytes, want->bytes, want->len) == 0));
}

static const struct rig_run runs[] = {
    {.batch_tokens = 2048, .titles_cap = 128, .n_slots = 2, .n_tokenizers = 1, .flush_ms = -1},
    {.batch_tokens = 333,
     .titles_cap = 7,
     .n_slots = 3,
     .n_tokenizers = 4,
     .n_threads = 2,
     .flush_ms = 0},
};

static void every_record(void) {
    struct rig rig;
    struct buffer catalog = {0}, want = {0};
    struct watched watched = {.fail_at = NOWHERE};
    struct totals totals, expected;
    struct error error;
    rig_open(&rig, RECORD_JSONL, ROW_JSONL);
    rig_catalog(&rig, &catalog, 6000, 10, 21);
    const struct span bytes = {catalog.bytes, catalog.len};
    rig_expect(&rig, bytes, &want, &expected);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        CHECK_INT(run_watched(&rig, runs[i], bytes, &watched, NULL, &totals, &error), STATUS_OK);
        check_rows(&watched, &want);
        CHECK_INT(totals.records, expected.records);
        CHECK_INT(totals.by_status[RECORD_NONFINITE], 0);
        CHECK_INT(totals_bad(&totals),
                  totals_bad(&expected) - expected.by_status[RECORD_NONFINITE]);
        watched.fail_at = 4321;
        CHECK_INT(run_watched(&rig, runs[i], bytes, &watched, NULL, &totals, &error), STATUS_ROWS);
        CHECK_STR(error.text, "record 4321 is not liked");
        CHECK_INT(watched.n, 4321);
        watched.fail_at = NOWHERE;
    }
    CHECK(expected.by_status[RECORD_NONFINITE] > 0);
    buffer_free(&catalog);
    buffer_free(&want);
    buffer_free(&watched.rows);
    rig_close(&rig);
}

static void check_first_line(const struct rig *rig, struct rig_run run, const char *line,
                             struct span rest, bool is_header) {
    struct buffer catalog = {0}, want = {0};
    struct watched watched = {.fail_at = NOWHERE, .shift = is_header};
    struct first_line first = {.want = line, .is_header = is_header};
    struct totals totals, expected;
    struct error error;
    buffer_add_text(&catalog, "\xef\xbb\xbf");
    buffer_add_text(&catalog, line);
    if (rest.len > 0) buffer_add_text(&catalog, "\r\n");
    buffer_add(&catalog, rest.ptr, rest.len);
    const struct span bytes = {catalog.bytes, catalog.len}, whole = {bytes.ptr + 3, bytes.len - 3};
    rig_expect(rig, is_header ? rest : whole, &want, &expected);
    CHECK_INT(run_watched(rig, run, bytes, &watched, &first, &totals, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK_INT(first.n, 1);
    CHECK_INT(totals.records, expected.records);
    check_rows(&watched, &want);
    first.status = STATUS_USAGE;
    CHECK_INT(run_watched(rig, run, bytes, &watched, &first, &totals, &error), STATUS_USAGE);
    CHECK_STR(error.text, "the first line is not liked");
    CHECK_INT(totals.records, 0);
    buffer_free(&catalog);
    buffer_free(&want);
    buffer_free(&watched.rows);
}

static void first_lines(void) {
    struct rig rig;
    struct buffer catalog = {0};
    rig_open(&rig, RECORD_TSV, ROW_TSV);
    rig_catalog(&rig, &catalog, 5000, 5, 22);
    const struct span all = {catalog.bytes, catalog.len}, none = {"", 0};
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        check_first_line(&rig, runs[i], "7\ta b", all, false);
        check_first_line(&rig, runs[i], "id\ttitle", all, true);
        check_first_line(&rig, runs[i], "id\ttitle", none, true);
        check_first_line(&rig, runs[i], "", none, false);
        check_first_line(&rig, runs[i], "", none, true);
        check_first_line(&rig, runs[i], "id\ttitle", (struct span){"1\tx", 3}, true);
    }
    buffer_free(&catalog);
    rig_close(&rig);
}

int main(void) {
    alarm(300);  // a stage that waits for ever fails the test
    every_record();
    first_lines();
    return check_result();
}

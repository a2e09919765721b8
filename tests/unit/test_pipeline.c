// SPDX-License-Identifier: Apache-2.0
//
// The stream from end to end: whatever the batches, slots and threads, the rows are those of a
// plain loop over the records, byte for byte and in order.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/stream_rig.h"

// Watches the watcher: numbers rise, and so many calls come.
struct watched {
    uint64_t last, n;
    bool in_order;
};

static enum status watch(void *context, const struct record *record, uint64_t number,
                         const float *logits, struct error *error) {
    (void)error;
    struct watched *watched = context;
    if (number <= watched->last || (!record_is_bad(record->status) && !record->ill_formed_utf8)) {
        watched->in_order = false;
    }
    if ((logits == NULL) != record_is_bad(record->status) && record->status != RECORD_NONFINITE) {
        watched->in_order = false;
    }
    watched->last = number;
    watched->n++;
    return STATUS_OK;
}

static void check_totals(const struct totals *got, const struct totals *want, size_t nbytes) {
    CHECK_INT(got->records, want->records);
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) CHECK_INT(got->by_status[s], want->by_status[s]);
    CHECK_INT(got->tokens, want->tokens);
    CHECK_INT(got->ill_formed_utf8, want->ill_formed_utf8);
    CHECK_INT(got->consumed_nbytes, nbytes);
}

// Runs `catalog`, as a file of that name, and compares.
static void check_run(const struct rig *rig, struct rig_run run, const char *name,
                      struct span catalog) {
    char in_path[TEMP_PATH_MAX], out_path[TEMP_PATH_MAX];
    struct buffer raw = {0}, want = {0}, got = {0};
    struct totals totals = {0}, expected;
    struct error error = {""};
    struct watched watched = {.in_order = true};
    path_join(in_path, sizeof in_path, rig->dir, name, NULL);
    path_join(out_path, sizeof out_path, rig->dir, "out", NULL);
    if (name_ends_in_gz(name)) {
        gzip_add(&raw, catalog.ptr, catalog.len);
    } else {
        buffer_add(&raw, catalog.ptr, catalog.len);
    }
    temp_dir_write(rig->dir, name, raw.len > 0 ? raw.bytes : "", raw.len);
    if (run.header) row_add_header(&want, &rig->row_format);
    rig_expect(rig, catalog, &want, &expected);
    run.fail_at = -1;
    run.watcher = (struct record_watcher){false, watch, &watched};
    CHECK_INT(rig_run(rig, &run, in_path, out_path, &totals, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    file_add(&got, out_path);
    CHECK_INT(got.len, want.len);
    CHECK(got.len == want.len && (got.len == 0 || memcmp(got.bytes, want.bytes, got.len) == 0));
    check_totals(&totals, &expected, raw.len);
    CHECK(watched.in_order);
    CHECK_INT(watched.n, totals_bad(&expected) + expected.ill_formed_utf8);
    buffer_free(&raw);
    buffer_free(&want);
    buffer_free(&got);
    unlink(in_path);
    unlink(out_path);
}

static const struct rig_run plain = {
    .batch_tokens = 2048, .titles_cap = 128, .n_slots = 2, .n_tokenizers = 1, .flush_ms = -1};

static void combinations(void) {
    static const int32_t batch_tokens[] = {RIG_MAX_LENGTH, 333, 4096, 100000};
    static const int32_t titles_caps[] = {1, 7, 100, 100000};
    struct check_random random = {11};
    struct rig rig;
    struct buffer catalog = {0};
    rig_open(&rig, RECORD_JSONL, ROW_JSONL);
    rig_catalog(&rig, &catalog, 8000, 10, 5);
    for (int i = 0; i < 12; i++) {
        const struct rig_run run = {
            .batch_tokens = batch_tokens[i % 4],
            .titles_cap = titles_caps[check_below(&random, i % 4 == 0 ? 4 : 3) + (i % 4 > 1)],
            .n_slots = 1 + (int32_t)check_below(&random, 4),
            .n_tokenizers = 1 + (int32_t)check_below(&random, 4),
            .n_threads = (int)check_below(&random, 4),
            .delay_us = i % 3 == 0 ? (i % 4 == 0 ? 20 : 2000) : 0,
            .flush_ms = i % 2 == 0 ? -1 : 0,
        };
        check_run(&rig, run, i % 2 == 0 ? "in.jsonl" : "in.jsonl.gz",
                  (struct span){catalog.bytes, catalog.len});
    }
    buffer_free(&catalog);
    rig_close(&rig);
}

static void kinds(void) {
    for (int from = RECORD_TEXT; from <= RECORD_JSONL; from++) {
        for (int to = ROW_JSONL; to <= ROW_TSV; to++) {
            struct rig rig;
            struct buffer catalog = {0};
            struct rig_run run = plain;
            run.header = to == ROW_TSV;
            rig_open(&rig, (enum record_kind)from, (enum row_kind)to);
            rig_catalog(&rig, &catalog, 3000, 5, 9);
            check_run(&rig, run, "in.gz", (struct span){catalog.bytes, catalog.len});
            // The last record without its end of line; a file of one; nothing at all.
            check_run(&rig, run, "in", (struct span){catalog.bytes, catalog.len - 2});
            check_run(&rig, run, "in", (struct span){"1\tx", 3});
            check_run(&rig, run, "in", (struct span){"\n", 1});
            check_run(&rig, run, "in", (struct span){"", 0});
            check_run(&rig, run, "in.gz", (struct span){"", 0});
            buffer_free(&catalog);
            rig_close(&rig);
        }
    }
}

// Many more chunks than go round: each full of blank lines, which no batch holds, with a title now
// and then, so that one batch that never fills would span them all.
static void many_chunks(void) {
    struct rig rig;
    struct buffer catalog = {0};
    rig_open(&rig, RECORD_JSONL, ROW_TSV);
    for (int i = 0; i < 25 * CHUNK_RECORDS; i++) {
        buffer_add_text(&catalog, i % 5000 == 0 ? "{\"id\":1,\"title\":\"a\"}\n" : "\n");
    }
    struct rig_run run = {.batch_tokens = 100000,
                          .titles_cap = 100000,
                          .n_slots = 1,
                          .n_tokenizers = 1,
                          .n_threads = 1,
                          .flush_ms = -1};
    check_run(&rig, run, "in", (struct span){catalog.bytes, catalog.len});
    run.n_slots = 3;
    run.n_tokenizers = 3;
    check_run(&rig, run, "in", (struct span){catalog.bytes, catalog.len});
    catalog.len = 0;
    for (int i = 0; i < 25 * CHUNK_RECORDS; i++) buffer_add_text(&catalog, "\n");
    check_run(&rig, run, "in.gz", (struct span){catalog.bytes, catalog.len});
    buffer_free(&catalog);
    rig_close(&rig);
}

// ---- as a filter between pipes

struct filter {
    const struct rig *rig;
    enum status status;
    struct totals totals;
    struct error error;
};

static void *run_filter(void *argument) {
    struct filter *filter = argument;
    struct rig_run run = plain;
    run.flush_ms = 20;
    run.fail_at = -1;
    run.n_threads = 1;
    filter->status = rig_run(filter->rig, &run, "-", "-", &filter->totals, &filter->error);
    return NULL;
}

// Each line is answered before the next one is asked; a line and a half are answered by one row.
static void answers(void) {
    static const char *const lines[] = {"one\n", "two\nthree\nfo", "ur\n"};
    static const int n_rows[] = {1, 2, 1};
    int to[2], from[2];
    struct rig rig;
    rig_open(&rig, RECORD_TEXT, ROW_JSONL);
    if (pipe(to) != 0 || pipe(from) != 0) exit(1);
    const int saved = dup(STDOUT_FILENO);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    close(to[0]);
    close(from[1]);
    struct filter filter = {.rig = &rig};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_filter, &filter) != 0) exit(1);
    uint64_t number = 0;
    FILE *rows = fdopen(from[0], "r");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        CHECK(write(to[1], lines[i], strlen(lines[i])) == (ssize_t)strlen(lines[i]));
        for (int k = 0; k < n_rows[i]; k++) {
            char row[1000] = "", want[40];
            CHECK(fgets(row, sizeof row, rows) != NULL);
            snprintf(want, sizeof want, "{\"id\":%llu,", (unsigned long long)++number);
            CHECK(strncmp(row, want, strlen(want)) == 0);
        }
    }
    close(to[1]);
    pthread_join(thread, NULL);
    CHECK_INT(filter.status, STATUS_OK);
    CHECK_INT(filter.totals.records, number);
    CHECK(fgetc(rows) == EOF);
    fclose(rows);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rig_close(&rig);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    alarm(300);  // a stage that waits for ever fails the test
    combinations();
    kinds();
    many_chunks();
    answers();
    return check_result();
}

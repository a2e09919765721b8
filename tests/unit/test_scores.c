// SPDX-License-Identifier: Apache-2.0
//
// Kept scores: what was written is found, bit for bit, and nothing else ever is, whatever became of
// the file; the bytes do not tell where writing was interrupted.
#include <string.h>
#include <unistd.h>

#include "host/stream/score_log.h"
#include "host/stream/score_set.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { LABELS_MAX = 9 };

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
static const char rows_sha256[] =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static struct score_identity identity(int32_t n_labels) {
    struct score_identity made_by = {.max_length = 40, .n_labels = n_labels};
    memset(made_by.model, 'm', sizeof made_by.model);
    memset(made_by.tokenizer, 't', sizeof made_by.tokenizer);
    memset(made_by.program, 'p', sizeof made_by.program);
    strcpy(made_by.precision, "fp32");
    strcpy(made_by.device, "cpu");
    return made_by;
}

// Title number `n` and its logits; its id is its number.
static struct record record_of(int32_t n) {
    struct record record = {.status = RECORD_OK};
    char id[16];
    const int len = snprintf(id, sizeof id, "%d", (int)n);
    CHECK(score_key_of(&n, 1, &record.key));
    CHECK(score_id_of((struct span){id, (size_t)len}, &record.id_key));
    return record;
}

static void logits_of(int32_t n, float logits[LABELS_MAX]) {
    for (int k = 0; k < LABELS_MAX; k++) logits[k] = (float)(n * 31 + k) / 7.0f;
}

static void add(struct score_log *log, int32_t n) {
    const struct record record = record_of(n);
    struct error error = {""};
    float logits[LABELS_MAX];
    logits_of(n, logits);
    must(score_log_add(log, &record, logits, &error), &error);
}

// Writes the titles to the file at `path`; with `stop_at` at least 0 it is interrupted behind so
// many rows and gone on with.
static void write_file(const int32_t *titles, int n, int32_t n_labels, uint32_t run_rows,
                       int stop_at) {
    struct output *output;
    struct score_log *log;
    struct error error = {""};
    const struct score_identity made_by = identity(n_labels);
    must(output_open(path, &output, &error), &error);
    must(score_log_create(output, n_labels, run_rows, &log, &error), &error);
    for (int i = 0; i < n; i++) {
        if (i == stop_at) {
            struct output_point *point = must_zeroed(1, sizeof *point);
            char temporary[256];
            CHECK_INT(output_point(output, point, &error), STATUS_OK);
            must(output_sync(output, &error), &error);
            snprintf(temporary, sizeof temporary, "%s", output_temporary(output));
            add(log, -1);  // not saved any more
            output_keep(output);
            score_log_destroy(log);
            output_close(output);
            must(output_resume(path, temporary, point, NULL, &output, &error), &error);
            must(score_log_create(output, n_labels, run_rows, &log, &error), &error);
            CHECK_INT(score_log_rows(log), i);
            output_sweep(path, output_temporary(output));
            free(point);
        }
        add(log, titles[i]);
    }
    must(score_log_finish(log, &made_by, rows_sha256, &error), &error);
    must(output_commit(output, &error), &error);
    CHECK_INT(output_nbytes(output), score_nbytes(n_labels, (uint64_t)n, run_rows));
    score_log_destroy(log);
    output_close(output);
}

static struct score_set *open_set(int32_t n_labels) {
    struct score_set *set;
    struct error error = {""};
    const struct score_identity wanted = identity(n_labels);
    must(score_set_create(&wanted, &set, &error), &error);
    return set;
}

// Whether the title is found; what is found must be its logits, every bit.
static bool is_found(struct score_set *set, int32_t n, int32_t n_labels, bool *same_id) {
    static size_t hint;  // any place of an earlier set is not one of this
    const struct record record = record_of(n);
    float logits[LABELS_MAX];
    hint = 0;
    const float *found = score_set_find(set, &record.key, record.id_key, &hint, same_id);
    logits_of(n, logits);
    if (found != NULL) {
        CHECK(memcmp(found, logits, (size_t)n_labels * sizeof *logits) == 0);
    } else {
        CHECK(!*same_id);
    }
    return found != NULL;
}

static void found_again(void) {
    static const struct {
        int n;
        int32_t n_labels;
        uint32_t run_rows;
    } files[] = {{0, 8, 10}, {1, 1, 1}, {7, 8, 1}, {500, 8, 64}, {640, 9, 64}, {3000, 2, 1 << 20}};
    struct check_random random = {7};
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        static int32_t titles[3000];
        const int n = files[f].n;
        const int32_t n_labels = files[f].n_labels;
        for (int i = 0; i < n; i++) {
            titles[i] = i > 0 && i % 5 == 0 ? titles[check_below(&random, (unsigned)i)] : i;
        }
        write_file(titles, n, n_labels, files[f].run_rows, -1);
        struct score_set *set = open_set(n_labels);
        struct error error = {""};
        CHECK_INT(score_set_add(set, path, rows_sha256, &error), STATUS_OK);
        CHECK_INT(score_set_rows(set), n);
        bool same_id;
        for (int i = 0; i < n; i++) {
            CHECK(is_found(set, titles[i], n_labels, &same_id));
            CHECK(same_id);
            size_t hint = 0;
            CHECK(score_set_has_id(set, record_of(titles[i]).id_key, &hint));
        }
        for (int i = 3000; i < 4000; i++) {
            size_t hint = 0;
            CHECK(!is_found(set, i, n_labels, &same_id));
            CHECK(!score_set_has_id(set, record_of(i).id_key, &hint));
        }
        CHECK_INT(score_set_damaged(set), 0);
        score_set_destroy(set);
    }
}

// Two files in one set, and a search that begins where the last one ended.
static void several_files(void) {
    char other[TEMP_PATH_MAX + 4];
    int32_t titles[100];
    struct error error = {""};
    for (int i = 0; i < 100; i++) titles[i] = i;
    write_file(titles, 50, 8, 16, -1);
    snprintf(other, sizeof other, "%s2", path);
    CHECK_INT(rename(path, other), 0);
    write_file(titles + 50, 50, 8, 16, -1);
    struct score_set *set = open_set(8);
    CHECK_INT(score_set_add(set, other, rows_sha256, &error), STATUS_OK);
    CHECK_INT(score_set_add(set, path, rows_sha256, &error), STATUS_OK);
    size_t hint = 0, id_hint = 0;
    for (int i = 0; i < 300; i++) {
        const struct record record = record_of(i * 37 % 100);
        bool same_id;
        CHECK(score_set_find(set, &record.key, 1, &hint, &same_id) != NULL && !same_id);
        CHECK(score_set_has_id(set, record.id_key, &id_hint));
        CHECK_INT(hint, id_hint);
    }
    CHECK_INT(score_set_rows(set), 100);
    score_set_destroy(set);
    unlink(other);
}

static void interrupted(void) {
    int32_t titles[70];
    struct buffer whole = {0};
    for (int i = 0; i < 70; i++) titles[i] = i % 60;
    write_file(titles, 70, 8, 16, -1);
    file_add(&whole, path);
    for (int stop_at = 0; stop_at < 70; stop_at += stop_at < 14 ? 5 : stop_at < 18 ? 1 : 17) {
        struct buffer again = {0};
        write_file(titles, 70, 8, 16, stop_at);
        file_add(&again, path);
        CHECK(again.len == whole.len && memcmp(again.bytes, whole.bytes, whole.len) == 0);
        buffer_free(&again);
    }
    buffer_free(&whole);
}

// More than the segment that an output holds in memory: the file is read, too.
static void interrupted_late(void) {
    enum { N = 20000 };
    int32_t *titles = must_zeroed(N, sizeof *titles);
    struct buffer whole = {0}, again = {0};
    for (int i = 0; i < N; i++) titles[i] = i;
    write_file(titles, N, 8, 1 << 16, -1);
    file_add(&whole, path);
    write_file(titles, N, 8, 1 << 16, 19999);
    file_add(&again, path);
    CHECK(again.len == whole.len && memcmp(again.bytes, whole.bytes, whole.len) == 0);
    buffer_free(&whole);
    buffer_free(&again);
    free(titles);
}

// Every byte of a file damaged in turn, and every length: refused with a reason, or what is found
// is right, which is_found checks.
static void damaged(void) {
    enum { N = 20 };
    int32_t titles[N];
    struct buffer whole = {0};
    int n_refused = 0, n_damaged = 0, n_missed = 0;
    for (int i = 0; i < N; i++) titles[i] = i;
    write_file(titles, N, 8, 16, -1);
    file_add(&whole, path);
    for (size_t at = 0; at < 2 * whole.len; at++) {
        const bool is_cut = at >= whole.len;
        const size_t place = is_cut ? at - whole.len : at;
        struct score_set *set = open_set(8);
        struct error error = {""};
        if (!is_cut) whole.bytes[place] ^= (char)(1 << at % 8);
        temp_dir_write(dir, path_base(path), whole.bytes, is_cut ? place : whole.len);
        if (!is_cut) whole.bytes[place] ^= (char)(1 << at % 8);
        enum status status = score_set_add(set, path, rows_sha256, &error);
        CHECK(status == STATUS_OK || status == STATUS_ROWS);
        if (is_cut) CHECK_INT(status, STATUS_ROWS);
        if (status == STATUS_ROWS) CHECK_CONTAINS(error.text, "damaged");
        n_refused += status != STATUS_OK && !is_cut;
        for (int i = 0; i < N + 10 && status == STATUS_OK; i++) {
            bool same_id;
            const bool found = is_found(set, i, 8, &same_id);
            CHECK(!found || i < N);
            n_missed += !found && i < N;
        }
        n_damaged += (int)score_set_damaged(set);
        score_set_destroy(set);
    }
    // The end and the magic; ids and logits; keys and slots of titles.
    CHECK_INT(n_refused, (int)sizeof(struct score_footer) + (int)sizeof SCORE_HEADER_MAGIC);
    CHECK_INT(n_damaged, N * (8 + 4 * 8 + 4));
    CHECK(n_missed >= n_damaged + N * (16 + 8));
    buffer_free(&whole);
}

static void foreign(void) {
    const int32_t title = 3;
    static const char *const reasons[] = {"another model", "another tokenizer", "processor",
                                          "bf16 on cpu",   "fp32 on cuda",      "has 41",
                                          "another model", "other rows"};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        struct score_set *set;
        struct error error = {""};
        struct score_identity wanted = identity(i == 6 ? 9 : 8);
        if (i == 0) wanted.model[63] = 'x';
        if (i == 1) wanted.tokenizer[0] = 'x';
        if (i == 2) wanted.program[7] = 'x';
        if (i == 3) strcpy(wanted.precision, "bf16");
        if (i == 4) strcpy(wanted.device, "cuda");
        if (i == 5) wanted.max_length = 41;
        char rows[sizeof rows_sha256];
        strcpy(rows, rows_sha256);
        if (i == 7) rows[5] = 'x';
        write_file(&title, 1, 8, 16, -1);
        must(score_set_create(&wanted, &set, &error), &error);
        CHECK_INT(score_set_add(set, path, rows, &error), STATUS_ROWS);
        CHECK_CONTAINS(error.text, reasons[i]);
        CHECK_INT(score_set_rows(set), 0);
        score_set_destroy(set);
    }
    struct score_set *set = open_set(8);
    struct error error = {""};
    CHECK_INT(score_set_add(set, "/nowhere/.out.scores", rows_sha256, &error), STATUS_ROWS);
    CHECK_CONTAINS(error.text, "not kept");
    CHECK_INT(score_set_add(set, dir, rows_sha256, &error), STATUS_ROWS);
    CHECK_CONTAINS(error.text, "regular file");
    score_set_destroy(set);
}

// Titles made so that all want one slot: the first ones are found, and none costs more than
// SCORE_PROBES looks.
static void crowded(void) {
    enum { N = 4000 };
    struct output *output;
    struct score_log *log;
    struct error error = {""};
    const struct score_identity made_by = identity(8);
    float logits[LABELS_MAX];
    must(output_open(path, &output, &error), &error);
    must(score_log_create(output, 8, 1 << 20, &log, &error), &error);
    for (int i = 0; i < N; i++) {
        const struct record record = {.key = {{12345, (uint64_t)i << SCORE_ROW_BITS}},
                                      .id_key = (uint64_t)i + 1};
        logits_of(i, logits);
        must(score_log_add(log, &record, logits, &error), &error);
    }
    must(score_log_finish(log, &made_by, rows_sha256, &error), &error);
    must(output_commit(output, &error), &error);
    score_log_destroy(log);
    output_close(output);
    struct score_set *set = open_set(8);
    CHECK_INT(score_set_add(set, path, rows_sha256, &error), STATUS_OK);
    for (int i = 0; i < N; i++) {
        const struct score_key key = {{12345, (uint64_t)i << SCORE_ROW_BITS}};
        size_t hint = 0;
        bool same_id;
        const float *found = score_set_find(set, &key, 0, &hint, &same_id);
        logits_of(i, logits);
        CHECK((found != NULL) == (i < SCORE_PROBES));
        if (found != NULL) CHECK(memcmp(found, logits, 8 * sizeof *logits) == 0);
    }
    score_set_destroy(set);
}

int main(void) {
    temp_dir_make(dir);
    path_join(path, sizeof path, dir, ".out.scores", NULL);
    found_again();
    several_files();
    interrupted();
    interrupted_late();
    damaged();
    foreign();
    crowded();
    temp_dir_remove(dir);
    return check_result();
}

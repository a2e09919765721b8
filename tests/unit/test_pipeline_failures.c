// SPDX-License-Identifier: Apache-2.0
//
// Whatever fails in the stream, and wherever it is then, the run ends with that status and message;
// nothing is committed and nothing hangs.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/stream_rig.h"

static char in_path[TEMP_PATH_MAX], out_path[TEMP_PATH_MAX];
static struct rig rig;
static struct buffer catalog;

enum { N_RECORDS = 20000 };

static const struct rig_run plain = {.batch_tokens = 2048,
                                     .titles_cap = 256,
                                     .n_slots = 2,
                                     .n_tokenizers = 2,
                                     .n_threads = 1,
                                     .flush_ms = -1,
                                     .fail_at = -1};

static void write_input(const struct buffer *bytes) {
    temp_dir_write(rig.dir, "in", bytes->bytes, bytes->len);
}

// That the run fails with `status` and `part` in its message, and leaves nothing at its output.
static void check_failure(const struct rig_run *run, enum status status, const char *part) {
    struct totals totals = {0};
    struct error error = {""};
    CHECK_INT(rig_run(&rig, run, in_path, out_path, &totals, &error), status);
    CHECK_CONTAINS(error.text, part);
    CHECK(totals.records <= N_RECORDS);
    CHECK(access(out_path, F_OK) != 0);
}

// STATUS_AGAIN is a failure like the others, though a stage that stops for one calls it that, too.
static void encoder_fails(enum status failure) {
    static const int64_t batches[] = {0, 1, 2, 5, 50};
    write_input(&catalog);
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        for (int32_t n_slots = 1; n_slots <= 4; n_slots += 3) {
            struct rig_run run = plain;
            run.fail_at = batches[i];
            run.failure = failure;
            run.n_slots = n_slots;
            run.n_threads = (int)i % 3;
            run.delay_us = 500;
            check_failure(&run, failure, "the fake device failed");
        }
    }
}

static void bad_record(void) {
    struct buffer bytes = {0};
    struct rig_run run = plain;
    run.fail_on_bad = true;
    buffer_add(&bytes, catalog.bytes, catalog.len);
    char part[100];
    snprintf(part, sizeof part, "in: record %d at byte %zu: missing_title", N_RECORDS + 1,
             bytes.len);
    buffer_add_text(&bytes, "{\"id\":1}\n");
    buffer_add(&bytes, catalog.bytes, catalog.len);
    write_input(&bytes);
    struct totals totals;
    struct error error = {""};
    CHECK_INT(rig_run(&rig, &run, in_path, out_path, &totals, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, part);
    CHECK_INT(totals.records, N_RECORDS + 1);
    CHECK_INT(totals_bad(&totals), 1);
    bytes.len = 0;
    buffer_add_text(&bytes, "\n");
    write_input(&bytes);
    check_failure(&run, STATUS_INPUT, "record 1 at byte 0: blank_line");
    buffer_free(&bytes);
}

static void damaged_input(void) {
    struct buffer raw = {0};
    gzip_add(&raw, catalog.bytes, catalog.len);
    for (size_t i = 0; i < 12; i++) {
        const size_t at = 10 + i * (raw.len - 18) / 11;
        const char kept = raw.bytes[at];
        raw.bytes[at] = (char)(kept ^ 0x55);
        write_input(&raw);
        check_failure(&plain, STATUS_INPUT, "in: ");
        raw.bytes[at] = kept;
        const size_t len = raw.len;
        raw.len = at;
        write_input(&raw);
        check_failure(&plain, STATUS_INPUT, "truncated");
        raw.len = len;
    }
    buffer_free(&raw);
}

// Runs with `fd` for stdout, from `input`.
static enum status run_to(int fd, const struct rig_run *run, const char *input,
                          struct error *error) {
    struct totals totals;
    const int saved = dup(STDOUT_FILENO);
    dup2(fd, STDOUT_FILENO);
    close(fd);
    enum status status = rig_run(&rig, run, input, "-", &totals, error);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    return status;
}

static int pipe_without_reader(void) {
    int fds[2];
    if (pipe(fds) != 0) exit(1);
    close(fds[0]);
    return fds[1];
}

static void output_fails(void) {
    struct error error = {""};
    write_input(&catalog);
    for (int32_t n_slots = 1; n_slots <= 3; n_slots++) {
        struct rig_run run = plain;
        run.n_slots = n_slots;
        run.delay_us = 300;
        CHECK_INT(run_to(open("/dev/full", O_WRONLY), &run, in_path, &error), STATUS_IO);
        CHECK_CONTAINS(error.text, "stdout: writing: No space left");
        CHECK_INT(run_to(open("/dev/null", O_RDONLY), &run, in_path, &error), STATUS_IO);
        CHECK_CONTAINS(error.text, "Bad file descriptor");
        CHECK_INT(run_to(pipe_without_reader(), &run, in_path, &error), STATUS_PIPE);
    }
}

// What stdout got before the encoder failed is the beginning of what it should have got, and has no
// row of the batch that failed. Blocks go out, not rows: the last row may be cut.
static void rows_before_failure(void) {
    static char bytes[8 << 20];
    struct buffer want = {0};
    struct totals totals;
    struct error error = {""};
    char path[TEMP_PATH_MAX];
    path_join(path, sizeof path, rig.dir, "rows", NULL);
    write_input(&catalog);
    rig_expect(&rig, (struct span){catalog.bytes, catalog.len}, &want, &totals);
    for (int64_t batch = 0; batch <= 40; batch += 20) {
        struct rig_run run = plain;
        run.fail_at = batch;
        run.failure = STATUS_AGAIN;
        const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), again = dup(fd);
        CHECK_INT(run_to(fd, &run, in_path, &error), STATUS_AGAIN);
        const ssize_t n = pread(again, bytes, sizeof bytes, 0);
        close(again);
        CHECK(batch < 40 || n > 0);
        CHECK(n >= 0 && (size_t)n < want.len && memcmp(bytes, want.bytes, (size_t)n) == 0);
        int64_t n_rows = 0;
        for (ssize_t i = 0; i < n; i++) n_rows += bytes[i] == '\n';
        CHECK(n_rows <= batch * run.titles_cap);
    }
    buffer_free(&want);
}

// The input is a pipe that says nothing more, and whose writer lives on: the failure behind it is
// told at once all the same.
static void idle_input(void) {
    int fds[2];
    struct error error = {""};
    struct rig_run run = plain;
    run.flush_ms = 10;
    if (pipe(fds) != 0) exit(1);
    dup2(fds[0], STDIN_FILENO);
    close(fds[0]);
    static const char lines[] = "{\"id\":1,\"title\":\"a\"}\n";
    CHECK(write(fds[1], lines, strlen(lines)) == (ssize_t)strlen(lines));
    CHECK_INT(run_to(pipe_without_reader(), &run, "-", &error), STATUS_PIPE);
    CHECK(write(fds[1], lines, strlen(lines)) == (ssize_t)strlen(lines));
    run.fail_at = 0;
    CHECK_INT(run_to(open("/dev/null", O_WRONLY), &run, "-", &error), STATUS_MODEL);
    close(fds[1]);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    alarm(240);  // a stage that waits for ever fails the test
    rig_open(&rig, RECORD_JSONL, ROW_JSONL);
    path_join(in_path, sizeof in_path, rig.dir, "in", NULL);
    path_join(out_path, sizeof out_path, rig.dir, "out", NULL);
    rig_catalog(&rig, &catalog, N_RECORDS, 0, 3);
    // Titles that give no finite logits are bad too: only the tests' own shall be.
    for (size_t i = 0; i < catalog.len; i++) {
        if (catalog.bytes[i] == '!') catalog.bytes[i] = '?';
    }
    encoder_fails(STATUS_MODEL);
    encoder_fails(STATUS_AGAIN);
    bad_record();
    damaged_input();
    output_fails();
    rows_before_failure();
    idle_input();
    buffer_free(&catalog);
    rig_close(&rig);
    return check_result();
}

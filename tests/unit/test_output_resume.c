// SPDX-License-Identifier: Apache-2.0
//
// Outputs that another process goes on with: from every place the same bytes, whatever became of
// whoever wrote the beginning; and none from an unfinished file that is not what it was.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "host/stream/output.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { POINTS_MAX = 8 };

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
static struct error error;

static void add_rows(struct buffer *rows, size_t nbytes, unsigned seed) {
    struct check_random random = {seed};
    while (rows->len < nbytes) {
        buffer_add_format(rows, "{\"id\":%u,\"score\":0.%06u,\"title\":\"%.*s\"}\n",
                          check_below(&random, 1 << 20), check_below(&random, 1000000),
                          (int)check_below(&random, 40),
                          "the same words again and again, as rows are");
    }
    rows->len = nbytes;
    // What begins a segment comes again soon: a deflate stream that was only flushed there would
    // refer to it, one that begins there cannot refer to its first byte.
    for (size_t at = 0; at + 2000 < nbytes; at += OUTPUT_SEGMENT_NBYTES) {
        for (size_t i = 0; i < 100; i++) {
            rows->bytes[at + i] = rows->bytes[at + 1000 + i] =
                (char)(' ' + check_below(&random, 90));
        }
    }
}

static void write_rows(struct output *output, const struct buffer *rows, size_t from, size_t to,
                       struct check_random *random) {
    for (size_t n; from < to; from += n) {
        n = 1 + check_below(random, 70000);
        if (n > to - from) n = to - from;
        CHECK_INT(output_write(output, rows->bytes + from, n, &error), STATUS_OK);
    }
}

// Commits, and compares with the whole file and what it says of itself.
static void check_whole(struct output *output, const struct buffer *rows,
                        const struct buffer *want) {
    struct buffer got = {0};
    char sha256[SHA256_HEX_LEN + 1];
    CHECK_INT(output_commit(output, &error), STATUS_OK);
    must(sha256_of(rows->bytes, rows->len, sha256, &error), &error);
    CHECK_STR(output_sha256(output), sha256);
    CHECK_INT(output_nbytes(output), rows->len);
    CHECK_INT(output_file_nbytes(output), want->len);
    file_add(&got, path);
    CHECK(got.len == want->len && memcmp(got.bytes, want->bytes, got.len) == 0);
    unlink(path);
    buffer_free(&got);
}

// From random places of a run whose process lives on and writes on.
static void every_place(const char *name, size_t nbytes, unsigned seed) {
    struct check_random random = {seed};
    struct buffer rows = {0}, want = {0};
    struct output *output, *other;
    struct output_point *points = must_zeroed(POINTS_MAX, sizeof *points);
    size_t places[POINTS_MAX];
    add_rows(&rows, nbytes, seed);
    path_join(path, sizeof path, dir, name, NULL);
    must(output_open(path, &output, &error), &error);
    write_rows(output, &rows, 0, nbytes, &random);
    must(output_commit(output, &error), &error);
    output_close(output);
    file_add(&want, path);
    unlink(path);

    must(output_open(path, &output, &error), &error);
    size_t at = 0;
    for (int i = 0; i < POINTS_MAX; i++) {
        // The beginning, the end, the ends of segments, anywhere.
        size_t to = i == 0                ? 0
                    : i == POINTS_MAX - 1 ? nbytes
                                          : check_below(&random, (unsigned)nbytes + 1);
        if (i % 3 == 1 && i < POINTS_MAX - 1) to -= to % OUTPUT_SEGMENT_NBYTES;
        if (to < at) to = at;
        write_rows(output, &rows, at, to, &random);
        places[i] = at = to;
        CHECK_INT(output_point(output, &points[i], &error), STATUS_OK);
        CHECK_INT(output_sync(output, &error), STATUS_OK);
        CHECK_INT(points[i].begin.nbytes + points[i].tail_nbytes, at);
    }
    for (int i = 0; i < POINTS_MAX; i++) {
        CHECK_INT(output_resume(path, output_temporary(output), &points[i], NULL, &other, &error),
                  STATUS_OK);
        CHECK(strcmp(output_temporary(other), output_temporary(output)) != 0);
        write_rows(other, &rows, places[i], nbytes, &random);
        check_whole(other, &rows, &want);
        output_close(other);
    }
    check_whole(output, &rows, &want);
    output_close(output);
    free(points);
    buffer_free(&rows);
    buffer_free(&want);
}

// The deflate stream is begun anew now and then: that must cost little.
static void costs_little(void) {
    struct buffer rows = {0}, with = {0};
    add_rows(&rows, 3u << 20, 5);
    z_stream stream = {0};
    struct output *output;
    path_join(path, sizeof path, dir, "cost.gz", NULL);
    must(output_open(path, &output, &error), &error);
    must(output_write(output, rows.bytes, rows.len, &error), &error);
    must(output_commit(output, &error), &error);
    output_close(output);
    file_add(&with, path);
    unlink(path);
    if (deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) exit(1);
    struct buffer without = {0};
    stream.next_in = (Bytef *)rows.bytes;
    stream.avail_in = (uInt)rows.len;
    stream.avail_out = (uInt)rows.len;
    stream.next_out = (Bytef *)buffer_reserve(&without, rows.len);
    CHECK_INT(deflate(&stream, Z_FINISH), Z_STREAM_END);
    CHECK(with.len >= stream.total_out);
    CHECK((double)with.len < 1.005 * (double)stream.total_out);
    deflateEnd(&stream);
    buffer_free(&rows);
    buffer_free(&with);
    buffer_free(&without);
}

static bool stop_at_once(void) {
    return true;
}

static void expect_refusal(const char *temporary, const struct output_point *point,
                           const char *word) {
    struct output *other;
    CHECK_INT(output_resume(path, temporary, point, NULL, &other, &error), STATUS_INPUT);
    CHECK(other == NULL);
    CHECK_CONTAINS(error.text, word);
}

static void refusals(void) {
    struct check_random random = {9};
    struct buffer rows = {0};
    struct output *output, *other;
    struct output_point *point = must_zeroed(1, sizeof *point);
    char file[TEMP_PATH_MAX], temporary[256], outside[300];
    add_rows(&rows, 3 * (size_t)OUTPUT_SEGMENT_NBYTES, 1);
    path_join(path, sizeof path, dir, "out.gz", NULL);
    must(output_open(path, &output, &error), &error);
    write_rows(output, &rows, 0, rows.len - 5, &random);
    CHECK_INT(output_point(output, point, &error), STATUS_OK);
    must(output_sync(output, &error), &error);
    snprintf(temporary, sizeof temporary, "%s", output_temporary(output));
    output_keep(output);
    output_close(output);
    path_join(file, sizeof file, dir, temporary, NULL);
    CHECK_INT(access(file, F_OK), 0);
    expect_refusal("nothing.tmp", point, "gone");
    snprintf(outside, sizeof outside, "../%s/%s", path_base(dir), temporary);
    expect_refusal(outside, point, "gone");
    expect_refusal("", point, "cannot be read");  // the directory itself
    CHECK_INT(output_resume(path, temporary, point, stop_at_once, &other, &error), STATUS_AGAIN);
    CHECK(other == NULL && access(file, F_OK) == 0);
    const int fd = open(file, O_RDWR);
    unsigned char byte;
    CHECK(pread(fd, &byte, 1, 1000) == 1);
    byte ^= 4;
    CHECK(pwrite(fd, &byte, 1, 1000) == 1);
    expect_refusal(temporary, point, "altered");
    byte ^= 4;
    CHECK(pwrite(fd, &byte, 1, 1000) == 1);
    CHECK(ftruncate(fd, (off_t)point->begin.file_nbytes) == 0);
    CHECK_INT(output_resume(path, temporary, point, NULL, &other, &error), STATUS_OK);
    output_close(other);
    CHECK(ftruncate(fd, (off_t)point->begin.file_nbytes - 1) == 0);
    expect_refusal(temporary, point, "shorter");
    close(fd);
    unlink(file);
    // Somebody else has taken over.
    must(output_open(path, &output, &error), &error);
    output_sweep(path, output_temporary(output));
    CHECK_INT(output_sync(output, &error), STATUS_OK);
    output_sweep(path, NULL);
    CHECK_INT(output_sync(output, &error), STATUS_LOCKED);
    CHECK_CONTAINS(error.text, "another run");
    CHECK_INT(output_commit(output, &error), STATUS_LOCKED);
    output_close(output);
    CHECK(access(path, F_OK) != 0);
    free(point);
    buffer_free(&rows);
}

int main(void) {
    temp_dir_make(dir);
    every_place("out.jsonl.gz", 3 * (size_t)OUTPUT_SEGMENT_NBYTES, 1);
    every_place("out.jsonl.gz", 1700000, 2);
    every_place("out.jsonl", 1300000, 3);
    costs_little();
    refusals();
    temp_dir_remove(dir);
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// Going on in the middle of an input: from every place the same bytes and the same hash, in gzip of
// every kind, as strict as from the beginning.
#include <unistd.h>
#include <zlib.h>

#include "host/stream/input_point.h"
#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
static struct error error;

// Text, noise and runs by turns.
static void add_plain(struct buffer *out, size_t n, struct check_random *random) {
    const size_t end = out->len + n;
    while (out->len < end) {
        const unsigned kind = check_below(random, 4);
        const unsigned len = 1 + check_below(random, kind == 3 ? 3000 : 90000);
        for (unsigned i = 0; i < len; i++) {
            char c = (char)('a' + check_below(random, 5));
            if (kind == 2) c = (char)check_below(random, 256);
            if (kind == 3) c = 'x';
            buffer_add(out, &c, 1);
        }
    }
    out->len = end;
}

// A member of random level, strategy and memory, with blocks ended here and there.
static void add_member(struct buffer *out, const char *bytes, size_t n,
                       struct check_random *random) {
    static const int flushes[] = {Z_NO_FLUSH, Z_NO_FLUSH,   Z_PARTIAL_FLUSH,
                                  Z_BLOCK,    Z_SYNC_FLUSH, Z_FULL_FLUSH};
    z_stream stream = {0};
    const int level = (int)check_below(random, 10), strategy = (int)check_below(random, 5);
    const int memory = 1 + (int)check_below(random, 9);
    if (deflateInit2(&stream, level, Z_DEFLATED, 31, memory, strategy) != Z_OK) exit(1);
    gz_header header = {.name = (Bytef *)(uintptr_t) "a name", .hcrc = 1};
    if (check_below(random, 2) == 0) deflateSetHeader(&stream, &header);
    for (size_t at = 0;;) {
        size_t part = check_below(random, check_below(random, 4) == 0 ? 300 : 200000);
        if (part > n - at) part = n - at;
        stream.next_in = (Bytef *)(uintptr_t)(bytes + at);
        stream.avail_in = (uInt)part;
        at += part;
        const int flush = at == n ? Z_FINISH : flushes[check_below(random, 6)];
        do {
            stream.next_out = (Bytef *)buffer_reserve(out, 1 << 16);
            stream.avail_out = 1 << 16;
            if (deflate(&stream, flush) == Z_STREAM_ERROR) exit(1);
            out->len += (1 << 16) - stream.avail_out;
        } while (stream.avail_out == 0);
        if (flush == Z_FINISH) break;
    }
    deflateEnd(&stream);
}

static struct input *open_it(void) {
    struct input *input;
    must(input_open(path, &input, &error), &error);
    must(input_keep_points(input, &error), &error);
    return input;
}

// Reads on to the end, or to `most` plain bytes in all, and compares.
static void read_on(struct input *input, struct span plain, size_t most,
                    struct check_random *random) {
    static char piece[100000];
    for (size_t n = 1; n > 0 && input_plain_nbytes(input) < most;) {
        const size_t at = input_plain_nbytes(input);
        const size_t cap = 1 + check_below(random, sizeof piece);
        CHECK_INT(input_read(input, piece, cap, &n, &error), STATUS_OK);
        CHECK(at + n <= plain.len && memcmp(piece, plain.ptr + at, n) == 0);
        CHECK_INT(input_plain_nbytes(input), at + n);
    }
}

static void every_place(struct span raw, struct span plain, bool is_gzip, unsigned seed) {
    struct check_random random = {seed};
    struct input_point *point = must_zeroed(1, sizeof *point);
    char sha256[SHA256_HEX_LEN + 1];
    must(sha256_of(raw.ptr, raw.len, sha256, &error), &error);
    temp_dir_write(dir, path_base(path), raw.ptr, raw.len);
    struct input *input = open_it();
    input_point(input, 0, point);
    CHECK_INT(point->place, INPUT_AT_START);
    while (input_plain_nbytes(input) < plain.len) {
        const size_t before = input_plain_nbytes(input);
        read_on(input, plain, before + check_below(&random, 600000), &random);
        const size_t now = input_plain_nbytes(input);
        size_t offset = now - check_below(&random, INPUT_POINT_BEHIND);
        if (offset > now) offset = 0;
        input_point(input, offset, point);
        CHECK(point->plain_nbytes <= offset);
        // The farthest that these blocks, spacing and one read make.
        if (is_gzip) CHECK(offset - point->plain_nbytes < INPUT_POINT_SPACING + 700000);
        if (!is_gzip) CHECK_INT(point->plain_nbytes, offset);
        struct input *other = open_it();
        CHECK_INT(input_resume(other, point, &error), STATUS_OK);
        CHECK_INT(input_plain_nbytes(other), point->plain_nbytes);
        CHECK_INT(input_consumed_nbytes(other), point->file_nbytes);
        if (check_below(&random, 2) == 0) {  // and once more, from there
            read_on(other, plain, offset + 300000, &random);
            input_point(other, input_plain_nbytes(other), point);
            input_close(other);
            other = open_it();
            CHECK_INT(input_resume(other, point, &error), STATUS_OK);
        }
        read_on(other, plain, SIZE_MAX, &random);
        CHECK_INT(input_plain_nbytes(other), plain.len);
        CHECK_INT(input_consumed_nbytes(other), raw.len);
        CHECK_STR(input_sha256(other), sha256);
        input_close(other);
    }
    read_on(input, plain, SIZE_MAX, &random);
    CHECK_STR(input_sha256(input), sha256);
    input_point(input, plain.len, point);  // behind the end, too
    input_close(input);
    input = open_it();
    CHECK_INT(input_resume(input, point, &error), STATUS_OK);
    read_on(input, plain, SIZE_MAX, &random);
    CHECK_STR(input_sha256(input), sha256);
    input_close(input);
    free(point);
}

static void random_files(void) {
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct check_random random = {seed};
        struct buffer plain = {0}, raw = {0};
        const unsigned n_members = 1 + check_below(&random, seed % 3 == 0 ? 60 : 4);
        for (unsigned i = 0; i < n_members; i++) {
            const size_t at = plain.len;
            add_plain(&plain, check_below(&random, 2000000 / n_members), &random);
            add_member(&raw, plain.bytes + at, plain.len - at, &random);
        }
        if (seed % 4 == 0) buffer_add(&raw, "\0\0\0\0\0\0\0\0\0", 9);
        path_join(path, sizeof path, dir, "in.gz", NULL);
        every_place((struct span){raw.bytes, raw.len}, (struct span){plain.bytes, plain.len}, true,
                    seed);
        path_join(path, sizeof path, dir, "in", NULL);
        if (seed == 6) {
            every_place((struct span){plain.bytes, plain.len},
                        (struct span){plain.bytes, plain.len}, false, seed);
        }
        buffer_free(&plain);
        buffer_free(&raw);
    }
}

// A point in the middle of the one member of `raw`, which is then `damaged`. `word`: NULL where the
// rule takes that.
static void expect(struct span plain, struct span raw, struct span damaged, enum trailing rule,
                   const char *word) {
    struct check_random random = {3};
    struct input_point *point = must_zeroed(1, sizeof *point);
    char piece[4096];
    enum status status = STATUS_OK;
    temp_dir_write(dir, path_base(path), raw.ptr, raw.len);
    struct input *input = open_it();
    read_on(input, plain, 900000, &random);
    input_point(input, input_plain_nbytes(input), point);
    CHECK_INT(point->place, INPUT_IN_MEMBER);
    CHECK(point->plain_nbytes > 100000);
    input_close(input);
    temp_dir_write(dir, path_base(path), damaged.ptr, damaged.len);
    input = open_it();
    CHECK_INT(input_resume(input, point, &error), STATUS_OK);
    input_set_rules(input, (struct input_rules){.trailing = rule});
    for (size_t n = 1; status == STATUS_OK && n > 0;) {
        status = input_read(input, piece, sizeof piece, &n, &error);
    }
    CHECK_INT(status, word != NULL ? STATUS_INPUT : STATUS_OK);
    if (word != NULL) CHECK_CONTAINS(error.text, word);
    CHECK_INT(input_trailing(input).found, word == NULL);
    if (word == NULL) CHECK_INT(input_trailing(input).compressed_at, raw.len);
    if (word == NULL) CHECK_INT(input_consumed_nbytes(input), damaged.len);
    input_close(input);
    free(point);
}

static void expect_failure(struct span plain, struct span raw, struct span damaged,
                           const char *word) {
    expect(plain, raw, damaged, TRAILING_ERROR, word);
}

static void still_strict(void) {
    struct check_random random = {1};
    struct buffer plain = {0}, raw = {0}, bad = {0};
    path_join(path, sizeof path, dir, "in.gz", NULL);
    add_plain(&plain, 1500000, &random);
    gzip_add(&raw, plain.bytes, plain.len);
    const struct span all = {plain.bytes, plain.len}, whole = {raw.bytes, raw.len};
    for (size_t cut = 1; cut <= 9; cut++) {
        expect_failure(all, whole, (struct span){raw.bytes, raw.len - cut}, "truncated");
    }
    for (size_t at = 1; at <= 8; at++) {
        bad.len = 0;
        buffer_add(&bad, raw.bytes, raw.len);
        bad.bytes[raw.len - at] ^= 16;
        expect_failure(all, whole, (struct span){bad.bytes, bad.len},
                       at > 4 ? "incorrect data check" : "incorrect length check");
    }
    bad.len = 0;
    buffer_add(&bad, raw.bytes, raw.len);
    buffer_add(&bad, "more", 4);
    expect_failure(all, whole, (struct span){bad.bytes, bad.len}, "other bytes");
    expect(all, whole, (struct span){bad.bytes, bad.len}, TRAILING_WARN, NULL);
    bad.len = raw.len;
    buffer_add(&bad, raw.bytes, 30);
    expect_failure(all, whole, (struct span){bad.bytes, bad.len}, "truncated");
    buffer_free(&plain);
    buffer_free(&raw);
    buffer_free(&bad);
}

// Points that no input gave.
static void refusals(void) {
    struct input_point *point = must_zeroed(1, sizeof *point);
    const struct input_point good = {
        .place = INPUT_IN_MEMBER, .file_nbytes = 40, .hash.nbytes = 50};
    path_join(path, sizeof path, dir, "in.gz", NULL);
    for (int i = 0; i < 6; i++) {
        *point = good;
        if (i == 0) point->hash.nbytes = 39;
        if (i == 1) point->hash.nbytes = 1u << 30;
        if (i == 2) point->n_bits = 8;
        if (i == 3) point->window_nbytes = INPUT_WINDOW_NBYTES + 1;
        if (i == 4) point->place = INPUT_IN_PLAIN;
        if (i == 5) point->n_bits = 3, point->file_nbytes = 0;
        struct input *input = open_it();
        CHECK_INT(input_resume(input, point, &error), STATUS_INPUT);
        CHECK_CONTAINS(error.text, "none of it");
        input_close(input);
    }
    free(point);
}

static void saved_hashes(void) {
    struct check_random random = {5};
    struct buffer bytes = {0};
    add_plain(&bytes, 1000, &random);
    char want[SHA256_HEX_LEN + 1], got[SHA256_HEX_LEN + 1];
    for (size_t at = 0; at <= bytes.len; at++) {
        struct sha256 *hash, *other;
        struct sha256_state state;
        must(sha256_create(&hash, &error), &error);
        must(sha256_create(&other, &error), &error);
        sha256_update(hash, bytes.bytes, at);
        sha256_save(hash, &state);
        CHECK_INT(state.nbytes, at);
        sha256_restore(other, &state);
        sha256_update(other, bytes.bytes + at, bytes.len - at);
        must(sha256_of(bytes.bytes, bytes.len, want, &error), &error);
        must(sha256_finish(other, got, &error), &error);
        CHECK_STR(got, want);
        sha256_destroy(hash);
        sha256_destroy(other);
    }
    // Beyond 2^32 bits and bytes: the length is 64 bits wide.
    struct sha256_state far = {.words = {1, 2, 3, 4, 5, 6, 7, 8}, .nbytes = (5ull << 32) + 65},
                        back;
    struct sha256 *hash;
    must(sha256_create(&hash, &error), &error);
    sha256_restore(hash, &far);
    sha256_save(hash, &back);
    CHECK(memcmp(&far, &back, sizeof far) == 0);
    sha256_destroy(hash);
    buffer_free(&bytes);
}

int main(void) {
    temp_dir_make(dir);
    saved_hashes();
    random_files();
    still_strict();
    refusals();
    temp_dir_remove(dir);
    return check_result();
}

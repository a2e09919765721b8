// SPDX-License-Identifier: Apache-2.0
//
// Cutting an input into lines: whatever their ends and sizes, they come as a splitter of three
// lines would have them, numbered and with their offsets.
#include "host/stream/chunk.h"

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX];

enum { RAW_NBYTES = 64 * 1024 };  // what the line reader reads at once

static size_t nbytes_max = RECORD_NBYTES_MAX;  // of a line

static struct input *open_bytes(struct span bytes) {
    char path[TEMP_PATH_MAX];
    struct input *input;
    temp_dir_write(dir, "input", bytes.len > 0 ? bytes.ptr : "", bytes.len);
    path_join(path, sizeof path, dir, "input", NULL);
    CHECK_INT(input_open(path, &input, NULL), STATUS_OK);
    return input;
}

// Takes the next line, as the contract tells it, off the front of `rest`.
static struct span next_line(struct span *rest, bool *too_long) {
    const char *newline = memchr(rest->ptr, '\n', rest->len);
    struct span line = {rest->ptr, newline != NULL ? (size_t)(newline - rest->ptr) : rest->len};
    const size_t taken = line.len + (newline != NULL ? 1 : 0);
    *rest = (struct span){rest->ptr + taken, rest->len - taken};
    *too_long = line.len > nbytes_max;
    if (newline != NULL && line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    return line;
}

// Of a line that is too long the beginning is there, and its length.
static void check_record(const struct record *record, struct span want, bool too_long,
                         uint64_t offset) {
    CHECK_INT(record->offset, offset);
    CHECK_INT(record->status, too_long ? RECORD_TOO_LONG : RECORD_OK);
    CHECK_INT(record->line_nbytes, want.len);
    const size_t len = too_long ? nbytes_max : want.len;
    CHECK_INT(record->line.len, len);
    CHECK(record->line.len == len && memcmp(record->line.ptr, want.ptr, len) == 0);
    CHECK(record->file.ptr == NULL);
    CHECK(record->id.ptr == NULL && record->n_tokens == 0 && record->fault == NULL);
}

// Reads all of `bytes` in chunks and compares with next_line. Returns the number of lines.
static uint64_t check_lines(struct span bytes) {
    struct input *input = open_bytes(bytes);
    struct line_reader *reader;
    struct chunk *chunk;
    struct error error = {""};
    CHECK_INT(line_reader_create(input, &reader, &error), STATUS_OK);
    CHECK_INT(chunk_create(nbytes_max, &chunk, &error), STATUS_OK);
    struct span rest = bytes;
    if (bytes.len >= 3 && memcmp(bytes.ptr, "\xef\xbb\xbf", 3) == 0) {
        rest = (struct span){bytes.ptr + 3, bytes.len - 3};
    }
    uint64_t n_lines = 0;
    for (bool last = false; !last;) {
        CHECK_INT(line_reader_fill(reader, -1, chunk, &error), STATUS_OK);
        last = chunk->last;
        CHECK(!chunk->flush);
        CHECK(chunk->n_records > 0 || last);
        CHECK(chunk->n_records <= CHUNK_RECORDS);
        CHECK(chunk->nbytes < CHUNK_NBYTES + nbytes_max);
        CHECK_INT(chunk->first_record, n_lines + 1);
        size_t nbytes = 0;
        for (size_t i = 0; i < chunk->n_records; i++, n_lines++) {
            CHECK(nbytes < CHUNK_NBYTES);  // full chunks take no more
            CHECK(rest.len > 0);
            const uint64_t offset = bytes.len - rest.len;
            bool too_long;
            const struct span line = next_line(&rest, &too_long);
            check_record(&chunk->records[i], line, too_long, offset);
            CHECK_INT(chunk->records[i].number, n_lines + 1);
            nbytes += chunk->records[i].line.len;
            CHECK(chunk->records[i].line.ptr >= chunk->bytes &&
                  chunk->records[i].line.ptr + chunk->records[i].line.len <=
                      chunk->bytes + chunk->nbytes);
        }
    }
    CHECK_INT(rest.len, 0);
    line_reader_destroy(reader);
    chunk_destroy(chunk);
    input_close(input);
    return n_lines;
}

static void check_count_of(const char *bytes, size_t n, uint64_t n_lines) {
    CHECK_INT(check_lines((struct span){bytes, n}), n_lines);
}

#define CHECK_COUNT(literal, n_lines) check_count_of(literal, sizeof(literal) - 1, n_lines)

static void ends_of_line(void) {
    CHECK_COUNT("", 0);
    CHECK_COUNT("\n", 1);
    CHECK_COUNT("\n\n\n", 3);
    CHECK_COUNT("a", 1);
    CHECK_COUNT("a\n", 1);
    CHECK_COUNT("a\nb", 2);
    CHECK_COUNT("a\r\nb\r\n", 2);
    CHECK_COUNT("a\rb\n\r\n\r", 3);
    CHECK_COUNT("a\r\r\n", 1);
    CHECK_COUNT("a\0b\n\0\n", 2);
    CHECK_COUNT("a\x0b\x0c\x85\xe2\x80\xa8z\n", 1);  // ends of line elsewhere, not here
    CHECK_COUNT("\xef\xbb\xbf", 0);
    CHECK_COUNT("\xef\xbb\xbf\n", 1);
    CHECK_COUNT(
        "\xef\xbb\xbf"
        "a\n\xef\xbb\xbf"
        "b\n",
        2);
    CHECK_COUNT("\xef\xbb\xbf\xef\xbb\xbf\n", 1);  // one mark is a mark, the second a character
    CHECK_COUNT("\xef", 1);
    CHECK_COUNT("\xef\xbb", 1);
    CHECK_COUNT("\xef\xbb\n", 1);
    CHECK_COUNT("\xef\xbb\xbe\n", 1);
}

// Lines whose ends fall on, before and behind the border of what is read at once.
static void at_borders(void) {
    static char bytes[4 * RAW_NBYTES];
    for (int shift = -3; shift <= 3; shift++) {
        for (int ending = 0; ending < 3; ending++) {
            memset(bytes, 'x', sizeof bytes);
            for (size_t k = 1; k <= 3; k++) {
                char *at = bytes + (size_t)((long)(k * RAW_NBYTES) + shift);
                if (ending == 1) at[-1] = '\r';
                if (ending < 2) at[0] = '\n';
                if (ending == 2) memcpy(at, "\r\n\n", 3);
            }
            check_lines((struct span){bytes, sizeof bytes});
        }
    }
}

static void long_lines(void) {
    static const long over[] = {-1, 0, 1, 2, 1000, 5 * RECORD_NBYTES_MAX};
    for (size_t i = 0; i < ARRAY_LEN(over); i++) {
        struct buffer bytes = {0};
        const size_t n = (size_t)(RECORD_NBYTES_MAX + over[i]);
        buffer_add_text(&bytes, "before\n");
        memset(buffer_reserve(&bytes, n), 'x', n);
        bytes.len += n;
        CHECK_INT(check_lines((struct span){bytes.bytes, bytes.len}), 2);
        buffer_add_text(&bytes, "\n");
        CHECK_INT(check_lines((struct span){bytes.bytes, bytes.len}), 2);
        buffer_add_text(&bytes, "behind\nthe last");
        CHECK_INT(check_lines((struct span){bytes.bytes, bytes.len}), 4);
        buffer_free(&bytes);
    }
}

// Many more records than a chunk holds, and longest lines one after the other.
static void many(void) {
    struct buffer bytes = {0};
    for (int i = 0; i < 3 * CHUNK_RECORDS + 5; i++) buffer_add_text(&bytes, i % 7 ? "\n" : "t\n");
    CHECK_INT(check_lines((struct span){bytes.bytes, bytes.len}), 3 * CHUNK_RECORDS + 5);
    bytes.len = 0;
    for (int i = 0; i < 4; i++) {
        // One byte short of a full chunk, then the longest line: the most that a chunk can hold.
        memset(buffer_reserve(&bytes, CHUNK_NBYTES), 'x', CHUNK_NBYTES);
        bytes.len += CHUNK_NBYTES - 1;
        buffer_add_text(&bytes, "\n");
        memset(buffer_reserve(&bytes, RECORD_NBYTES_MAX), 'y', RECORD_NBYTES_MAX);
        bytes.len += RECORD_NBYTES_MAX;
        buffer_add_text(&bytes, "\n");
    }
    CHECK_INT(check_lines((struct span){bytes.bytes, bytes.len}), 8);
    buffer_free(&bytes);
}

static void random_contents(void) {
    struct check_random random = {42};
    static const char likely[] = {'\n', '\n', '\r', '\0', '\xef', '\xbb', '\xbf', 'a'};
    for (int round = 0; round < 60; round++) {
        struct buffer bytes = {0};
        const size_t n = check_below(&random, round % 4 == 0 ? 400000 : 300);
        const unsigned rare = 1 + check_below(&random, 3000);
        char *at = buffer_reserve(&bytes, n + 1);
        for (size_t i = 0; i < n; i++) {
            at[i] = check_below(&random, rare) == 0 ? likely[check_below(&random, 8)]
                                                    : (char)('b' + check_below(&random, 20));
        }
        check_lines((struct span){at, n});
        buffer_free(&bytes);
    }
}

// The bound is the chunk's: with another, other lines are too long, whatever else they are.
static void other_bounds(void) {
    static const size_t bounds[] = {RECORD_NBYTES_MAX_LEAST, 1000, 3 * RAW_NBYTES};
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        nbytes_max = bounds[i];
        struct buffer bytes = {0};
        for (size_t over = 0; over < 4; over++) {
            const size_t n = nbytes_max - 1 + over;
            memset(buffer_reserve(&bytes, n), 'x', n);
            bytes.len += n;
            if (over % 2 == 1) bytes.bytes[bytes.len - 1] = '\r';
            buffer_add_text(&bytes, over == 2 ? "\r\n" : "\n");
        }
        buffer_add_text(&bytes, "last");
        CHECK_INT(check_lines((struct span){bytes.bytes, bytes.len}), 5);
        buffer_free(&bytes);
        at_borders();
    }
    nbytes_max = RECORD_NBYTES_MAX;
}

// What gzip holds may be no text either.
static void packed_twice(void) {
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } cases[] = {
        {"\x1f\x8b\x08\0", 4, "gzip again"},  {"\x28\xb5\x2f\xfdx", 5, "zstd -dc"},
        {"\xff\xfeh\0", 4, "UTF-16"},         {"\xfe\xff\0h", 4, "UTF-16"},
        {"\xff\xfe\0\0h\0\0\0", 8, "UTF-32"}, {"\0\0\xfe\xff\0\0\0h", 8, "UTF-32"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer raw = {0};
        struct line_reader *reader;
        struct chunk *chunk;
        struct error error = {""};
        // Byte by byte, since bytes of several members come one after the other.
        for (size_t k = 0; k < cases[i].n; k++) gzip_add(&raw, cases[i].bytes + k, 1);
        struct input *input = open_bytes((struct span){raw.bytes, raw.len});
        CHECK_INT(line_reader_create(input, &reader, &error), STATUS_OK);
        CHECK_INT(chunk_create(nbytes_max, &chunk, &error), STATUS_OK);
        CHECK_INT(line_reader_fill(reader, -1, chunk, &error), STATUS_INPUT);
        CHECK_CONTAINS(error.text, cases[i].part);
        line_reader_destroy(reader);
        chunk_destroy(chunk);
        input_close(input);
        buffer_free(&raw);
    }
}

static void damaged(void) {
    struct buffer raw = {0}, plain = {0};
    struct error error = {""};
    struct line_reader *reader;
    struct chunk *chunk;
    for (int i = 0; i < 100000; i++) buffer_add_format(&plain, "line %d\n", i);
    gzip_add(&raw, plain.bytes, plain.len);
    struct input *input = open_bytes((struct span){raw.bytes, raw.len - 4});
    CHECK_INT(line_reader_create(input, &reader, &error), STATUS_OK);
    CHECK_INT(chunk_create(RECORD_NBYTES_MAX, &chunk, &error), STATUS_OK);
    enum status status = STATUS_OK;
    int n_chunks = 0;
    while (status == STATUS_OK && !(n_chunks > 0 && chunk->last)) {
        status = line_reader_fill(reader, -1, chunk, &error);
        n_chunks++;
    }
    CHECK_INT(status, STATUS_INPUT);
    CHECK_CONTAINS(error.text, "truncated at compressed byte");
    CHECK_CONTAINS(error.text, "(100000 whole records came before)");
    CHECK_INT(n_chunks, 25);  // 24 of 4096 records came whole
    line_reader_destroy(reader);
    chunk_destroy(chunk);
    input_close(input);
    buffer_free(&raw);
    buffer_free(&plain);
}

// The records that came out before a fault are all counted, also those that came with it.
static void counted(void) {
    struct buffer raw = {0};
    struct error error = {""};
    struct line_reader *reader;
    struct chunk *chunk;
    gzip_add(&raw, "one\ntwo\nthree\nand a half", 25);
    raw.bytes[raw.len - 8] ^= 1;  // the CRC
    struct input *input = open_bytes((struct span){raw.bytes, raw.len});
    CHECK_INT(line_reader_create(input, &reader, &error), STATUS_OK);
    CHECK_INT(chunk_create(nbytes_max, &chunk, &error), STATUS_OK);
    CHECK_INT(line_reader_fill(reader, -1, chunk, &error), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "incorrect data check (3 whole records came before)");
    line_reader_destroy(reader);
    chunk_destroy(chunk);
    input_close(input);
    buffer_free(&raw);
}

static void names(void) {
    static const char *const want[RECORD_STATUS_COUNT] = {"",
                                                          "truncated",
                                                          "abstain",
                                                          "bad_json",
                                                          "blank_line",
                                                          "missing_id",
                                                          "missing_title",
                                                          "title_not_a_string",
                                                          "record_too_long",
                                                          "nonfinite_logits"};
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        CHECK_STR(record_status_name((enum record_status)s), want[s]);
        CHECK_INT(record_is_bad((enum record_status)s), s >= RECORD_BAD_JSON);
    }
}

int main(void) {
    temp_dir_make(dir);
    ends_of_line();
    at_borders();
    long_lines();
    many();
    random_contents();
    other_bounds();
    packed_twice();
    damaged();
    counted();
    names();
    chunk_destroy(NULL);
    line_reader_destroy(NULL);
    temp_dir_remove(dir);
    return check_result();
}

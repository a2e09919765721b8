// SPDX-License-Identifier: Apache-2.0
//
// The floor: spans and paths, the growing buffer and what it escapes; SHA-256 against the examples
// of FIPS 180-4.
#include "host/base/buffer.h"

#include <math.h>

#include "host/base/json.h"
#include "host/base/sha256.h"
#include "host/base/utf8.h"
#include "tests/check.h"
#include "tests/support/temp_dir.h"

#define REPLACEMENT "\xEF\xBF\xBD"

static void check_bytes(const struct buffer *buffer, const char *want, size_t n) {
    CHECK_INT(buffer->len, n);
    CHECK(buffer->len == n && (n == 0 || memcmp(buffer->bytes, want, n) == 0));
    CHECK_INT(buffer_check(buffer, NULL), STATUS_OK);
}

static void growing(void) {
    struct buffer buffer = {0};
    char want[5000];
    size_t n = 0;
    // An empty buffer takes nothing, of any kind, without having a byte.
    buffer_add(&buffer, "", 0);
    buffer_add(&buffer, NULL, 0);
    buffer_add_text(&buffer, "");
    buffer_add_utf8(&buffer, (struct span){0});
    buffer_add_tsv_cell(&buffer, (struct span){0});
    buffer_add_format(&buffer, "%s", "");
    check_bytes(&buffer, "", 0);
    for (int i = 0; n < 4900; i++) {
        n += (size_t)snprintf(want + n, sizeof want - n, "%d,%x;", i, i);
        if (i % 2 == 0) {
            buffer_add_format(&buffer, "%d,%x;", i, i);
        } else {
            char text[40];
            snprintf(text, sizeof text, "%d,%x;", i, i);
            buffer_add_text(&buffer, text);
        }
    }
    check_bytes(&buffer, want, n);
    buffer_clear(&buffer);
    check_bytes(&buffer, "", 0);
    char *at = buffer_reserve(&buffer, 100000);
    CHECK(at != NULL && buffer.cap >= 100000 && buffer.len == 0);
    memset(at, 'x', 100000);
    buffer_free(&buffer);
    CHECK(buffer.bytes == NULL && buffer.len == 0 && buffer.cap == 0);
}

static void check_fraction(float value) {
    struct buffer buffer = {0};
    char want[16];
    snprintf(want, sizeof want, "%.6f", (double)value);
    buffer_add_fraction(&buffer, value);
    buffer_add(&buffer, "", 1);
    CHECK_STR(buffer.bytes, want);
    buffer_free(&buffer);
}

// As printf has it: anywhere, in the middle between two millionths, and next to there.
static void fractions(void) {
    struct check_random random = {.state = 5};
    const float ends[] = {0.0f, 0x1p-149f, 0x1p-126f, 0x1.fffffep-1f, 1.0f};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) check_fraction(ends[i]);
    for (int i = 0; i <= 128; i++) check_fraction((float)i / 128);  // 0.0078125
    for (int i = 0; i < 100000; i++) {
        const float near = ((float)check_below(&random, 1000000) + 0.5f) / 1e6f;
        check_fraction(near);
        check_fraction(nextafterf(near, 0));
        check_fraction(nextafterf(near, 1));
        check_fraction(ldexpf((float)check_below(&random, 1 << 24), -24 - (int)i % 40));
    }
}

// More than memory can hold: remembered, and what was there stays.
static void failing(void) {
    struct buffer buffer = {0};
    struct error error = {""};
    buffer_add_text(&buffer, "abc");
    CHECK(buffer_reserve(&buffer, SIZE_MAX) == NULL);
    CHECK(buffer.failed);
    buffer_add_text(&buffer, "d");
    buffer_add_format(&buffer, "%d", 1);
    buffer_add_json_string(&buffer, span_text("e"));
    CHECK_INT(buffer.len, 3);
    CHECK_INT(buffer_check(&buffer, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "out of memory");
    buffer_free(&buffer);
    buffer_add_text(&buffer, "again");
    check_bytes(&buffer, "again", 5);
    buffer_free(&buffer);
}

static void escaped(void) {
    static const struct {
        const char *text, *json, *tsv;
    } cases[] = {
        {"", "\"\"", ""},
        {"plain", "\"plain\"", "plain"},
        {"a\tb\nc\\d", "\"a\\u0009b\\u000ac\\\\d\"", "a\\tb\\nc\\\\d"},
        {"\\", "\"\\\\\"", "\\\\"},
        {"say \"x\"", "\"say \\\"x\\\"\"", "say \"x\""},
        {"\x01\x1f\x7f\r", "\"\\u0001\\u001f\x7f\\u000d\"", "\x01\x1f\x7f\r"},
        {"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\"",
         "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"},
        // Ill-formed: alone, cut off by an escape, at the end.
        {"\xff", "\"" REPLACEMENT "\"", REPLACEMENT},
        {"\xe2\x80\tx\xc3", "\"" REPLACEMENT "\\u0009x" REPLACEMENT "\"",
         REPLACEMENT "\\tx" REPLACEMENT},
        {"\xed\xa0\x80", "\"" REPLACEMENT REPLACEMENT REPLACEMENT "\"",
         REPLACEMENT REPLACEMENT REPLACEMENT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer buffer = {0};
        buffer_add_json_string(&buffer, span_text(cases[i].text));
        check_bytes(&buffer, cases[i].json, strlen(cases[i].json));
        buffer_clear(&buffer);
        buffer_add_tsv_cell(&buffer, span_text(cases[i].text));
        check_bytes(&buffer, cases[i].tsv, strlen(cases[i].tsv));
        buffer_free(&buffer);
    }
    struct buffer buffer = {0};
    buffer_add_json_string(&buffer, (struct span){"a\0b", 3});
    check_bytes(&buffer, "\"a\\u0000b\"", 10);
    buffer_free(&buffer);
}

// Random bytes: a JSON string that reads back as the sanitized bytes; a cell without tab and
// newline that does too.
static void escaped_random(void) {
    struct check_random random = {7};
    for (int round = 0; round < 2000; round++) {
        char bytes[64], clean[3 * 64], back[6 * 64];
        const size_t n = check_below(&random, sizeof bytes);
        static const char likely[] = "\t\n\\\"\xe2\x80\xc3\xa9nt";
        for (size_t i = 0; i < n; i++) {
            bytes[i] = check_below(&random, 2) == 0 ? (char)check_next(&random)
                                                    : likely[check_below(&random, 10)];
        }
        const size_t clean_len = utf8_sanitize(bytes, n, clean);
        struct buffer buffer = {0};
        buffer_add_json_string(&buffer, (struct span){bytes, n});
        struct json_value value;
        struct json_fault fault;
        CHECK(json_parse((struct span){buffer.bytes, buffer.len}, &value, &fault));
        CHECK_INT(value.type, JSON_STRING);
        size_t len = json_string(value, back);
        CHECK(len == clean_len && memcmp(back, clean, len) == 0);

        buffer_clear(&buffer);
        buffer_add_tsv_cell(&buffer, (struct span){bytes, n});
        len = 0;
        for (size_t i = 0; i < buffer.len; i++) {
            char c = buffer.bytes[i];
            CHECK(c != '\t' && c != '\n');
            if (c == '\\' && ++i < buffer.len) {
                c = buffer.bytes[i] == 't' ? '\t' : buffer.bytes[i] == 'n' ? '\n' : '\\';
            }
            back[len++] = c;
        }
        CHECK(len == clean_len && memcmp(back, clean, len) == 0);
        buffer_free(&buffer);
    }
}

static void hashes(void) {
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX], hex[SHA256_HEX_LEN + 1];
    struct error error = {""};
    temp_dir_make(dir);
    path_join(path, sizeof path, dir, "file", NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(sha256_of(cases[i].text, strlen(cases[i].text), hex, NULL), STATUS_OK);
        CHECK_STR(hex, cases[i].hex);
        temp_dir_write_text(dir, "file", cases[i].text);
        CHECK_INT(sha256_file(path, NULL, hex, &error), STATUS_OK);
        CHECK_STR(hex, cases[i].hex);
    }
    // A million times the letter a, in pieces of all sizes, and as a file of several pieces.
    static const char million[] =
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    static char letters[1000000];
    memset(letters, 'a', sizeof letters);
    struct sha256 *hash;
    CHECK_INT(sha256_create(&hash, NULL), STATUS_OK);
    for (size_t at = 0, n = 0; at < sizeof letters; at += n++) {
        sha256_update(hash, letters + at, n < sizeof letters - at ? n : sizeof letters - at);
    }
    CHECK_INT(sha256_finish(hash, hex, NULL), STATUS_OK);
    sha256_destroy(hash);
    sha256_destroy(NULL);
    CHECK_STR(hex, million);
    temp_dir_write(dir, "file", letters, sizeof letters);
    CHECK_INT(sha256_file(path, NULL, hex, &error), STATUS_OK);
    CHECK_STR(hex, million);
    CHECK_INT(sha256_file("/nowhere/file", NULL, hex, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "/nowhere/file");
    CHECK_INT(sha256_file(dir, NULL, hex, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, dir);
    temp_dir_remove(dir);
}

static void spans_and_paths(void) {
    CHECK(span_equal(span_text("ab"), "ab") && !span_equal(span_text("ab"), "a"));
    CHECK(span_equal(span_text(""), "") && span_equal((struct span){0}, ""));
    CHECK(span_ends_in(span_text("a.gz"), ".gz") && span_ends_in(span_text(".gz"), ".gz"));
    CHECK(!span_ends_in(span_text("gz"), ".gz") && !span_ends_in(span_text("a.gzip"), ".gz"));
    CHECK(!span_ends_in((struct span){"a.gz", 3}, ".gz") && span_ends_in((struct span){0}, ""));
    CHECK_STR(path_base("a"), "a");
    CHECK_STR(path_base("/a/b.c"), "b.c");
    CHECK_STR(path_base("a/"), "");
    CHECK(hex_digit('0') == 0 && hex_digit('9') == 9 && hex_digit('a') == 10);
    CHECK(hex_digit('F') == 15 && hex_digit('g') == -1 && hex_digit('/') == -1);
    CHECK(hex_digit('@') == -1 && hex_digit(':') == -1 && hex_digit('\0') == -1);
}

int main(void) {
    spans_and_paths();
    growing();
    fractions();
    failing();
    escaped();
    escaped_random();
    hashes();
    return check_result();
}

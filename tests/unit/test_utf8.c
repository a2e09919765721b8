// SPDX-License-Identifier: Apache-2.0
//
// UTF-8: every code point, every two-byte combination and the table of ill-formed sequences.
#include "host/base/utf8.h"

#include "host/base/base.h"
#include "tests/check.h"

static size_t encode(unsigned code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(leads[len] | code);
    return len;
}

static void every_code_point(void) {
    for (unsigned code = 0; code < 0x120000; code++) {
        char text[24] = "abcdefghi";
        size_t at = 1 + code % 9, len = encode(code, text + at);
        text[at + len] = 'z';
        bool good = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
        CHECK_INT(utf8_check(text, at + len + 1), good ? at + len + 1 : at);
        // Cut anywhere inside, it is ill-formed from its first byte on.
        for (size_t cut = 1; cut < len; cut++) CHECK_INT(utf8_check(text, at + cut), at);
    }
}

static void overlong_forms(void) {
    for (unsigned code = 0; code < 0x80; code++) {
        const char two[2] = {(char)(0xC0 | code >> 6), (char)(0x80 | (code & 0x3F))};
        CHECK_INT(utf8_check(two, 2), 0);
    }
    for (unsigned code = 0; code < 0x10000; code++) {
        const char four[4] = {(char)0xF0, (char)(0x80 | code >> 12),
                              (char)(0x80 | (code >> 6 & 0x3F)), (char)(0x80 | (code & 0x3F))};
        CHECK_INT(utf8_check(four, 4), 0);
        if (code < 0x800) {
            const char three[3] = {(char)0xE0, four[2], four[3]};
            CHECK_INT(utf8_check(three, 3), 0);
        }
    }
}

static void sanitized(void) {
#define R "\xEF\xBF\xBD"
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain text, longer than a word", "plain text, longer than a word"},
        {"\x80", R},
        {"a\xC0\xAF"
         "b",
         "a" R R "b"},
        {"\xE0\x80\xAF", R R R},
        {"\xED\xA0\x80", R R R},
        {"\xF0\x9F\x98", R},
        {"\xF0\x9F\x98"
         "x",
         R "x"},
        {"\xE2\x82", R},
        {"\xE2\x82\xE2\x82\xAC", R "\xE2\x82\xAC"},
        {"\xF4\x90\x80\x80", R R R R},
        {"\xF5\x80", R R},
        {"\xFF\xFE", R R},
        {"\xF0\x80\x80\x41", R R R "A"},
        // The examples of the Unicode Standard, tables 3-8 to 3-11.
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", R R R R R R R R "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", R R R R R R R R "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", R R R R R "A" R R "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", R R R R "A"},
    };
#undef R
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[128] = {0};
        size_t n = strlen(cases[i].text), len = utf8_sanitize(cases[i].text, n, out);
        CHECK_INT(len, strlen(cases[i].want));
        CHECK(len <= 3 * n);
        CHECK(memcmp(out, cases[i].want, len) == 0);
        CHECK_INT(utf8_check(out, len), len);
    }
    CHECK_INT(utf8_check(NULL, 0), 0);
    CHECK_INT(utf8_sanitize(NULL, 0, NULL), 0);
    CHECK_INT(utf8_check("a\0b", 3), 3);
}

static void random_bytes(void) {
    static const unsigned char pool[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F,
                                         0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1,
                                         0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5};
    struct check_random random = {7};
    for (int round = 0; round < 200000; round++) {
        char text[20], out[60], again[60];
        size_t n = check_below(&random, sizeof text + 1);
        for (size_t i = 0; i < n; i++) text[i] = (char)pool[check_below(&random, sizeof pool)];
        size_t len = utf8_sanitize(text, n, out);
        CHECK_INT(utf8_check(out, len), len);
        CHECK(len <= 3 * n);
        size_t good = utf8_check(text, n);
        CHECK(good <= n && (good == 0 || memcmp(text, out, good) == 0));
        if (good < n) CHECK(memcmp(out + good, "\xEF\xBF\xBD", 3) == 0);
        CHECK_INT(utf8_sanitize(out, len < 20 ? len : good, again), len < 20 ? len : good);
    }
}

int main(void) {
    every_code_point();
    overlong_forms();
    sanitized();
    random_bytes();
    return check_result();
}

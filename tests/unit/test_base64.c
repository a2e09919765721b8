// SPDX-License-Identifier: Apache-2.0
//
// Base64: the examples of RFC 4648, every length and byte there and back, and no second text for
// any bytes.
#include "host/base/base64.h"

#include "tests/check.h"

static void check_text(const char *plain, const char *text) {
    struct buffer got = {0};
    char back[64];
    size_t n;
    buffer_add_base64(&got, span_text(plain));
    CHECK(got.len == strlen(text) && memcmp(got.bytes, text, got.len) == 0);
    CHECK(base64_decode(span_text(text), back, &n));
    CHECK(n == strlen(plain) && memcmp(back, plain, n) == 0);
    buffer_free(&got);
}

static void examples(void) {
    struct buffer none = {0};
    char byte;
    size_t n = 1;
    buffer_add_base64(&none, (struct span){0});
    CHECK_INT(none.len, 0);
    CHECK(base64_decode((struct span){"", 0}, &byte, &n));
    CHECK_INT(n, 0);
    check_text("f", "Zg==");
    check_text("fo", "Zm8=");
    check_text("foo", "Zm9v");
    check_text("foob", "Zm9vYg==");
    check_text("fooba", "Zm9vYmE=");
    check_text("foobar", "Zm9vYmFy");
    check_text("\xfb\xff\xbf", "+/+/");
}

static void there_and_back(void) {
    struct check_random random = {7};
    for (size_t len = 0; len < 300; len++) {
        char bytes[300], back[300];
        struct buffer text = {0};
        size_t n;
        for (size_t i = 0; i < len; i++) bytes[i] = (char)check_next(&random);
        buffer_add_base64(&text, (struct span){bytes, len});
        CHECK_INT(text.len, (len + 2) / 3 * 4);
        CHECK(base64_decode((struct span){text.bytes, text.len}, back, &n));
        CHECK(n == len && memcmp(back, bytes, len) == 0);
        buffer_free(&text);
    }
}

// Whatever four characters: they are refused, or just what the encoder makes of their bytes.
static void no_second_text(void) {
    static const char some[] = "AQgwz09+/=Z-_ \n";
    long n_good = 0;
    for (int i = 0; i < 15 * 15 * 15 * 15; i++) {
        const char text[4] = {some[i % 15], some[i / 15 % 15], some[i / 225 % 15], some[i / 3375]};
        char bytes[3];
        size_t n;
        if (!base64_decode((struct span){text, 4}, bytes, &n)) continue;
        struct buffer again = {0};
        buffer_add_base64(&again, (struct span){bytes, n});
        CHECK(again.len == 4 && memcmp(again.bytes, text, 4) == 0);
        buffer_free(&again);
        n_good++;
    }
    // Ten digits that have a value, four of them without low bits (A Q g w), one without the last
    // two (0 more): four digits, three and =, two and ==.
    CHECK(n_good > 10000 && n_good < 15 * 15 * 15 * 15 / 4);
}

static void refused(void) {
    static const char *const texts[] = {"Z",        "Zg",       "Zg=",   "Zg===", "====", "=g==",
                                        "Z===",     "Zh==",     "Zm9=",  "Zg=A",  "Z g=", "Zm9v\n",
                                        "Zg==Zg==", "Zm8=Zm9v", "Zm9vZ", "Zm-v",  "Zm_v"};
    char bytes[64];
    size_t n;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (base64_decode(span_text(texts[i]), bytes, &n)) CHECK_FAIL("%s is taken", texts[i]);
    }
}

int main(void) {
    examples();
    there_and_back();
    no_second_text();
    refused();
    return check_result();
}

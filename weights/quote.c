// SPDX-License-Identifier: Apache-2.0
#include "weights/quote.h"

#include <string.h>

#include "host/base/utf8.h"

// Appends `text`, cleaned; where it does not fit, as much of it as leaves room for dots.
static size_t append(struct quoted *out, size_t len, struct span text) {
    const size_t room = sizeof out->text - sizeof "...\"";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (len == room) {
            memcpy(out->text + len, "...", 3);
            return len + 3;
        }
        out->text[len++] = c < 0x20 || c == 0x7F ? '?' : (char)c;
    }
    return len;
}

static void finish(struct quoted *out, size_t len) {
    // Cutting may have halved a character, and the name may have been ill-formed from the start.
    for (size_t at = 0; (at += utf8_check(out->text + at, len - at)) < len; at++) {
        out->text[at] = '?';
    }
    out->text[len] = '\0';
}

struct quoted quote(struct span name) {
    struct quoted out = {"\""};
    size_t len = append(&out, 1, name);
    out.text[len++] = '"';
    finish(&out, len);
    return out;
}

struct quoted quote_json(struct json_value value) {
    struct quoted out = {""};
    finish(&out, append(&out, 0, value.raw));
    return out;
}

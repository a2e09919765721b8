// SPDX-License-Identifier: Apache-2.0
//
// Reading UTF-8 where it must be quick: a library's call for each character would take as long as
// everything else that is done to it.
#ifndef WADER_TOKENIZER_DECODE_H
#define WADER_TOKENIZER_DECODE_H

#include "host/base/utf8.h"
#include "tokenizer/chars.h"

static inline bool utf8_continues(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

// The character at `at`, or -1 where the bytes are ill formed (The Unicode Standard, Table 3-7).
// `*len` is how many it takes, as in utf8_sequence. `at` < `end`.
static inline int32_t utf8_decode(const uint8_t *at, const uint8_t *end, size_t *len) {
    const ptrdiff_t n = end - at;
    *len = 1;
    if (at[0] < 0x80) return at[0];
    if (at[0] >= 0xC2 && at[0] < 0xE0 && n >= 2 && utf8_continues(at[1])) {
        *len = 2;
        return (at[0] & 0x1F) << 6 | (at[1] & 0x3F);
    }
    if (at[0] >= 0xE0 && at[0] < 0xF0 && n >= 3 && utf8_continues(at[1]) && utf8_continues(at[2])) {
        int32_t code = (at[0] & 0xF) << 12 | (at[1] & 0x3F) << 6 | (at[2] & 0x3F);
        *len = 3;
        if (code >= 0x800 && (code < 0xD800 || code >= 0xE000)) return code;
    }
    if (at[0] >= 0xF0 && at[0] < 0xF5 && n >= 4 && utf8_continues(at[1]) && utf8_continues(at[2]) &&
        utf8_continues(at[3])) {
        int32_t code =
            (at[0] & 0x7) << 18 | (at[1] & 0x3F) << 12 | (at[2] & 0x3F) << 6 | (at[3] & 0x3F);
        *len = 4;
        if (code >= 0x10000 && code < 0x110000) return code;
    }
    utf8_sequence((const char *)at, (size_t)n, len);
    return -1;
}

#endif

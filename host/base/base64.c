// SPDX-License-Identifier: Apache-2.0
#include "host/base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buffer_add_base64(struct buffer *buffer, struct span bytes) {
    const unsigned char *from = (const unsigned char *)bytes.ptr;
    const size_t n_groups = (bytes.len + 2) / 3;
    if (n_groups == 0) return;
    char *to = buffer_reserve(buffer, 4 * n_groups);
    if (to == NULL) return;
    for (size_t i = 0; i < bytes.len; i += 3, to += 4) {
        const size_t here = bytes.len - i < 3 ? bytes.len - i : 3;
        unsigned group = (unsigned)from[i] << 16;
        if (here > 1) group |= (unsigned)from[i + 1] << 8;
        if (here > 2) group |= from[i + 2];
        to[0] = digits[group >> 18];
        to[1] = digits[group >> 12 & 63];
        to[2] = here > 1 ? digits[group >> 6 & 63] : '=';
        to[3] = here > 2 ? digits[group & 63] : '=';
    }
    buffer->len += 4 * n_groups;
}

// The value of a digit, or -1.
static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

// One group of four digits to `want` bytes, 1 to 3.
static bool decode_group(const char *text, size_t want, char *out) {
    unsigned group = 0;
    for (size_t i = 0; i < 4; i++) {
        const int value = i <= want ? value_of(text[i]) : text[i] == '=' ? 0 : -1;
        if (value < 0) return false;
        group = group << 6 | (unsigned)value;
    }
    // Bits behind the last byte are zero, or two texts would stand for the same bytes.
    if ((group & (0xffffffu >> 8 * want)) != 0) return false;
    for (size_t i = 0; i < want; i++) out[i] = (char)(unsigned char)(group >> (16 - 8 * i) & 0xff);
    return true;
}

bool base64_decode(struct span text, char *out, size_t *n) {
    *n = 0;
    if (text.len % 4 != 0) return false;
    for (size_t i = 0; i < text.len; i += 4) {
        const bool last = i + 4 == text.len;
        const char *group = text.ptr + i;
        const size_t want = last && group[3] == '=' ? (group[2] == '=' ? 1 : 2) : 3;
        if (!decode_group(group, want, out + *n)) return false;
        *n += want;
    }
    return true;
}

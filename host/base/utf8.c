// SPDX-License-Identifier: Apache-2.0
#include "host/base/utf8.h"

#include <stdint.h>
#include <string.h>

bool utf8_sequence(const char *bytes, size_t n, size_t *len) {
    const unsigned char *s = (const unsigned char *)bytes;
    unsigned lead = s[0];
    size_t need;
    unsigned low = 0x80, high = 0xBF;  // bounds of the second byte
    *len = 1;
    if (lead < 0x80) return true;
    if (lead >= 0xC2 && lead <= 0xDF) {
        need = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        need = 3;
        if (lead == 0xE0) low = 0xA0;   // below: overlong
        if (lead == 0xED) high = 0x9F;  // above: surrogates
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        need = 4;
        if (lead == 0xF0) low = 0x90;   // below: overlong
        if (lead == 0xF4) high = 0x8F;  // above: past U+10FFFF
    } else {
        return false;
    }
    if (n < 2 || s[1] < low || s[1] > high) return false;
    size_t have = 2;
    while (have < need && have < n && s[have] >= 0x80 && s[have] <= 0xBF) have++;
    *len = have;
    return have == need;
}

// How many of the first bytes are ASCII.
static size_t ascii_run(const char *s, size_t n) {
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, s + i, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) break;
    }
    while (i < n && (unsigned char)s[i] < 0x80) i++;
    return i;
}

size_t utf8_check(const char *s, size_t n) {
    for (size_t i = 0;;) {
        if (i < n && (unsigned char)s[i] < 0x80) i += ascii_run(s + i, n - i);
        if (i == n) return n;
        size_t len;
        if (!utf8_sequence(s + i, n - i, &len)) return i;
        i += len;
    }
}

size_t utf8_sanitize(const char *s, size_t n, char *out) {
    size_t i = 0, written = 0;
    while (i < n) {
        size_t good = utf8_check(s + i, n - i);
        memcpy(out + written, s + i, good);
        i += good;
        written += good;
        if (i == n) break;
        size_t bad;
        utf8_sequence(s + i, n - i, &bad);
        memcpy(out + written, "\xEF\xBF\xBD", 3);
        i += bad;
        written += 3;
    }
    return written;
}

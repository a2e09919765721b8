// SPDX-License-Identifier: Apache-2.0
//
// The inner loops that both halves of the JSON reader share. Nobody else includes this.
#ifndef WADER_HOST_BASE_JSON_SCAN_H
#define WADER_HOST_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "json_find_special takes the lowest bits of a word for its first byte");

static inline bool json_is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *json_skip_space(const char *at, const char *end) {
    while (at < end && json_is_space(*at)) at++;
    return at;
}

// The first quote, backslash or control character in [at, end), or `end`. Words of eight bytes:
// (x - 01..01) & ~x has bit 7 of a byte set where that byte of x is 0, and possibly in bytes above
// such a one, never below; so the lowest bit of the three masks together is a true hit.
static inline const char *json_find_special(const char *at, const char *end) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
        uint64_t hits = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                        ((word - ones * 0x20) & ~word);
        hits &= ones * 0x80;
        if (hits != 0) return at + (__builtin_ctzll(hits) >> 3);
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) at++;
    return at;
}

#endif

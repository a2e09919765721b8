// SPDX-License-Identifier: Apache-2.0
//
// Whether bytes are well-formed UTF-8 (The Unicode Standard, Table 3-7), and what to put where they
// are not. Any bytes may be given; `s` may be NULL where `n` is 0.
#ifndef WADER_HOST_BASE_UTF8_H
#define WADER_HOST_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// The sequence at the start of [s, s + n), n at least 1. True: it is well formed and `*len` bytes
// long. False: `*len` is its maximal subpart, what one U+FFFD stands for (The Unicode Standard,
// section 3.9, "U+FFFD Substitution of Maximal Subparts").
bool utf8_sequence(const char *s, size_t n, size_t *len);

// The offset of the first byte that does not belong to a well-formed sequence, or `n`.
size_t utf8_check(const char *s, size_t n);

// Copies `s` to `out` with every maximal subpart of an ill-formed sequence replaced by U+FFFD, as
// Python's bytes.decode("utf-8", "replace") does. `out` must hold 3 * n bytes and not overlap `s`.
// Returns the bytes written; the result is well formed.
size_t utf8_sanitize(const char *s, size_t n, char *out);

#endif

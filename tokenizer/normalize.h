// SPDX-License-Identifier: Apache-2.0
//
// What a BertNormalizer makes of a text as a whole. Only tokenizers that look for added tokens in
// normalized text need that; others normalize one character, or one word, at a time.
#ifndef WADER_TOKENIZER_NORMALIZE_H
#define WADER_TOKENIZER_NORMALIZE_H

#include "tokenizer/chars.h"

// Room needed to normalize `n` bytes. What becomes of a character, with the spaces around an
// ideograph, is at most three times as long as it; marks out of order take their room twice.
static inline size_t normalize_nbytes(size_t n) {
    return 4 * n + 2 * CHAR_TEXT_MAX;
}

// Writes the normalized text of [at, end), well-formed UTF-8, and returns how long it is. `chars`
// is what char_map_make made for `normalizer`.
size_t normalize(const struct char_map *chars, const struct normalizer *normalizer,
                 const uint8_t *at, const uint8_t *end, uint8_t *to);

#endif

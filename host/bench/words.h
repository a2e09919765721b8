// SPDX-License-Identifier: Apache-2.0
//
// Words to make titles of, out of a model's own vocabulary: whole tokens, and compounds that the
// tokenizer has to cut into several. How many tokens each is was found out by tokenizing it.
#ifndef WADER_HOST_BENCH_WORDS_H
#define WADER_HOST_BENCH_WORDS_H

#include "host/bench/lengths.h"
#include "tokenizer/tokenizer.h"

struct word {
    const char *text;
    int32_t len;
    int32_t n_tokens;
};

struct words {
    struct word *all;  // [n_words], those of one token first, the short ones of these first
    size_t n_words, n_single;
    char *bytes;
};

// STATUS_MODEL where the vocabulary has no word of one token, STATUS_IO without memory. What was
// made is released by words_free, also after a failure; a zeroed one is fine.
enum status words_make(const struct tokenizer *tokenizer, struct bench_random *random,
                       struct words *words, struct error *error);
void words_free(struct words *words);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// A tokenizer while it is made.
#ifndef WADER_TOKENIZER_MAKER_H
#define WADER_TOKENIZER_MAKER_H

#include "tokenizer/settings.h"
#include "tokenizer/vocab.h"
#include "tokenizer/wordpiece.h"

struct maker {
    const struct tokenizer_files *files;
    struct settings settings;
    struct vocab vocab;
    struct trie_key *keys;     // [n_keys], those of the vocabulary, which owns them, then of `rows`
    struct added_token *rows;  // [n_rows], the five special tokens and then the other added ones
    size_t n_keys, n_rows;
    size_t first_added;  // of the keys
    uint8_t *patterns;   // what added tokens are after normalization
    struct tokenizer *tokenizer;
    struct error *error;
};

// Lists the added tokens behind the vocabulary's keys, each with its id.
enum status added_collect(struct maker *maker);

// The id of a special token that must be there, before added_make_patterns.
int32_t added_special_id(const struct maker *maker, enum special special);

// Makes of the keys of added tokens what is looked for: their text or, where they are normalized,
// what that becomes. The character tables must be there.
enum status added_make_patterns(struct maker *maker);

#endif

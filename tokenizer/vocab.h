// SPDX-License-Identifier: Apache-2.0
//
// The tokens of a model and their ids, as vocab.txt or tokenizer.json lists them.
#ifndef WADER_TOKENIZER_VOCAB_H
#define WADER_TOKENIZER_VOCAB_H

#include "host/base/base.h"
#include "host/base/json.h"
#include "tokenizer/trie.h"

// Where the vocabulary is: one of both files at least.
struct vocab_source {
    struct span prefix;      // continuing_subword_prefix, may be empty
    const char *json_name;   // for messages; NULL: there is no tokenizer.json
    struct json_value json;  // its model.vocab, an object from token to id
    const char *text_name;   // NULL: there is no vocab.txt
    struct span text;
};

struct vocab {
    struct trie_key *keys;  // [n_keys], sorted, no token twice under a root, none empty
    size_t n_keys;
    size_t n_tokens;
    int32_t size;    // largest id + 1
    bool has_upper;  // some token that could be part of a word has a capital letter A to Z
    // private
    size_t keys_cap;
    struct span prefix;
    bool starts_too;  // a token that begins with the prefix may also start a word, as it stands
    char *arena;      // unescaped bytes of tokens from JSON
};

// Reads a vocabulary. Where both files are there they must hold the same tokens with the same ids.
//
// vocab.txt has one token a line, its id the line number from 0. Lines end at \n or \r\n only, as
// Hugging Face reads them: U+2028 is a token of multilingual vocabularies. The last line may lack
// its end. Where a token comes twice the later line wins, as in Python's dict, and so does the
// later member of a JSON object. Empty lines count as lines, but an empty token never matches and
// is dropped.
//
// The keys point into the files. vocab_free may be called on a zeroed or a failed vocab.
enum status vocab_read(struct vocab *vocab, const struct vocab_source *source, struct error *error);
void vocab_free(struct vocab *vocab);

// Makes room for `n` keys of the caller's behind `keys`; they are no part of the vocabulary.
enum status vocab_reserve(struct vocab *vocab, size_t n, struct error *error);

// The id of `token` (as written, with the prefix where it has that), or -1.
int32_t vocab_id(const struct vocab *vocab, struct span token);

#endif

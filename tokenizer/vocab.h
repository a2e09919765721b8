// SPDX-License-Identifier: Apache-2.0
//
// The tokens of a model and their ids, as vocab.txt or tokenizer.json lists them.
#ifndef WADER_TOKENIZER_VOCAB_H
#define WADER_TOKENIZER_VOCAB_H

#include "host/base/base.h"
#include "host/base/json.h"
#include "tokenizer/trie.h"

struct vocab {
    struct trie_key *keys;  // [n_keys], sorted, no token twice, none empty
    size_t n_keys;
    int32_t size;    // largest id + 1
    bool has_upper;  // some token outside brackets has a capital letter A to Z
    // private
    char *arena;  // unescaped bytes of tokens from JSON
};

// Reads vocab.txt: one token a line, its id the line number from 0. Lines end at \n or \r\n only,
// as Hugging Face reads them: U+2028 is a token of multilingual vocabularies. The last line may
// lack its end. Where a token comes twice the later line wins, as in Python's dict. Empty lines
// count as lines, but an empty token never matches and is dropped. The keys point into `text`.
// `name` is for messages. vocab_free may be called on a zeroed or a failed vocab.
enum status vocab_from_text(struct vocab *vocab, struct span text, const char *name,
                            struct error *error);

// Reads the object model.vocab of tokenizer.json: token to id. The later member wins.
enum status vocab_from_json(struct vocab *vocab, struct json_value object, const char *name,
                            struct error *error);
void vocab_free(struct vocab *vocab);

// The id of `token` (as written, with "##" where it has that), or -1.
int32_t vocab_id(const struct vocab *vocab, struct span token);

// STATUS_MODEL, with both figures, unless both hold the same tokens with the same ids.
enum status vocab_agree(const struct vocab *a, const char *a_name, const struct vocab *b,
                        const char *b_name, struct error *error);

#endif

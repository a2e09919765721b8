// SPDX-License-Identifier: Apache-2.0
//
// The insides of a tokenizer, and how to make one from bytes instead of a directory.
#ifndef WADER_TOKENIZER_WORDPIECE_H
#define WADER_TOKENIZER_WORDPIECE_H

#include "tokenizer/chars.h"
#include "tokenizer/settings.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trie.h"

struct tokenizer {
    struct trie trie;
    // Of CHAR_ALONE the value is not a text but the character's token id.
    struct char_map chars;
    struct normalizer normalizer;
    // Some added tokens are looked for in normalized text. So that is made first, by a table of its
    // own, and `chars` only splits it.
    bool normalizes_first;
    struct char_map normal_chars;
    int32_t vocab_size;
    int32_t unk_id, cls_id, sep_id;
    int32_t max_word_chars;  // a word of more code points is [UNK]
    int added_lead;          // the byte all added tokens start with, or -1 where they differ
    bool added_first[256];   // which bytes start an added token
    bool normal_first[256];  // which start one that is looked for in normalized text
};

// A file of a model directory. `name` is for messages; NULL where there is no such file.
struct tokenizer_file {
    const char *name;
    struct span text;
};

struct tokenizer_files {
    struct tokenizer_file vocab;   // vocab.txt
    struct tokenizer_file json;    // tokenizer.json
    struct tokenizer_file config;  // tokenizer_config.json
};

// tokenizer_open on files in memory, which are not needed afterwards. At least one of vocab.txt and
// tokenizer.json must be there.
enum status tokenizer_make(const struct tokenizer_files *files, struct tokenizer **out,
                           struct error *error);

// Puts the ids of lone characters into `chars`, which were texts until then. The rest of the
// tokenizer must be there.
void wordpiece_resolve_lone_chars(struct tokenizer *tokenizer);

// tokenizer_encode for any tokenizer; one that normalizes first needs normalize_nbytes(title.len)
// bytes of scratch.
struct encoding wordpiece_encode_title(const struct tokenizer *tokenizer, struct span title,
                                       int32_t max_length, int32_t *ids, uint8_t *scratch);

// The tokens of [at, end), which needs room for as many ids as bytes; no added token is looked for,
// and none is put around. Returns how many.
size_t wordpiece_encode(const struct tokenizer *tokenizer, const uint8_t *at, const uint8_t *end,
                        int32_t *ids);

// The first added token in [at, end), the longest that starts there. False: there is none.
bool wordpiece_find_added(const struct tokenizer *tokenizer, const uint8_t *at, const uint8_t *end,
                          const uint8_t **where, struct trie_match *match);

#endif

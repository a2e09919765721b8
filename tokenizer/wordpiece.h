// SPDX-License-Identifier: Apache-2.0
//
// The insides of a tokenizer, and how to make one from bytes instead of a directory.
#ifndef WADER_TOKENIZER_WORDPIECE_H
#define WADER_TOKENIZER_WORDPIECE_H

#include "tokenizer/settings.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trie.h"

struct tokenizer {
    struct trie trie;
    int32_t vocab_size;
    int32_t unk_id, cls_id, sep_id;
    int32_t max_word_chars;  // a word of more code points is [UNK]
    int added_lead;          // the byte all added tokens start with, or -1 where they differ
    bool added_first[256];   // which bytes start an added token
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

#endif

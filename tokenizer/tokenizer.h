// SPDX-License-Identifier: Apache-2.0
//
// BERT's WordPiece tokenizer, token for token what Hugging Face's BertTokenizerFast gives
// (tokenizers 0.10.3 to 0.23.3): clean, split off CJK characters and punctuation, greedy longest
// match, [CLS] and [SEP] around.
#ifndef WADER_TOKENIZER_TOKENIZER_H
#define WADER_TOKENIZER_TOKENIZER_H

#include "host/base/base.h"

// Immutable once opened: any number of threads may encode with one tokenizer at the same time.
struct tokenizer;

// Opens the tokenizer of a Hugging Face model directory: tokenizer.json, or vocab.txt with the
// settings of BERT's own checkpoints, or both where they hold the same vocabulary (the settings are
// then those of tokenizer.json); and tokenizer_config.json if present. STATUS_MODEL, naming file
// and reason, for anything that is not a cased BERT WordPiece tokenizer or cannot be read. `*out`
// is NULL on failure.
enum status tokenizer_open(const char *model_dir, struct tokenizer **out, struct error *error);
void tokenizer_close(struct tokenizer *tokenizer);  // NULL is fine

// Number of ids: every id returned by tokenizer_encode is in [0, vocab_size).
int32_t tokenizer_vocab_size(const struct tokenizer *tokenizer);

struct encoding {
    int32_t n_ids;   // ids written, [CLS] and [SEP] among them
    bool truncated;  // the title had more tokens than max_length let through
};

// Encodes `title`, any bytes (ill-formed UTF-8 reads as U+FFFD does in Python's "replace", NUL is
// an ordinary character), to [CLS] ids... [SEP]. At most `max_length` ids are written, the last one
// [SEP]; 0 means no limit. `ids` must hold max_length ids, or title.len + 2 where that is less or
// max_length is 0. `max_length` is 0 or at least 2. Nothing is allocated; time is linear in the
// bytes looked at.
struct encoding tokenizer_encode(const struct tokenizer *tokenizer, struct span title,
                                 int32_t max_length, int32_t *ids);

#endif

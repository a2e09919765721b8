// SPDX-License-Identifier: Apache-2.0
//
// BERT's WordPiece tokenizer, token for token what Hugging Face's BertTokenizerFast gives
// (tokenizers 0.10.3 to 0.23.3; 0.14 to 0.23.3 where tokens were added to BERT's own): clean, split
// off CJK characters and punctuation, greedy longest match, [CLS] and [SEP] around.
#ifndef WADER_TOKENIZER_TOKENIZER_H
#define WADER_TOKENIZER_TOKENIZER_H

#include "host/base/base.h"

// Immutable once opened: any number of threads may encode with one tokenizer at the same time.
struct tokenizer;

// Opens the tokenizer of a Hugging Face model directory: tokenizer.json, or vocab.txt with the
// settings of BERT's own checkpoints, or both where they hold the same vocabulary (the settings are
// then those of tokenizer.json); and tokenizer_config.json if present. STATUS_MODEL, naming file
// and reason, for anything that is not a BERT WordPiece tokenizer or cannot be read. `*out` is NULL
// on failure.
//
// Case, accents and CJK characters are treated as tokenizer.json says. tokenizer_config.json
// overrides case and accents where it states them, as it does in transformers (4.15 to 5.24), but
// not where its tokenizer_class is PreTrainedTokenizerFast or TokenizersBackend. Refused is what
// has no one answer: tokenize_chinese_chars against tokenizer.json, which transformers resolved
// first one way and then the other; and a tokenizer_config.json without do_lower_case,
// strip_accents or tokenize_chinese_chars beside a tokenizer.json that is not what transformers
// takes for granted then (true, null and true). Without any statement on case, a vocabulary without
// capital letters is lower-cased, transformers' default, and one with them is cased.
enum status tokenizer_open(const char *model_dir, struct tokenizer **out, struct error *error);
void tokenizer_close(struct tokenizer *tokenizer);  // NULL is fine

// Number of ids: every id returned by tokenizer_encode is in [0, vocab_size).
int32_t tokenizer_vocab_size(const struct tokenizer *tokenizer);

// The id of what the vocabulary has no pieces for, [UNK].
int32_t tokenizer_unknown_id(const struct tokenizer *tokenizer);

struct encoding {
    int32_t n_ids;   // ids written, [CLS] and [SEP] among them
    bool truncated;  // the title had more tokens than max_length let through
};

// Encodes `title`, any bytes (ill-formed UTF-8 reads as U+FFFD does in Python's "replace", NUL is
// an ordinary character), to [CLS] ids... [SEP]. At most `max_length` ids are written, the last one
// [SEP]; 0 means no limit. `ids` must hold max_length ids, or title.len + 2 where that is less or
// max_length is 0. `max_length` is 0 or at least 2. Nothing is allocated; time is linear in the
// bytes looked at. Not for tokenizers that look for added tokens in normalized text: only batches
// have the room to normalize a title.
struct encoding tokenizer_encode(const struct tokenizer *tokenizer, struct span title,
                                 int32_t max_length, int32_t *ids);

// Many titles, quickly: the same ids. Scratch of one thread, of a fixed size.
struct tokenizer_batch;

enum { TOKENIZER_IDS_SLACK = 64 };  // ids that may be written beyond those of a batch

// The tokenizer must outlive it. `max_length` as above. No title may be longer than
// `max_title_nbytes`: a tokenizer that looks for added tokens in normalized text needs four times
// that, others nothing. STATUS_IO where memory is lacking.
enum status tokenizer_batch_create(const struct tokenizer *tokenizer, int32_t max_length,
                                   size_t max_title_nbytes, struct tokenizer_batch **out,
                                   struct error *error);
void tokenizer_batch_destroy(struct tokenizer_batch *batch);  // NULL is fine

// Starts a batch: the ids of its titles will lie back to back in `ids`, which must hold for each
// title as many as tokenizer_encode asks for, and TOKENIZER_IDS_SLACK; `encodings` must hold one
// for each title.
void tokenizer_batch_start(struct tokenizer_batch *batch, int32_t *ids, struct encoding *encodings);

// Adds a title, whose bytes are not needed afterwards.
void tokenizer_batch_add(struct tokenizer_batch *batch, struct span title);

// Ends the batch: ids and encodings are there. Returns how many ids.
size_t tokenizer_batch_finish(struct tokenizer_batch *batch);

// From here on every title is encoded on the plain path, whatever the processor has: for who wants
// to know whether the quick one is right.
void tokenizer_batch_encode_plainly(struct tokenizer_batch *batch);

// How batches are encoded here: "avx512", or "plain", one title at a time.
const char *tokenizer_batch_path(const struct tokenizer_batch *batch);

#endif

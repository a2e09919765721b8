// SPDX-License-Identifier: Apache-2.0
//
// Rows looked at a second time. Some rows of an output are computed once more on another path: the
// token ids by the tokenizer's plain path, at once; the logits by a second encoder, when all rows
// are there. What a device, a processor, memory or a program got wrong in one of the two shows.
//
// Which rows is decided by their numbers alone: those whose hashes are the lowest. So the sample is
// the same whatever the batches, the threads and the device, and no row can evade it.
#ifndef WADER_HOST_STREAM_AUDIT_H
#define WADER_HOST_STREAM_AUDIT_H

#include "host/base/base.h"
#include "host/encoder/encoder.h"
#include "host/stream/record.h"
#include "tokenizer/tokenizer.h"

struct audit;  // used by one thread at a time

// All that is pointed to outlives the audit.
struct audit_setup {
    int32_t n_rows;                     // to compute again, at least 1
    const struct tokenizer *tokenizer;  // that of the run
    int32_t max_length;
    struct encoder *reference;  // idle; no other than the audit uses it
    const struct record_format *format;
    char *const *labels;  // [reference->n_labels]
    const char *input;    // its name, for messages
    // How far a logit may be from the reference's, in parts of the largest logit of the sample or
    // of 1 where that is more. Labels may differ only where the reference's two logits are less
    // than that apart.
    double tolerance;
};

struct audit_result {
    uint64_t rows;  // computed again
    double apart;   // the largest difference of two logits
};

// STATUS_IO where memory is lacking: it takes (n_rows + 1) * (max_length + 2 * K + 8) * 4 bytes
// and 2 MB, whatever comes.
enum status audit_create(const struct audit_setup *setup, struct audit **out, struct error *error);
void audit_destroy(struct audit *audit);  // NULL is fine

// Shows it a row that got logits [K], with the token ids [record->n_tokens] that they were computed
// of; to be called for every one. STATUS_MODEL, naming the record, when the plain path gives
// other ids.
enum status audit_see(struct audit *audit, const struct record *record, uint64_t number,
                      const int32_t *token_ids, const float *logits, struct error *error);

// Computes the sample again. STATUS_MODEL, naming the first record, where logits or labels are too
// far apart; what the encoder says where it fails; STATUS_AGAIN when `stop`, unless NULL, said so,
// which is asked now and then. Nothing can be shown to it any more.
enum status audit_finish(struct audit *audit, bool (*stop)(void), struct audit_result *result,
                         struct error *error);

#endif

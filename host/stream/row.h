// SPDX-License-Identifier: Apache-2.0
//
// From logits to a label, and from a record with its label to an output row. Rows are part of the
// contract: fixed key order, fixed number formats, no locale, always well-formed UTF-8.
//   JSONL  {"id":"a1","label":"science","score":0.973100,"scores":{...},"logits":[...],
//           "status":"truncated","<passthrough>":...}      only what applies
//   TSV    id  label  score  [one column a label]  status  [passthrough]
// A title that abstains keeps its score and scores; its label is null, or an empty cell.
#ifndef WADER_HOST_STREAM_ROW_H
#define WADER_HOST_STREAM_ROW_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/stream/record.h"

enum row_kind { ROW_JSONL, ROW_TSV };
enum row_scores { SCORES_TOP, SCORES_ALL, SCORES_LOGITS };

// What makes probabilities of logits: a softmax of all, which sum to 1; or a sigmoid of each for
// itself, where several labels may hold or none.
enum row_probability { ROW_SOFTMAX, ROW_SIGMOID };

struct row_format {
    enum row_kind kind;
    enum row_scores scores;
    const struct record_format *input;  // how ids and passed-through fields are to be read
    char *const *labels;                // [n_labels], UTF-8
    int32_t n_labels;
    enum row_probability probability;
    float temperature;        // above 0; what logits are divided by first. 1 changes no bit
    const float *thresholds;  // [n_labels] or NULL: a label with a lower probability is not given
};

struct label {
    int32_t index;  // the highest logit, the lowest index among equals
    float score;    // its probability
};

// False when a logit is not finite: such a title gets no label.
bool label_of_logits(const struct row_format *format, const float *logits, struct label *label);

// The probability of label k, of which a softmax needs the top one's.
float probability_of(const struct row_format *format, const float *logits, const struct label *top,
                     int32_t k);

// Whether the title is to get no label, since this one is less probable than its threshold.
bool label_abstains(const struct row_format *format, const struct label *label);

// TSV's column names, one line. JSONL has none.
void row_add_header(struct buffer *buffer, const struct row_format *format);

// The id of a row, as it stands behind {"id": or in the first column; of `format` only kind and
// input are looked at.
void row_add_id(struct buffer *buffer, const struct row_format *format, const struct record *record,
                uint64_t number);

// One row with its newline. `number` is the record's 1-based number, the id of text input. `logits`
// [n_labels] may be NULL for a bad record. A record whose logits are not finite becomes
// RECORD_NONFINITE, one that abstains RECORD_ABSTAIN.
void row_add(struct buffer *buffer, const struct row_format *format, struct record *record,
             uint64_t number, const float *logits);

#endif

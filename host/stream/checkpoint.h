// SPDX-License-Identifier: Apache-2.0
//
// Where a run through the pipeline stands between two records: all that another process needs,
// besides the input and the unfinished outputs, to write the bytes that this one would have
// written.
#ifndef WADER_HOST_STREAM_CHECKPOINT_H
#define WADER_HOST_STREAM_CHECKPOINT_H

#include "host/stream/audit.h"
#include "host/stream/chunk.h"
#include "host/stream/output.h"

// Seconds that each kind of work took, added up over its threads; waiting is not work.
struct stage_seconds {
    double read;      // inflate and cut into lines
    double tokenize;  // parse records, WordPiece
    double encode;    // the encoder, on its own threads or device
    double write;     // format rows, compress, write
};

// Rows by where their logits came from; those that the encoder computed are the rest. The last two
// tell what became of the previous run's rows, and are zeros without one.
struct reuse {
    uint64_t reused;   // the title had scores in the previous run
    uint64_t shared;   // an identical title of this run had been encoded before
    uint64_t changed;  // the id was there, with another title
    uint64_t known;    // the id was there, with this or another title
};

struct totals {
    uint64_t read;                            // records that came in, counted by the reader
    uint64_t records;                         // rows written, counted by the writer: as many
    uint64_t by_status[RECORD_STATUS_COUNT];  // the same, by what became of them
    uint64_t ill_formed_utf8;                 // titles with ill-formed bytes, of good records
    uint64_t consumed_nbytes;                 // of the input file, up to the last row
    uint64_t tokens;                          // of good records, [CLS] and [SEP] among them
    uint64_t unknown_tokens;                  // [UNK] among them
    struct reuse reuse;
    struct audit_result audit;  // left to whoever has rows audited
    struct stage_seconds seconds;
};

uint64_t totals_bad(const struct totals *totals);

// Titles that went through the encoder: those without finite logits among them.
uint64_t totals_encoded(const struct totals *totals);

// All but consumed_nbytes, which is a place in one file.
void totals_add(struct totals *sum, const struct totals *more);

// What came since `before`, earlier figures of the same run: counts, not seconds.
void totals_since(struct totals *totals, const struct totals *before);

enum { CHECKPOINT_OUTPUTS_MAX = 3 };  // rows, and what may be written beside them

struct checkpoint {
    uint64_t n_records;        // done
    uint64_t offset;           // of the next one's line, in plain bytes
    struct totals totals;      // of those done
    struct input_point input;  // not behind `offset`
    uint32_t n_outputs;
    struct output_point outputs[CHECKPOINT_OUTPUTS_MAX];
};

#endif

// SPDX-License-Identifier: Apache-2.0
//
// One input to one output through the encoder: reading, tokenizing, packing, computing and writing
// at the same time, in bounded memory, in order.
#ifndef WADER_HOST_STREAM_PIPELINE_H
#define WADER_HOST_STREAM_PIPELINE_H

#include "host/base/base.h"
#include "host/encoder/encoder.h"
#include "host/stream/audit.h"
#include "host/stream/chunk.h"
#include "host/stream/input.h"
#include "host/stream/output.h"
#include "host/stream/record.h"
#include "host/stream/row.h"
#include "tokenizer/tokenizer.h"

// Seconds that each kind of work took, added up over its threads; waiting is not work.
struct stage_seconds {
    double read;      // inflate and cut into lines
    double tokenize;  // parse records, WordPiece
    double encode;    // the encoder, on its own threads or device
    double write;     // format rows, compress, write
};

struct totals {
    uint64_t read;                            // records that came in, counted by the reader
    uint64_t records;                         // rows written, counted by the writer: as many
    uint64_t by_status[RECORD_STATUS_COUNT];  // the same, by what became of them
    uint64_t ill_formed_utf8;                 // titles with ill-formed bytes, of good records
    uint64_t consumed_nbytes;                 // of the input file, up to the last row
    uint64_t tokens;                          // of good records, [CLS] and [SEP] among them
    struct audit_result audit;                // left to whoever has rows audited
    struct stage_seconds seconds;
};

uint64_t totals_bad(const struct totals *totals);

// All but consumed_nbytes, which is a place in one file.
void totals_add(struct totals *sum, const struct totals *more);

// Told about each bad record and each whose title was ill-formed UTF-8, or about every one, in
// input order, by one thread of the pipeline's own, between pipeline_start and pipeline_finish.
// `logits` [n_labels] is NULL for a record that got none. The record's line is there during the
// call only. Anything but STATUS_OK ends the run with it.
struct record_watcher {
    bool every;
    enum status (*seen)(void *context, const struct record *record, uint64_t number,
                        const float *logits, struct error *error);
    void *context;
};

// Told the input's first line (empty where there is none) before any record is read, by one thread
// of the pipeline's own. It may change how records are to be read; `*is_header` says that the line
// is no record. Then the first record's number is 2.
struct first_line_reader {
    enum status (*read)(void *context, struct span line, struct record_format *format,
                        bool *is_header, struct error *error);  // NULL: the line is a record
    void *context;
};

// Whether the input is a rejects file (replay.h), whose records then come instead of its lines; and
// whether each must have had the format of record_format.
enum replay_what { REPLAY_NOTHING, REPLAY_SAME_FORMAT, REPLAY_ANY_FORMAT };

struct pipeline_config {
    struct encoder *encoder;            // idle; used by one pipeline at a time
    const struct tokenizer *tokenizer;  // its ids are the encoder's
    struct record_format record_format;
    struct row_format row_format;
    bool header;               // begin the output with row_add_header
    int32_t max_length;        // tokens of a title, at most encoder->max_length
    int32_t n_tokenizers;      // threads
    int flush_ms;              // see line_reader_fill; -1 for files
    size_t record_nbytes_max;  // longer records are bad; 0: RECORD_NBYTES_MAX
    enum replay_what replay;
    bool fail_on_bad;  // stop at the first bad record with STATUS_INPUT
    struct first_line_reader first_line;
    struct record_watcher watcher;
    struct audit *audit;  // is shown every row that got logits; NULL: none
};

// A run in progress, handled by one thread. pipeline_start returns at once; pipeline_finish waits
// for the end and tells how it went. `input` and `output` must outlive it. The output is complete,
// but not committed, when that is STATUS_OK. Without an output (NULL) no rows are made, and nobody
// but the watcher looks at logits: none of the totals is of RECORD_NONFINITE.
struct pipeline;
enum status pipeline_start(const struct pipeline_config *config, struct input *input,
                           struct output *output, struct pipeline **out, struct error *error);

// Waits for at most `wait_ms`; true when the run is over. `totals` gets the figures so far.
bool pipeline_poll(struct pipeline *pipeline, int wait_ms, struct totals *totals);

// Waits for the end, frees everything, returns the first failure. Errors of data name the input.
enum status pipeline_finish(struct pipeline *pipeline, struct totals *totals, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// One input to one output through the encoder: reading, tokenizing, packing, computing and writing
// at the same time, in bounded memory, in order.
#ifndef WADER_HOST_STREAM_PIPELINE_H
#define WADER_HOST_STREAM_PIPELINE_H

#include "host/base/base.h"
#include "host/encoder/encoder.h"
#include "host/stream/audit.h"
#include "host/stream/checkpoint.h"
#include "host/stream/input.h"
#include "host/stream/output.h"
#include "host/stream/record.h"
#include "host/stream/row.h"
#include "host/stream/score_log.h"
#include "host/stream/score_set.h"
#include "host/stream/shared_titles.h"
#include "tokenizer/tokenizer.h"

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
    // Where logits come from, besides the encoder; no byte of a row depends on it. Each may be
    // NULL.
    struct score_set *previous;    // scores of an earlier run; many pipelines may look into it
    struct shared_titles *shared;  // titles encoded before; used by one pipeline at a time
    struct score_log *scores;      // takes the logits of each row that has finite ones
    // Whether to note where the run stands, whenever this many seconds have passed since the last
    // note (0: after every batch and chunk). Asks for an output file, an input that keeps points,
    // nothing replayed, and a first_line that changes nothing: it is asked at the beginning only.
    bool checkpoints;
    double checkpoint_every;
    struct output *beside;  // what the watcher writes, noted behind the output; NULL: nothing.
                            // What `scores` writes into is noted last
    // Where to go on, or NULL for the beginning: of an input and an output that were resumed there.
    // The totals begin with its. There until pipeline_finish.
    const struct checkpoint *resume;
};

// Chunks that go round.
int32_t pipeline_n_chunks(int32_t n_tokenizers);

// A run in progress, handled by one thread. pipeline_start returns at once; pipeline_finish waits
// for the end and tells how it went. `input` and `output` must outlive it. The output is complete,
// but not committed, when that is STATUS_OK. Without an output (NULL) no rows are made, and nobody
// but the watcher looks at logits: none of the totals is of RECORD_NONFINITE.
struct pipeline;
enum status pipeline_start(const struct pipeline_config *config, struct input *input,
                           struct output *output, struct pipeline **out, struct error *error);

// Waits for at most `wait_ms`; true when the run is over. `totals` gets the figures so far.
bool pipeline_poll(struct pipeline *pipeline, int wait_ms, struct totals *totals);

// Asks for an end in good order: no more input is read, no more batches are begun, rows of those in
// flight are written. Then pipeline_finish returns STATUS_AGAIN, unless all was done anyway.
void pipeline_drain(struct pipeline *pipeline);

// The latest note of where the run stands into `*into`, which the pipeline may exchange for another
// one of the same kind: allocated whole, freed by its owner. False where there is none since the
// last call. A run that ends with STATUS_AGAIN has noted where it ended.
bool pipeline_checkpoint(struct pipeline *pipeline, struct checkpoint **into);

// Waits for the end, frees everything, returns the first failure. Errors of data name the input.
enum status pipeline_finish(struct pipeline *pipeline, struct totals *totals, struct error *error);

#endif

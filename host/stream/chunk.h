// SPDX-License-Identifier: Apache-2.0
//
// The unit that travels between threads: some whole lines of the input, in order, with what each
// stage adds to them. A fixed number of chunks goes round (pipeline.h), so their sizes here are the
// stream's memory.
#ifndef WADER_HOST_STREAM_CHUNK_H
#define WADER_HOST_STREAM_CHUNK_H

#include "host/base/base.h"
#include "host/stream/input_point.h"
#include "host/stream/score_file.h"
#include "tokenizer/tokenizer.h"

enum {
    // A longer line is a bad record; the stream goes on behind it. The default, and the bounds of
    // --max-record-bytes: chunks must have room for a line of that size each.
    RECORD_NBYTES_MAX = 1 << 20,
    RECORD_NBYTES_MAX_LEAST = 64,
    RECORD_NBYTES_MAX_MOST = 16 << 20,
    CHUNK_NBYTES = 256 * 1024,  // a chunk is full when its lines reach this ...
    CHUNK_RECORDS = 4096,       // ... or this many
};

// What became of a record. The names (record_status_name) stand in output rows: they are part of
// the contract.
enum record_status {
    RECORD_OK,
    RECORD_TRUNCATED,   // labelled, but the title had more tokens than --max-length
    RECORD_ABSTAIN,     // no label: the likeliest is below its threshold; truncated or not
    RECORD_BAD_JSON,    // not one JSON object
    RECORD_BLANK,       // a blank line where a record should be
    RECORD_NO_ID,       // the id field is missing
    RECORD_NO_TITLE,    // the title field is missing
    RECORD_TITLE_TYPE,  // the title is not a string
    RECORD_TOO_LONG,    // the line is longer than the chunk takes: it holds the beginning
    RECORD_NONFINITE,   // the model gave no finite logits for it
    RECORD_STATUS_COUNT,
};

// "" for RECORD_OK, else a word for machines ("bad_json").
const char *record_status_name(enum record_status status);

// A record whose title the model could not be asked about, or gave no answer to.
static inline bool record_is_bad(enum record_status status) {
    return status > RECORD_ABSTAIN;
}

struct record {
    struct span line;      // without its end of line, inside chunk->bytes
    uint64_t number;       // 1-based, in the input that it came from first
    uint64_t offset;       // of the line in the plain (inflated) input, in bytes
    uint64_t line_nbytes;  // of the whole line; more than line.len of a RECORD_TOO_LONG only
    struct span file;      // of a replayed record: the input it came from; else {NULL, 0}
    struct span id;        // raw JSON or raw column; {NULL, 0}: none, or the line number
    enum record_status status;
    bool ill_formed_utf8;   // of the title, or half a surrogate pair: read as U+FFFD, counted
    uint32_t fault_offset;  // RECORD_BAD_JSON: where in the line
    const char *fault;      // RECORD_BAD_JSON: what is wrong there, static
    int32_t n_tokens;       // of a good record, at least 2
    size_t tokens_at;       // its first token in chunk->token_ids
    // Of a good record, where the pipeline looks for scores that are there already.
    struct score_key key;  // of its token ids
    uint64_t id_key;       // of its id
    const float *scores;   // [n_labels] of the previous run; NULL: none
    bool id_known;         // the previous run had the id
    bool shares;           // its logits are those that stand at its place
    uint32_t place;        // in the table of shared titles; 0: none
};

struct chunk {
    size_t line_nbytes_max;  // longer ones are RECORD_TOO_LONG; fixed when the chunk is made
    uint64_t first_record;   // how many records the stream had before, plus 1
    size_t n_records;
    size_t nbytes;
    size_t n_tokens;
    bool last;   // the input ends with this chunk
    bool flush;  // the input is idle behind this chunk: do not wait for more to fill a batch
    uint64_t consumed_begin, consumed_end;  // of the input file, before and behind it
    int n_holders;                          // stages that still look at it; the pipeline's
    uint64_t sequence;                      // 0 for the input's first chunk; the pipeline's
    uint64_t end_offset;                    // in plain bytes, of what comes behind its last line
    struct input_point *origin;             // before its first line; NULL: nobody wants to know
    struct record *records;                 // [CHUNK_RECORDS]
    char *bytes;                            // [CHUNK_NBYTES + line_nbytes_max + PATH_NBYTES_MAX]
    // Every token takes a byte of its title at least, but for the two around it. The slack is
    // TOKENIZER_IDS_SLACK.
    int32_t *token_ids;  // [CHUNK_NBYTES + line_nbytes_max + 2 * CHUNK_RECORDS + slack]
    struct chunk *next;  // in a queue
};

// What the arrays of a chunk take at most; pages that no chunk touches cost nothing.
size_t chunk_nbytes_most(size_t line_nbytes_max);

enum status chunk_create(size_t line_nbytes_max, struct chunk **out, struct error *error);
void chunk_destroy(struct chunk *chunk);  // NULL is fine

// Makes the chunk an `origin`, for an input that keeps points. STATUS_IO without memory.
enum status chunk_keep_origin(struct chunk *chunk, struct error *error);

// Cuts an input into lines and fills chunks with them. Lines end in LF; the last one need not; a CR
// before the LF goes with it; a UTF-8 byte order mark at the very start is skipped. Used by one
// thread.
struct line_reader;
enum status line_reader_create(struct input *input, struct line_reader **out, struct error *error);
void line_reader_destroy(struct line_reader *reader);  // NULL is fine

// Makes a new reader of a resumed input begin with the line at plain byte `offset`, which is not
// before where the input goes on, and count `n_records` before it. STATUS_INPUT where the input
// ends before, else as input_read.
enum status line_reader_resume(struct line_reader *reader, uint64_t n_records, uint64_t offset,
                               struct error *error);

// Fills `chunk` anew: lines, numbers and offsets; a record of RECORD_TOO_LONG keeps the first
// line_nbytes_max bytes. With `flush_ms` at least 0, a chunk is cut short, with its flush flag set,
// once the input has nothing more to give for that long; such a chunk and the last one may be
// empty.
enum status line_reader_fill(struct line_reader *reader, int flush_ms, struct chunk *chunk,
                             struct error *error);

// How many plain bytes of the input the chunks so far took, and how many more were read ahead.
void line_reader_place(const struct line_reader *reader, uint64_t *taken, uint64_t *ahead);

#endif

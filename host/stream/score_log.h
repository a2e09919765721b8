// SPDX-License-Identifier: Apache-2.0
//
// Writes kept scores (score_file.h) row by row, in the order of the output's rows. The bytes follow
// from the rows alone, and one that was interrupted is gone on with.
#ifndef WADER_HOST_STREAM_SCORE_LOG_H
#define WADER_HOST_STREAM_SCORE_LOG_H

#include "host/stream/chunk.h"
#include "host/stream/output.h"

struct score_log;  // used by one thread at a time

// Begins kept scores in `output`, an uncompressed file that stays the caller's and outlives the
// log: at its beginning, or, where it was resumed, behind what it holds. STATUS_IO without memory
// (36 MB for runs of SCORE_RUN_ROWS), or where the output fails; STATUS_INPUT where what it holds
// cannot be the beginning of kept scores of `n_labels`.
enum status score_log_create(struct output *output, int32_t n_labels, uint32_t run_rows,
                             struct score_log **out, struct error *error);
void score_log_destroy(struct score_log *log);  // NULL is fine

// Adds a row with finite logits [n_labels]. STATUS_IO.
enum status score_log_add(struct score_log *log, const struct record *record, const float *logits,
                          struct error *error);

// Writes what comes behind the rows: nothing may be added any more. `output_sha256` [64] is that of
// the rows of the output; of `made_by` n_labels is the log's own. STATUS_IO.
enum status score_log_finish(struct score_log *log, const struct score_identity *made_by,
                             const char *output_sha256, struct error *error);

struct output *score_log_output(const struct score_log *log);
uint64_t score_log_rows(const struct score_log *log);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The file of kept scores (host/stream/score_file.h) beside an output, and what a commit record
// tells of it. It is hidden, as an output's lock and journal are: whoever reads all rows of a
// directory by its names does not meet it. An output without it is as good as any other, but the
// next run has to compute its titles again.
#ifndef WADER_HOST_JOB_KEPT_SCORES_H
#define WADER_HOST_JOB_KEPT_SCORES_H

#include "host/base/buffer.h"
#include "host/stream/checkpoint.h"
#include "host/stream/score_log.h"

// .OUT.scores, from malloc; NULL where there is no memory.
#define SCORES_SUFFIX ".scores"
char *scores_path(const char *output);

// Writes and syncs the rest, under the unfinished file's name. Arguments as of score_log_finish.
enum status kept_scores_complete(struct score_log *log, const struct score_identity *made_by,
                                 const char *output_sha256, struct error *error);

// Gives the file its name; where none was kept (NULL), one that an earlier run left goes.
// STATUS_IO.
enum status kept_scores_place(const char *output, struct score_log *log, struct error *error);

// Whole members of a commit record's object, each with a comma behind it:
//   "previous": {"reused": ..., "changed": ..., "new": ...}   rows, where there was one
//   "kept_scores": {"name": ..., "rows": ..., "file_nbytes": ..., "sha256": ...}
// How many titles were shared depends on what a run did before, after a stop too: it is told on
// stderr, not here.
void kept_scores_tell(struct buffer *buffer, const char *output, const struct totals *totals,
                      bool has_previous, const struct score_log *log);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The progress of a run and what is said about it in the end: on stderr, through log.h. As JSON
//   progress   input (its name), titles or nbytes (done), seconds, share (0 to 1; 0 where nobody
//              knows), file_number and files (where there are several: which, of how many)
//   file       (one of several is done) output, file_number, files, titles, seconds, titles_per_s,
//              bad
//   summary    titles, seconds, titles_per_s, tokens, truncated, abstained, bad, ill_formed_utf8,
//              read_seconds, tokenize_seconds, encode_seconds, write_seconds (over all threads),
//              workers, output (null: stdout)
#ifndef WADER_HOST_CLI_REPORT_H
#define WADER_HOST_CLI_REPORT_H

#include "host/base/base.h"
#include "host/cli/log.h"
#include "host/cli/options.h"
#include "host/stream/pipeline.h"

// The progress of a run, over all its inputs.
struct progress {
    enum progress_mode mode;   // resolved: never PROGRESS_AUTO
    double started, shown;     // now_seconds
    size_t n_files, n_behind;  // inputs, where there are several; and those that are behind us
    uint64_t total_nbytes;     // of the inputs that there is work for; 0 where nobody knows
    uint64_t behind_nbytes, behind_titles;  // of those behind us
    uint64_t before_nbytes, before_titles;  // by earlier runs: no measure of this one's pace
};
void progress_start(struct progress *progress, enum progress_mode mode);
// Shows the figures if it is time to: `totals` are those of the input that is being worked on.
void progress_show(struct progress *progress, const char *name, const struct totals *totals);
// The input that is begun now was begun by an earlier run.
void progress_resume(struct progress *progress, const struct totals *before);
// An input is behind us: it was worked on, or there was nothing to do.
void progress_pass(struct progress *progress, uint64_t nbytes, uint64_t titles, bool worked);

// One of several outputs is there; `totals` and `seconds` are its own.
void report_shard(const struct progress *progress, const char *output, const struct totals *totals,
                  double seconds);

// progress_show for work that is counted in bytes.
void progress_show_bytes(struct progress *progress, const char *name, uint64_t done_nbytes,
                         uint64_t total_nbytes);

// The closing summary. `workers`: what encoded, "8 threads". Its titles a second are all that went
// through the model, those that abstained among them.
void report_summary(const struct totals *totals, double seconds, const char *workers,
                    const char *where);

// 1234567 as 1,234,567 into `text` of 32 bytes; returns `text`.
const char *with_commas(uint64_t n, char text[32]);

#endif

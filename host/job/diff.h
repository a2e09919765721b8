// SPDX-License-Identifier: Apache-2.0
//
// Two runs' outputs, compared: rows are read side by side in one thread, and matched by id as they
// come. Rows of one id are matched in their order, the first with the first.
#ifndef WADER_HOST_JOB_DIFF_H
#define WADER_HOST_JOB_DIFF_H

#include "host/job/diff_counts.h"
#include "host/job/diff_side.h"

struct diff {
    struct diff_side sides[DIFF_SIDES];
    struct diff_counts counts;
};

// Finds the outputs and reads their commit records: diff_side_open's errors. diff_free releases it,
// after a failure too; a zeroed struct is nothing to release.
enum status diff_open(const char *old_path, const char *new_path, struct diff *diff,
                      struct error *error);

// Asked and told while rows are read, by the same thread; each may be NULL.
struct diff_watcher {
    bool (*stop)(void);  // whether to end early
    void (*show)(void *context, uint64_t done_nbytes, uint64_t total_nbytes);
    void *context;
};

// Reads all rows. STATUS_AGAIN where `watcher` wants to stop. STATUS_INPUT for damage,
// diff_file_next's; what was counted until then must not be shown.
enum status diff_run(struct diff *diff, const struct diff_watcher *watcher, struct error *error);

void diff_free(struct diff *diff);

#endif

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

// Reads all rows. `stop`, unless NULL, is asked meanwhile (STATUS_AGAIN). STATUS_INPUT for damage,
// diff_file_next's; what was counted until then must not be shown.
enum status diff_run(struct diff *diff, bool (*stop)(void), struct error *error);

void diff_free(struct diff *diff);

#endif

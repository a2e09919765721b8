// SPDX-License-Identifier: Apache-2.0
//
// The file of --metrics, in the text format of Prometheus, for the textfile collector of its node
// exporter. Every series has a label `run`, the file's name without .prom, so that files of several
// runs in one directory do not collide. Counters begin at 0 in each run.
#ifndef WADER_HOST_CLI_RUN_METRICS_H
#define WADER_HOST_CLI_RUN_METRICS_H

#include "host/base/buffer.h"
#include "host/cli/observe.h"

// With what the file begins, and no other file does.
#define RUN_METRICS_OPENING "# HELP wader_build_info "

struct metrics_facts {
    const char *path;                          // of the file: its name is the run's
    const char *command, *device, *precision;  // the latter two NULL where not known yet
    const struct totals *totals;               // of this run
    uint64_t read_nbytes, total_nbytes;        // of input files
    const size_t *by_state;                    // [ITEM_STATES] outputs
    double started, now, seconds;              // since the epoch; and how long
    double last_success;                       // since the epoch; 0: not known
    bool ended;
    int exit_code;  // where it has ended
};
void metrics_add_text(struct buffer *out, const struct metrics_facts *facts);

// When the run that wrote `text`, or one before it, last ended with 0, in seconds since the epoch;
// 0 where that is not told, or nonsense.
double metrics_last_success(struct span text);

// Writes it in the place of what was there; STATUS_IO.
enum status run_metrics_write(struct job *job, const struct observed_end *end, struct error *error);

#endif

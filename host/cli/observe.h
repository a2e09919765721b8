// SPDX-License-Identifier: Apache-2.0
//
// What --report and --metrics tell of a run, collected while it goes on, and when they are written:
// both files appear at the start (so that a path that cannot be written ends the run before it
// begins), the metrics every few seconds, and both at the end, however the run ends: also when a
// signal stops it. Only what kills it at once (SIGKILL, a second signal, power) leaves files that
// say it is running.
//
// All of it is called by the thread that runs the job, none of it does anything where neither
// option is given.
#ifndef WADER_HOST_CLI_OBSERVE_H
#define WADER_HOST_CLI_OBSERVE_H

#include <time.h>

#include "host/base/base.h"
#include "host/base/sha256.h"
#include "host/stream/checkpoint.h"

struct job;
struct run;

enum item_state {
    ITEM_NOT_BEGUN,
    ITEM_DONE,
    ITEM_ALREADY_DONE,  // by an earlier run
    ITEM_STOPPED,       // by a signal or a device that was lost
    ITEM_FAILED,
    ITEM_STATES,
};

struct observed_item {
    enum item_state state;
    enum status status;  // its exit code, were it the only one
    char *error;         // from malloc, or NULL
    struct error_place place;
};

// Of an output that has no commit record: stdout.
struct observed_stream {
    bool known;
    uint64_t input_nbytes, output_nbytes;  // of the input as it came; of the rows
    char input_sha256[SHA256_HEX_LEN + 1], output_sha256[SHA256_HEX_LEN + 1];
};

struct observer {
    const char *report, *metrics;  // paths; both NULL: nobody observes
    bool began;
    bool planned;  // the list of inputs is known
    time_t started;
    double clock;                 // now_seconds when it started
    struct observed_item *items;  // [n_items], or NULL without memory
    size_t n_items, n_behind, by_state[ITEM_STATES];
    struct totals behind, current;  // this run's, of inputs behind us and of the one in work
    uint64_t behind_nbytes;         // of input files, read
    uint64_t current_nbytes;
    struct observed_stream stream;
    double shown;         // now_seconds when the metrics were written
    double last_success;  // seconds since the epoch; 0: none is known
    bool metrics_fail;    // which was said
};

// How the run stands, for both files.
struct observed_end {
    bool ended;
    enum status status;         // where it has ended
    const struct error *error;  // or NULL
};

// Before anything else of a run. STATUS_USAGE where one of the files is something else than what is
// to be written there, STATUS_IO where it cannot be written.
enum status observe_begin(struct job *job, struct error *error);

// The plan is made. STATUS_USAGE where one of the two files has the name of an output, or of what
// stands beside it; STATUS_IO without memory.
enum status observe_plan(struct job *job, struct error *error);

// Figures of the input in work, whenever there are new ones.
void observe_totals(struct job *job, const struct run *run, const struct totals *totals);

// An input is behind us; run->input and run->output are still open. `error` is looked at where
// `status` is not STATUS_OK.
void observe_item(struct job *job, const struct run *run, enum status status,
                  const struct error *error);

// The run has ended with `status`, whose message is in `error`. Returns that status, or STATUS_IO,
// with a message, where all else went well and a file cannot be written. Frees.
enum status observe_end(struct job *job, enum status status, struct error *error);

// The program leaves because of a signal: writes what there is to tell.
void observe_stop(struct job *job);

#endif

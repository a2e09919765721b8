// SPDX-License-Identifier: Apache-2.0
//
// What `wader label` works on, shared by label*.c alone.
#ifndef WADER_HOST_CLI_LABEL_RUN_H
#define WADER_HOST_CLI_LABEL_RUN_H

#include "host/cli/label_extras.h"
#include "host/cli/label_resume.h"
#include "host/cli/observe.h"
#include "host/cli/report.h"
#include "host/job/commit.h"
#include "host/job/plan.h"

struct job {
    const struct options *options;
    enum replay_what replay;
    struct bad_limit limit;
    struct plan plan;
    struct engine engine;
    struct provenance_task *provenance;
    struct totals totals;
    struct score_set *previous;  // NULL: none
    struct shared_titles *shared;
    uint64_t n_known;  // rows whose id the previous run had, those of earlier attempts too
    size_t n_made;     // outputs that this run finished
    struct progress progress;
    struct observer observer;
};

// One input on its way.
struct run {
    struct job *job;
    const struct plan_item *item;
    struct item_formats formats;
    struct input *input;
    struct output *output;
    struct output *rejects;  // NULL: --on-bad is not reject
    struct output *scores;   // NULL: none are kept
    char *rejects_path, *scores_path;
    struct score_log *score_log;  // into `scores`
    struct extras extras;
    struct commit_lock lock;
    bool was_absent;  // no output was there when the lock was taken
    struct resume resume;
    struct totals totals, fresh;  // the latter without what earlier runs did
    bool is_done;                 // by an earlier run
    struct audit *audit;          // NULL: none
};

// Opens output, rejects and kept scores; where an earlier run left them, if that can be, of an
// input that nothing was read of. STATUS_AGAIN when a signal came meanwhile. close_outputs closes
// what is open, also behind a failure.
enum status open_outputs(struct job *job, struct run *run, struct error *error);
void close_outputs(struct run *run);

// Runs run->input through the pipeline to run->output. A signal ends the program with 75 here, when
// the batches in flight are done and the journal is written, or when there is no time for that.
// Statuses as pipeline_finish's, and resume_save's.
enum status label_stream(struct job *job, struct run *run, struct totals *totals,
                         struct error *error);

// A signal asked us to stop: what the next run can go on from stays, nothing else of this output
// may. label_leave: there is no output yet.
_Noreturn void label_stop(struct run *run);
_Noreturn void label_leave(struct job *job);

#endif

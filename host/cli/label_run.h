// SPDX-License-Identifier: Apache-2.0
//
// What `wader label` works on, shared by label*.c alone.
#ifndef WADER_HOST_CLI_LABEL_RUN_H
#define WADER_HOST_CLI_LABEL_RUN_H

#include "host/cli/label_extras.h"
#include "host/cli/label_resume.h"
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
    struct progress progress;
};

// One input on its way.
struct run {
    const struct plan_item *item;
    struct item_formats formats;
    struct input *input;
    struct output *output;
    struct output *rejects;  // NULL: --on-bad is not reject
    char *rejects_path;
    struct extras extras;
    struct commit_lock lock;
    struct resume resume;
    struct totals totals, fresh;  // the latter without what earlier runs did
    bool is_done;                 // by an earlier run
    struct audit *audit;          // NULL: none
};

// Runs run->input through the pipeline to run->output. A signal ends the program with 75 here, when
// the batches in flight are done and the journal is written, or when there is no time for that.
// Statuses as pipeline_finish's, and resume_save's.
enum status label_stream(struct job *job, struct run *run, struct totals *totals,
                         struct error *error);

// A signal asked us to stop: what the next run can go on from stays, nothing else of this output
// may. label_leave: there is no output yet.
_Noreturn void label_stop(struct run *run);
_Noreturn void label_leave(void);

#endif

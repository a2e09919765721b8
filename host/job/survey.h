// SPDX-License-Identifier: Apache-2.0
//
// How far a catalog is: what stands at each output's name, told by a look at names, sizes and
// records. Nothing is read through, nothing is changed, no run is disturbed.
#ifndef WADER_HOST_JOB_SURVEY_H
#define WADER_HOST_JOB_SURVEY_H

#include "host/job/plan.h"

enum output_state {
    OUTPUT_DONE,         // whole, with a record, of an input as large as the one that is there
    OUTPUT_MISSING,      // nothing is there
    OUTPUT_RUNNING,      // a run holds its lock
    OUTPUT_INTERRUPTED,  // a run that is dead left something; the next one takes it up
    OUTPUT_CHANGED,      // its input or itself is not what its record tells: labelled anew
    OUTPUT_FOREIGN,      // a file without a record of wader's: refused without --force
    OUTPUT_STATES,
};

// "done", "missing", ...
const char *output_state_name(enum output_state state);

struct survey_item {
    enum output_state state;
    uint64_t rows, bad, tokens;  // of OUTPUT_DONE, as its record tells
    uint64_t saved_rows;         // of OUTPUT_INTERRUPTED, as its journal tells, if there is one
    double saved_share;          // of the input's bytes; 0: nobody knows
};

// `items` [plan->n_items] is filled. STATUS_IO when a directory or a record cannot be read, or
// without memory.
enum status survey(const struct plan *plan, struct survey_item *items, struct error *error);

// What has an output's look in `directory`: the names that end as outputs do, that a record or a
// journal is beside, or that a run holds or held a lock for; each once, sorted, as paths.
// STATUS_INPUT when it cannot be listed.
enum status survey_directory(const char *directory, char ***paths, size_t *n, struct error *error);
void survey_paths_free(char **paths, size_t n);

#endif

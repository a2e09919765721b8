// SPDX-License-Identifier: Apache-2.0
//
// From the inputs on the command line to a list of files to label and the name of each one's
// output.
#ifndef WADER_HOST_JOB_PLAN_H
#define WADER_HOST_JOB_PLAN_H

#include "host/base/base.h"
#include "host/job/shard.h"

struct plan_item {
    char *input;   // a path, or "-"
    char *output;  // a path, or "-"
};

struct plan {
    struct plan_item *items;  // [n_items], in the order of host/job/inputs.h
    size_t n_items;
    size_t n_all;  // of all shares
    bool many;     // outputs lie in a directory
};

struct plan_request {
    char *const *inputs;  // [n_inputs], as host/job/inputs.h reads them; none means stdin
    int n_inputs;
    const char *output;  // NULL: stdout
    bool tsv;            // the suffix of outputs in a directory
    bool look_only;      // nothing is to be written: neither inputs nor outputs need to be there
    struct shard shard;  // this share of the inputs; 0 of 0 is all, too
};

// STATUS_USAGE when the request makes no sense (two inputs with one output name, an input that an
// output or its rejects file would replace), STATUS_INPUT when inputs cannot be listed, STATUS_IO
// when outputs cannot be looked at or their directory cannot be made; `*plan` is empty then.
// plan_free releases it.
enum status plan_create(const struct plan_request *request, struct plan *plan, struct error *error);
void plan_free(struct plan *plan);

// dir/<input's base name without its kind>.labels.jsonl.gz, new; NULL without memory.
char *plan_output_in(const char *directory, const char *input, bool tsv);

#endif

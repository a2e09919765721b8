// SPDX-License-Identifier: Apache-2.0
//
// From the inputs on the command line to a list of files to label and the name of each one's
// output.
#ifndef WADER_HOST_JOB_PLAN_H
#define WADER_HOST_JOB_PLAN_H

#include "host/base/base.h"

struct plan_item {
    char *input;   // a path, or "-"
    char *output;  // a path, or "-"
};

struct plan {
    struct plan_item *items;  // [n_items], in the order given; a directory's files by name
    size_t n_items;
};

struct plan_request {
    char *const *inputs;  // [n_inputs]; none means stdin
    int n_inputs;
    const char *output;   // NULL: stdout
    bool tsv;             // the suffix of outputs in a directory
    int shard, n_shards;  // this share of the inputs; 0 of 1 takes all
};

// STATUS_USAGE when the request makes no sense (two inputs with one output name, an input that is
// its own output), STATUS_INPUT when an input directory cannot be listed, STATUS_IO when the output
// directory cannot be made; `*plan` is empty then. plan_free releases it.
enum status plan_create(const struct plan_request *request, struct plan *plan, struct error *error);
void plan_free(struct plan *plan);

// "3/8" to 3 and 8; STATUS_USAGE for anything but I/N with 0 <= I < N.
enum status plan_parse_shard(const char *text, int *shard, int *n_shards, struct error *error);

#endif

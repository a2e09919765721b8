// SPDX-License-Identifier: Apache-2.0
//
// All outputs of a catalog, verified by several threads; and whether they are of one kind.
#ifndef WADER_HOST_JOB_VERIFY_SET_H
#define WADER_HOST_JOB_VERIFY_SET_H

#include "host/job/verify.h"

struct verify_set {
    struct verify_item *items;  // [n], each with its paths
    size_t n;
    struct verify_request request;  // its tally and nbytes are the set's own affair
    bool with_tally;
    int n_threads;
    // What came of it.
    struct label_tally tally;
    uint64_t total_nbytes;  // of the outputs as they stand
};

// Called now and then, by the thread that called verify_set_run.
struct verify_watcher {
    void (*show)(void *context, uint64_t done_nbytes, uint64_t total_nbytes);
    void *context;
};

// Every item gets its verdict, whatever the others have. Those that are good are then compared with
// each other: whatever was made by another model, tokenizer, or with other settings than most, gets
// VERDICT_DIFFERS, naming what differs. STATUS_AGAIN and STATUS_IO as of verify_output.
enum status verify_set_run(struct verify_set *set, const struct verify_watcher *watcher,
                           struct error *error);
// Frees what the run gave; the items themselves are the caller's.
void verify_set_free(struct verify_set *set);

// The second half of verify_set_run alone. STATUS_IO without memory.
enum status verify_set_compare(struct verify_item *items, size_t n, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// How many rows have each label, read off the rows themselves. Used by one thread.
#ifndef WADER_HOST_JOB_LABEL_TALLY_H
#define WADER_HOST_JOB_LABEL_TALLY_H

#include "host/base/base.h"
#include "host/base/buffer.h"

enum { LABEL_TALLY_MAX = 4096 };

struct label_count {
    char *name;  // a JSON string with its quotes
    uint64_t n;
};

struct label_tally {
    struct label_count *labels;  // [n], in the order in which they were first seen
    size_t n, last;              // last: that of the row before
    bool is_full;                // more labels than LABEL_TALLY_MAX, or no memory: not to be used
};

// `label`: as a JSON string.
void label_tally_add(struct label_tally *tally, struct span label, uint64_t n);
void label_tally_merge(struct label_tally *tally, const struct label_tally *more);

// Sorted by name, as an object {"art": 5, ...}.
void label_tally_print(struct label_tally *tally, struct buffer *out);
void label_tally_free(struct label_tally *tally);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The labels that two runs of rows name, numbered as they are met. Number 0 is no label.
#ifndef WADER_HOST_JOB_DIFF_LABELS_H
#define WADER_HOST_JOB_DIFF_LABELS_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/job/fingerprint.h"

enum { LABEL_NONE = 0 };

struct diff_labels {
    struct fingerprint_key key;  // set by the caller
    size_t n;                    // numbers in use, from 1 to n
    size_t n_ordered;            // of these, the first n_ordered came in the model's order
    struct buffer names;         // one after the other
    size_t *ends;                // [cap]: where the name of each number ends
    uint32_t *table;             // [table_cap], a power of two: numbers, 0 where it is empty
    size_t cap, table_cap;
    uint32_t last;  // that was asked for: rows often repeat it
};

// A zeroed struct is an empty list. STATUS_INPUT where there are more labels than DIFF_LABELS_MAX,
// or than 16 MiB of names: no output of a model; STATUS_IO when memory is short.
enum status diff_labels_number(struct diff_labels *labels, struct span name, uint32_t *number,
                               struct error *error);
void diff_labels_free(struct diff_labels *labels);

struct span diff_labels_name(const struct diff_labels *labels, uint32_t number);

// All numbers into `order` [n], those of the model's order as they are, then the others by name.
// STATUS_IO when memory is short.
enum status diff_labels_order(const struct diff_labels *labels, uint32_t *order,
                              struct error *error);

#endif

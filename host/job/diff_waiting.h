// SPDX-License-Identifier: Apache-2.0
//
// Rows of one side whose id the other side has not shown yet. Two outputs in the same order leave
// at most the rows here that one of them has and the other has not; in unrelated orders at most a
// quarter of each side's rows, on average, wait at a time.
//
// A row takes 16 bytes: 88 bits that stand for its id (fingerprint.h; of 200 million different ids
// two share theirs with a probability of about 1 in 15 billion), and label, score and status. Rows
// of one id wait in a queue: the first in is the first out.
#ifndef WADER_HOST_JOB_DIFF_WAITING_H
#define WADER_HOST_JOB_DIFF_WAITING_H

#include "host/base/base.h"
#include "host/job/fingerprint.h"

// What is kept of a row.
struct diff_seen {
    uint16_t label;   // DIFF_LABELS_MAX at most
    int32_t score;    // SCORE_NONE to SCORE_MAX
    unsigned status;  // enum record_status
};

enum { DIFF_LABELS_MAX = 65535 };

struct diff_waiting {
    struct waiting_slot *slots;  // [cap], a power of two
    size_t cap, n_slots;
    struct waiting_link *links;  // [links_cap]: rows and heads of queues
    size_t links_cap, n_links;
    uint64_t free_link;  // 0: none
    uint64_t n_rows;     // that wait
};

// A zeroed struct is an empty room. STATUS_IO when memory is short.
enum status diff_waiting_put(struct diff_waiting *waiting, const struct fingerprint *id,
                             const struct diff_seen *seen, struct error *error);

// Takes the row of this id that has waited longest. False when there is none.
bool diff_waiting_take(struct diff_waiting *waiting, const struct fingerprint *id,
                       struct diff_seen *seen);

void diff_waiting_free(struct diff_waiting *waiting);

#endif

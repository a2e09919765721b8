// SPDX-License-Identifier: Apache-2.0
//
// What is counted of two runs of rows while they go by. Scores are whole millionths, so each of
// them has a counter, and every mean and quantile is exact in constant memory (40 MB).
#ifndef WADER_HOST_JOB_DIFF_COUNTS_H
#define WADER_HOST_JOB_DIFF_COUNTS_H

#include "host/job/diff_labels.h"
#include "host/job/diff_row.h"
#include "host/job/diff_waiting.h"

enum { DIFF_OLD, DIFF_NEW, DIFF_SIDES };

enum {
    DIFF_MATRIX_MAX = 1001,  // labels of a flip matrix, no label among them; of more none is made
    DIFF_TOP = 20,           // pairs that are shown one by one
    DIFF_ID_NBYTES_MAX = 4096,  // an id that is shown is cut there
    DIFF_LOW_SCORE = SCORE_MAX / 2,
};

// A row of both sides, that is shown.
struct diff_pair {
    struct buffer id;
    struct diff_seen old, new;
};

// The pairs of the highest weight, in that order; of equals the one with the lower id, then with
// the lower old score, then with the label that comes first by name. So they depend on what pairs
// there are and not on their order.
struct diff_top {
    struct diff_pair pairs[DIFF_TOP];
    int32_t weights[DIFF_TOP];
    size_t n;
};

struct diff_counts {
    struct diff_labels labels;
    size_t labels_cap;
    uint64_t rows[DIFF_SIDES], by_status[DIFF_SIDES][RECORD_STATUS_COUNT];
    uint64_t *by_label[DIFF_SIDES];  // [labels_cap], by number
    uint64_t *by_score[DIFF_SIDES];  // [SCORE_MAX + 1]
    uint64_t scored[DIFF_SIDES];     // rows with a score
    // Of ids on both sides:
    uint64_t common, flips;  // flips: the label differs, or one side has none
    uint64_t *matrix;        // [labels_cap, labels_cap], old and new; NULL for too many labels
    uint64_t *by_change;     // [2 * SCORE_MAX + 1]: new score less old one, plus SCORE_MAX
    uint64_t scored_common;  // pairs with both scores
    uint64_t newly_low, newly_high;  // of these, where only one side is below DIFF_LOW_SCORE
    struct diff_top surest_flips;    // the highest sum of both scores
    struct diff_top falls;           // same label, the score fell most
    uint64_t added, gone;            // ids of one side only
};

// STATUS_IO when memory is short. diff_counts_free releases it, after a failure too.
enum status diff_counts_create(struct diff_counts *counts, const struct fingerprint_key *key,
                               struct error *error);
void diff_counts_free(struct diff_counts *counts);

// Counts a row of one side, and tells what is kept of it.
enum status diff_counts_row(struct diff_counts *counts, int side, const struct diff_row *row,
                            struct diff_seen *seen, struct error *error);

// Counts an id that both sides have.
enum status diff_counts_pair(struct diff_counts *counts, struct span id,
                             const struct diff_seen *old, const struct diff_seen *new,
                             struct error *error);

// Rows of a side with this label, and ids that have one label in OLD and the other in NEW (there
// must be a matrix); LABEL_NONE for no label. 0 for labels that only a list of names had.
uint64_t diff_counts_of_label(const struct diff_counts *counts, int side, uint32_t label);
uint64_t diff_counts_of_flip(const struct diff_counts *counts, uint32_t old, uint32_t new);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Figures made of what diff_counts.h counts.
//
// The population stability index of two histograms is the sum over their bins of
//   (q - p) * ln(q / p),   p = (old + 1/2) / (all old + bins / 2), q of the new ones alike:
// half a row is added to each bin, so that an empty one makes the index large and not infinite. Its
// usual reading, below 0.1 little change, to 0.25 some, above much, is credit scoring's rule of
// thumb and no test (Siddiqi, Credit Risk Scorecards, 2006; what it is worth for few rows and for
// many: Yurdakul, Statistical Properties of Population Stability Index, 2018).
#ifndef WADER_HOST_JOB_DIFF_MEASURES_H
#define WADER_HOST_JOB_DIFF_MEASURES_H

#include "host/job/diff_counts.h"

enum {
    DIFF_DECILES = 10,
    DIFF_BARS = 20,      // of a histogram of scores, of equal width
    DIFF_QUANTILES = 9,  // those of diff_percents
    DIFF_CHANGE_BINS = 13,
};

#define DIFF_PSI_SOME 0.1
#define DIFF_PSI_MUCH 0.25

extern const int diff_percents[DIFF_QUANTILES];                // 1, 5, 10, 25, 50, ...
extern const int32_t diff_change_edges[DIFF_CHANGE_BINS - 1];  // millionths, rising

// A figure that may not be defined: nothing to divide by.
struct diff_figure {
    bool is_defined;
    double value;
};

// Of scores, or of changes of scores, n of them; nothing is defined where n is 0. A quantile of
// P % is the lowest value that at least P % of all do not exceed.
struct diff_spread {
    uint64_t n;
    double mean;
    double quantiles[DIFF_QUANTILES];
};

struct diff_measures {
    uint32_t *order;  // [n_labels]: numbers of labels, as they are shown
    size_t n_labels;
    bool has_none;  // some row has no label: one more row and column of the matrix, the last
    struct diff_figure psi;        // over labels, no label among them, of all rows
    struct diff_figure score_psi;  // over the deciles of OLD's scores
    // The upper edges of these bins, each within its bin; the last bin has none. Deciles that fall
    // together make one bin.
    int32_t edges[DIFF_DECILES - 1];
    int n_edges;
    uint64_t in_deciles[DIFF_SIDES][DIFF_DECILES];
    uint64_t bars[DIFF_SIDES][DIFF_BARS];  // the last one holds a score of 1 too
    struct diff_spread scores[DIFF_SIDES];
    struct diff_spread change;  // new less old, of ids with both
    // Bin i holds changes from edge i - 1, itself among them, to below edge i; the lower half
    // the other way round, so that the bins are mirror images.
    uint64_t in_changes[DIFF_CHANGE_BINS];
};

// STATUS_IO when memory is short. diff_measures_free releases it.
enum status diff_measure(const struct diff_counts *counts, struct diff_measures *measures,
                         struct error *error);
void diff_measures_free(struct diff_measures *measures);

// part / whole; undefined for 0 / 0.
struct diff_figure diff_share(uint64_t part, uint64_t whole);

// Rows of a side whose record had no usable title.
uint64_t diff_bad(const struct diff_counts *counts, int side);

#endif

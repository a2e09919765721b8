// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_measures.h"

#include <math.h>
#include <stdlib.h>

const int diff_percents[DIFF_QUANTILES] = {1, 5, 10, 25, 50, 75, 90, 95, 99};
const int32_t diff_change_edges[DIFF_CHANGE_BINS - 1] = {
    -500000, -200000, -100000, -50000, -10000, -1000, 1000, 10000, 50000, 100000, 200000, 500000};

struct diff_figure diff_share(uint64_t part, uint64_t whole) {
    if (whole == 0) return (struct diff_figure){.is_defined = false};
    return (struct diff_figure){true, (double)part / (double)whole};
}

uint64_t diff_bad(const struct diff_counts *counts, int side) {
    uint64_t n = 0;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        if (record_is_bad((enum record_status)s)) n += counts->by_status[side][s];
    }
    return n;
}

// ---- the index

static double psi_term(uint64_t old, uint64_t new, const uint64_t all[DIFF_SIDES], size_t n_bins) {
    const double half = 0.5 * (double)n_bins;
    const double p = ((double)old + 0.5) / ((double)all[DIFF_OLD] + half);
    const double q = ((double)new + 0.5) / ((double)all[DIFF_NEW] + half);
    return (q - p) * log(q / p);
}

// Bins are the labels that some row of either side has.
static void measure_label_psi(const struct diff_counts *counts, struct diff_measures *measures) {
    size_t n_bins = 0;
    const uint64_t *all = counts->rows;
    if (all[DIFF_OLD] == 0 || all[DIFF_NEW] == 0) return;
    for (uint32_t k = 0; k <= counts->labels.n; k++) {
        n_bins += diff_counts_of_label(counts, DIFF_OLD, k) > 0 ||
                  diff_counts_of_label(counts, DIFF_NEW, k) > 0;
    }
    measures->psi.is_defined = true;
    for (size_t i = 0; i <= measures->n_labels;
         i++) {  // in the order shown: the same sum each time
        const uint32_t k = i < measures->n_labels ? measures->order[i] : LABEL_NONE;
        const uint64_t old = diff_counts_of_label(counts, DIFF_OLD, k);
        const uint64_t new = diff_counts_of_label(counts, DIFF_NEW, k);
        if (old > 0 || new > 0) measures->psi.value += psi_term(old, new, all, n_bins);
    }
}

// For each of `percents`, which rise: the lowest of the values 0 to n_values - 1 that so many
// percent of `n`, more than 0, do not exceed.
static void find_quantiles(const uint64_t *counters, size_t n_values, uint64_t n,
                           const int *percents, int n_percents, size_t *quantiles) {
    uint64_t seen = 0;
    int q = 0;
    for (size_t i = 0; i < n_values && q < n_percents; i++) {
        seen += counters[i];
        while (q < n_percents && seen >= (n * (uint64_t)percents[q] + 99) / 100) quantiles[q++] = i;
    }
}

static void find_edges(const struct diff_counts *counts, struct diff_measures *measures) {
    static const int tenths[DIFF_DECILES - 1] = {10, 20, 30, 40, 50, 60, 70, 80, 90};
    size_t edges[DIFF_DECILES - 1];
    find_quantiles(counts->by_score[DIFF_OLD], SCORE_MAX + 1, counts->scored[DIFF_OLD], tenths,
                   DIFF_DECILES - 1, edges);
    for (int i = 0; i < DIFF_DECILES - 1; i++) {
        const int32_t edge = (int32_t)edges[i];
        const bool is_new = measures->n_edges == 0 || edge > measures->edges[measures->n_edges - 1];
        // Nothing can be above the highest score.
        if (is_new && edge < SCORE_MAX) measures->edges[measures->n_edges++] = edge;
    }
}

static void measure_score_psi(const struct diff_counts *counts, struct diff_measures *measures) {
    if (counts->scored[DIFF_OLD] == 0 || counts->scored[DIFF_NEW] == 0) return;
    find_edges(counts, measures);
    const int n_bins = measures->n_edges + 1;
    for (int side = 0; side < DIFF_SIDES; side++) {
        int bin = 0;
        for (int32_t score = 0; score <= SCORE_MAX; score++) {
            if (bin < measures->n_edges && score > measures->edges[bin]) bin++;
            measures->in_deciles[side][bin] += counts->by_score[side][score];
        }
    }
    measures->score_psi.is_defined = true;
    for (int bin = 0; bin < n_bins; bin++) {
        measures->score_psi.value +=
            psi_term(measures->in_deciles[DIFF_OLD][bin], measures->in_deciles[DIFF_NEW][bin],
                     counts->scored, (size_t)n_bins);
    }
}

// ---- spreads

// Value i of `counters` stands for i + first millionths.
static void measure_spread(const uint64_t *counters, size_t n_values, int32_t first, uint64_t n,
                           struct diff_spread *spread) {
    int64_t sum = 0;
    size_t quantiles[DIFF_QUANTILES];
    spread->n = n;
    if (n == 0) return;
    for (size_t i = 0; i < n_values; i++) {
        sum += (int64_t)counters[i] * ((int64_t)i + first);
    }
    spread->mean = (double)sum / (double)n / SCORE_MAX;
    find_quantiles(counters, n_values, n, diff_percents, DIFF_QUANTILES, quantiles);
    for (int q = 0; q < DIFF_QUANTILES; q++) {
        spread->quantiles[q] = (double)((int64_t)quantiles[q] + first) / SCORE_MAX;
    }
}

static void fill_bars(const struct diff_counts *counts, struct diff_measures *measures) {
    for (int side = 0; side < DIFF_SIDES; side++) {
        for (int32_t score = 0; score <= SCORE_MAX; score++) {
            const int bar = score / (SCORE_MAX / DIFF_BARS);
            measures->bars[side][bar < DIFF_BARS ? bar : DIFF_BARS - 1] +=
                counts->by_score[side][score];
        }
    }
    for (int32_t i = 0; i <= 2 * SCORE_MAX; i++) {
        const int32_t change = i - SCORE_MAX;
        int bin = 0;
        if (counts->by_change[i] == 0) continue;
        while (bin < DIFF_CHANGE_BINS - 1 &&
               (diff_change_edges[bin] < 0 ? change > diff_change_edges[bin]
                                           : change >= diff_change_edges[bin])) {
            bin++;
        }
        measures->in_changes[bin] += counts->by_change[i];
    }
}

enum status diff_measure(const struct diff_counts *counts, struct diff_measures *measures,
                         struct error *error) {
    void *memory;
    *measures = (struct diff_measures){.n_labels = counts->labels.n};
    enum status status = alloc_array(&memory, counts->labels.n + 1, sizeof *measures->order,
                                     "an order of labels", error);
    if (status != STATUS_OK) return status;
    measures->order = memory;
    status = diff_labels_order(&counts->labels, measures->order, error);
    if (status != STATUS_OK) return status;
    measures->has_none = diff_counts_of_label(counts, DIFF_OLD, LABEL_NONE) > 0 ||
                         diff_counts_of_label(counts, DIFF_NEW, LABEL_NONE) > 0;
    measure_label_psi(counts, measures);
    measure_score_psi(counts, measures);
    for (int side = 0; side < DIFF_SIDES; side++) {
        measure_spread(counts->by_score[side], SCORE_MAX + 1, 0, counts->scored[side],
                       &measures->scores[side]);
    }
    measure_spread(counts->by_change, 2 * SCORE_MAX + 1, -SCORE_MAX, counts->scored_common,
                   &measures->change);
    fill_bars(counts, measures);
    return STATUS_OK;
}

void diff_measures_free(struct diff_measures *measures) {
    free(measures->order);
    *measures = (struct diff_measures){0};
}

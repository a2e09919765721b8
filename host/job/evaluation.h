// SPDX-License-Identifier: Apache-2.0
//
// How right a model is on titles whose labels are known. All logits are kept until the end: figures
// are sums over titles in the order they came, so nothing depends on batches or threads.
#ifndef WADER_HOST_JOB_EVALUATION_H
#define WADER_HOST_JOB_EVALUATION_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/job/temperature.h"

enum {
    EVALUATION_BINS = 15,             // of equal width; Guo et al.'s number
    EVALUATION_CELLS_MAX = 20000000,  // titles times labels, 5 bytes each
    CONFUSION_LABELS_MAX = 1000,      // of models with more labels no matrix is made
};

struct evaluation_model {
    int32_t n_labels;
    bool multi_label;
    double temperature;       // 1: logits as they are
    const float *thresholds;  // [n_labels] or NULL
};

struct evaluation {
    struct evaluation_model model;
    size_t n_titles;
    struct buffer logits;   // float [n_titles, n_labels]
    struct buffer members;  // uint8_t [n_titles, n_labels]
};

// Adds a title: finite logits, and members[k] 1 where label k is right, else 0; one is, unless the
// model is multi_label. STATUS_INPUT beyond EVALUATION_CELLS_MAX.
enum status evaluation_add(struct evaluation *evaluation, const float *logits,
                           const uint8_t *members, struct error *error);
void evaluation_free(struct evaluation *evaluation);

// Of one label: titles that have it, that got it, and both.
struct label_counts {
    uint64_t support, predicted, right;
};

// Probabilities above from and up to the next bin's. For one label of all, the probability of each
// title's label, and how often it was right; for multi_label, each label's of each title, and how
// often it held.
struct reliability_bin {
    uint64_t n, n_right;
    double sum;  // of the probabilities
};

struct reliability {
    struct reliability_bin bins[EVALUATION_BINS];
    double error;  // expected calibration error: |n_right - sum| over the bins, by their number
    double nll;    // temperature_nll
};

// Titles get the label of the highest logit, the first among equals; multi_label: each label whose
// probability reaches its threshold, or 0.5 where that is 0, which every title would reach.
// Probabilities are at the model's temperature.
struct measures {
    struct evaluation_model model;
    uint64_t n_titles, n_right;             // multi_label: with all labels right, and no other
    double low, high;                       // 95 % interval of n_right / n_titles (Wilson, 1927)
    struct label_counts *labels;            // [n_labels]
    uint32_t *confusion;                    // [true, predicted], or NULL
    double macro_f1;                        // the mean of the labels that have an F1 ...
    int32_t n_macro;                        // ... of which there are so many
    struct label_counts all;                // multi_label: sums over labels
    uint64_t n_answered, n_answered_right;  // with thresholds, and one label of all
    struct reliability reliability;
    enum temperature_place place;
    double temperature;          // the best one
    struct reliability at_best;  // at that temperature
};

// STATUS_INPUT where there is no title. measures_free releases it.
enum status evaluation_measure(const struct evaluation *evaluation, struct measures *measures,
                               struct error *error);
void measures_free(struct measures *measures);

// part / whole; false where that is 0 / 0.
bool ratio(uint64_t part, uint64_t whole, double *out);

// The harmonic mean of precision and recall, 2 right / (support + predicted).
bool f1_of(const struct label_counts *counts, double *out);

#endif

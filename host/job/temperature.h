// SPDX-License-Identifier: Apache-2.0
//
// Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", 2017): logits are
// divided by one number before they become probabilities. The best one makes the labels that are
// known most likely. Here it is handled as its inverse b = 1/T, in which the negative log
// likelihood is convex, for a softmax
//     sum over titles of  log(sum_k exp(b z_k)) - sum_k y_k b z_k
// as for sigmoids
//     sum over titles and k of  log(1 + exp(b z_k)) - y_k b z_k
// and has, with p_k the probability of label k at b, one derivative:
//     sum over titles and k of  (p_k - y_k) z_k
#ifndef WADER_HOST_JOB_TEMPERATURE_H
#define WADER_HOST_JOB_TEMPERATURE_H

#include "host/base/base.h"

// Titles with their logits, all finite, and the labels that are right.
struct known_titles {
    const float *logits;     // [n_titles, n_labels]
    const uint8_t *members;  // [n_titles, n_labels], 1 or 0; one 1 a title unless multi_label
    size_t n_titles;         // at least 1
    int32_t n_labels;        // at least 1
    bool multi_label;        // sigmoids, not a softmax
};

#define TEMPERATURE_SEARCH_MIN 0.05
#define TEMPERATURE_SEARCH_MAX 20.0

enum temperature_place {
    TEMPERATURE_INSIDE,
    TEMPERATURE_AT_MIN,  // the best one is TEMPERATURE_SEARCH_MIN or less
    TEMPERATURE_AT_MAX,  // ... or more; or the logits say the opposite of what is right
    TEMPERATURE_NONE,    // every title is right: the less the better; or all logits are equal
};

// The temperature from TEMPERATURE_SEARCH_MIN to TEMPERATURE_SEARCH_MAX at which the titles' labels
// are most likely; 1 where there is none.
enum temperature_place temperature_best(const struct known_titles *titles, double *temperature);

// The negative log likelihood at a temperature, the mean of all titles; for sigmoids, of all titles
// and labels.
double temperature_nll(const struct known_titles *titles, double temperature);

#endif

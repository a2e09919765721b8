// SPDX-License-Identifier: Apache-2.0
//
// From a sample of a catalog to all of it. Every figure (titles, tokens, bytes of rows) is reckoned
// as so much a compressed byte: the sizes of all inputs are known, and what was read is known
// exactly, so only the rest is guessed.
//
// How far off that may be is told by how much the units of the sample differ among each other
// around that ratio: s^2 = sum (y - r c)^2 / (n - 1), for units of c_mean bytes. The rest comes in
// parts (inputs), each with a ratio of its own: a part of C bytes is off by s C / c_mean, and r
// itself by s / sqrt(n) for each c_mean bytes, so with m = sum C / c_mean the variance is
// s^2 (m^2 / n + sum (C / c_mean)^2), and the interval is Student's t at 95 % for n - 1 degrees of
// freedom. Where inputs were left out, units must be inputs: they differ more among each other
// than the parts of one.
#ifndef WADER_HOST_JOB_ESTIMATE_H
#define WADER_HOST_JOB_ESTIMATE_H

#include "host/base/base.h"

struct estimate_unit {
    double nbytes;  // compressed
    double amount;
};

struct estimate {
    double value, low, high;  // equal where nothing was guessed
};

// What was not looked at: the sums of its parts' compressed bytes, and of their squares.
struct estimate_rest {
    double nbytes, squares;
};

// `units` [n], n at least 1, tell the ratio; `known` is what was found in all that was looked at,
// which an interval never goes below.
struct estimate estimate_total(const struct estimate_unit *units, size_t n, double known,
                               struct estimate_rest rest);

// The same for what is rare. What a sample holds none of may be so frequent that it would hold
// three: one in 20 samples has none then (the rule of three).
struct estimate estimate_rare(const struct estimate_unit *units, size_t n, double known,
                              struct estimate_rest rest);

// `a` divided by the rate `b`, both uncertain; and a multiple.
struct estimate estimate_ratio(struct estimate a, struct estimate b);
struct estimate estimate_times(struct estimate a, double factor);

#endif

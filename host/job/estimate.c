// SPDX-License-Identifier: Apache-2.0
#include "host/job/estimate.h"

#include <math.h>

// Student's t, two-sided 95 %; between two rows the upper one, which is wider, holds.
static double student(size_t degrees) {
    static const struct {
        size_t degrees;
        double t;
    } rows[] = {{1, 12.706}, {2, 4.303},  {3, 3.182},  {4, 2.776},  {5, 2.571},
                {6, 2.447},  {7, 2.365},  {8, 2.306},  {10, 2.228}, {12, 2.179},
                {15, 2.131}, {20, 2.086}, {30, 2.042}, {60, 2.000}, {120, 1.980}};
    double t = rows[0].t;
    for (size_t i = 0; i < ARRAY_LEN(rows) && rows[i].degrees <= degrees; i++) t = rows[i].t;
    return t;
}

static double sum_nbytes(const struct estimate_unit *units, size_t n) {
    double nbytes = 0;
    for (size_t i = 0; i < n; i++) nbytes += units[i].nbytes;
    return nbytes;
}

struct estimate estimate_total(const struct estimate_unit *units, size_t n, double known,
                               struct estimate_rest rest) {
    const double nbytes = sum_nbytes(units, n);
    double amount = 0, squares = 0;
    for (size_t i = 0; i < n; i++) amount += units[i].amount;
    if (!(rest.nbytes > 0) || !(nbytes > 0)) return (struct estimate){known, known, known};
    const double ratio = amount / nbytes, mean = nbytes / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double off = units[i].amount - ratio * units[i].nbytes;
        squares += off * off;
    }
    // One unit alone tells nothing of the others: they may be twice that, or nothing.
    const double variance = n > 1 ? squares / (double)(n - 1) : amount * amount / 100;
    const double m = rest.nbytes / mean;
    const double parts = m * m / (double)n + rest.squares / (mean * mean);
    const double off = student(n > 1 ? n - 1 : 1) * sqrt(variance * parts);
    const double value = known + ratio * rest.nbytes;
    return (struct estimate){value, fmax(known, value - off), value + off};
}

struct estimate estimate_rare(const struct estimate_unit *units, size_t n, double known,
                              struct estimate_rest rest) {
    struct estimate total = estimate_total(units, n, known, rest);
    const double nbytes = sum_nbytes(units, n);
    if (rest.nbytes > 0 && nbytes > 0) {
        total.high = fmax(total.high, total.value + 3 * rest.nbytes / nbytes);
    }
    return total;
}

struct estimate estimate_ratio(struct estimate a, struct estimate b) {
    return (struct estimate){a.value / b.value, a.low / b.high, a.high / b.low};
}

struct estimate estimate_times(struct estimate a, double factor) {
    return (struct estimate){a.value * factor, a.low * factor, a.high * factor};
}

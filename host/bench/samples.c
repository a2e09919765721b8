// SPDX-License-Identifier: Apache-2.0
#include "host/bench/samples.h"

#include <stdlib.h>
#include <string.h>

void samples_add(struct samples *samples, double value) {
    if (samples->n < SAMPLES_MAX) samples->values[samples->n++] = value;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread samples_spread(const struct samples *samples) {
    const int n = samples->n;
    double sorted[SAMPLES_MAX];
    if (n == 0) return (struct spread){0};
    memcpy(sorted, samples->values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    return (struct spread){.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
                           .min = sorted[0],
                           .max = sorted[n - 1]};
}

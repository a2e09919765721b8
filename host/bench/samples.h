// SPDX-License-Identifier: Apache-2.0
//
// What one thing gave, measured several times, and how far apart that lies.
#ifndef WADER_HOST_BENCH_SAMPLES_H
#define WADER_HOST_BENCH_SAMPLES_H

enum { SAMPLES_MAX = 100 };

struct samples {
    double values[SAMPLES_MAX];
    int n;
};

struct spread {
    double median, min, max;
};

// Once there are SAMPLES_MAX of them, further ones are dropped.
void samples_add(struct samples *samples, double value);

// All zeros where there are none. The median of an even number is the mean of the middle two.
struct spread samples_spread(const struct samples *samples);

#endif

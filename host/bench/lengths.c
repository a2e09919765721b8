// SPDX-License-Identifier: Apache-2.0
#include "host/bench/lengths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_MIN = 2, LENGTH_MAX = 1000000 };

uint64_t bench_next(struct bench_random *random) {
    uint64_t z = (random->state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

size_t bench_below(struct bench_random *random, size_t n) {
    return (size_t)(bench_next(random) % n);
}

double bench_unit(struct bench_random *random) {
    return (double)(bench_next(random) >> 11) * 0x1p-53;
}

// Box and Muller (1958).
static double normal(struct bench_random *random) {
    const double pi = 3.14159265358979323846;
    const double radius = sqrt(-2.0 * log(1.0 - bench_unit(random)));
    return radius * cos(2.0 * pi * bench_unit(random));
}

// A number at `text`, and what stands behind it; false where there is none.
static bool read_length(const char *text, int32_t *out, const char **rest) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    const unsigned long value = strtoul(text, &end, 10);
    if (value < LENGTH_MIN || value > LENGTH_MAX) return false;
    *out = (int32_t)value;
    *rest = end;
    return true;
}

enum status lengths_parse(const char *text, struct lengths *lengths, struct error *error) {
    static const struct {
        const char *name;
        double median, sigma;
    } named[] = {{"titles", 17, 0.5}, {"short", 8, 0.35}, {"long", 64, 0.5}};
    *lengths = (struct lengths){0};
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        if (strcmp(text, named[i].name) != 0) continue;
        *lengths = (struct lengths){.is_lognormal = true,
                                    .median = named[i].median,
                                    .sigma = named[i].sigma,
                                    .min = LENGTH_MIN + 1,
                                    .max = LENGTH_MAX};
        return STATUS_OK;
    }
    const char *rest = text;
    bool good = read_length(text, &lengths->min, &rest);
    lengths->max = lengths->min;
    if (good && *rest == '-') good = read_length(rest + 1, &lengths->max, &rest);
    if (good && *rest == '\0' && lengths->min <= lengths->max) return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "--lengths %s: give titles, short, long, or tokens as N or N-M, at least 2 "
                     "([CLS] and [SEP])",
                     text);
}

int32_t lengths_draw(const struct lengths *lengths, struct bench_random *random,
                     int32_t max_length) {
    double length;
    if (lengths->is_lognormal) {
        length = round(exp(log(lengths->median) + lengths->sigma * normal(random)));
    } else {
        const size_t n = (size_t)(lengths->max - lengths->min) + 1;
        length = lengths->min + (double)bench_below(random, n);
    }
    if (length < lengths->min) length = lengths->min;
    if (length > lengths->max) length = lengths->max;
    return length < max_length ? (int32_t)length : max_length;
}

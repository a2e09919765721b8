// SPDX-License-Identifier: Apache-2.0
//
// Made-up titles: how many tokens each has, [CLS] and [SEP] among them.
#ifndef WADER_HOST_BENCH_LENGTHS_H
#define WADER_HOST_BENCH_LENGTHS_H

#include "host/base/base.h"

// splitmix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers everywhere for the same seed.
struct bench_random {
    uint64_t state;
};
uint64_t bench_next(struct bench_random *random);
size_t bench_below(struct bench_random *random, size_t n);  // [0, n), n at least 1
double bench_unit(struct bench_random *random);             // [0, 1)

struct lengths {
    bool is_lognormal;     // else each length from min to max is as likely
    double median, sigma;  // of the former: exp(ln(median) + sigma * normal)
    int32_t min, max;
};

// "titles", "short", "long", "N" or "N-M", N at least 2; STATUS_USAGE for anything else.
//   titles  median 17, sigma 0.5: what bert-base-multilingual-cased makes of the subjects of
//   262,000
//           postings (median 17, mean 20.0, sigma of the logarithm 0.54) and of 300,000 sentences
//           in 97 languages (16, 17.8, 0.47)
//   short   median 8, sigma 0.35: product names, queries
//   long    median 64, sigma 0.5: abstracts, descriptions
enum status lengths_parse(const char *text, struct lengths *lengths, struct error *error);

// At least 2, at most `max_length`.
int32_t lengths_draw(const struct lengths *lengths, struct bench_random *random,
                     int32_t max_length);

#endif

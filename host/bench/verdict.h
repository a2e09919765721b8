// SPDX-License-Identifier: Apache-2.0
//
// What the figures of a bench say, in words: which stage bounds the run, and what would lift it.
#ifndef WADER_HOST_BENCH_VERDICT_H
#define WADER_HOST_BENCH_VERDICT_H

#include "host/base/buffer.h"
#include "host/bench/bench.h"

struct verdict {
    enum bench_stage_id bound;       // the slowest stage of a run
    enum bench_stage_id second;      // the slowest of the others
    double margin;                   // how many times the bound's rate the second has
    double feed_titles_per_s;        // what the host gives an encoder that never keeps it waiting
    double cores_per_100k;           // cores kept busy by host work at 100,000 titles/s
    double cores_per_worker;         // on GPUs: cores for each, at the rate it has here; else 0
    enum encoder_work slowest_work;  // of those that are no products, where the profile tells:
    double slowest_work_share;       // its share of the encoder's time,
    double rest_share;               // that of all that is no product,
    double products_share;           // and of the products' ceiling what the products reach; or 0
};

void verdict_of(const struct bench_settings *settings, const struct bench_result *result,
                struct verdict *verdict);

// Sentences parted by spaces: "encode bounds the run: ..." and "More cores would lift it: ...".
void verdict_bound(const struct bench_settings *settings, const struct bench_result *result,
                   const struct verdict *verdict, struct buffer *out);
void verdict_lift(const struct bench_settings *settings, const struct bench_result *result,
                  const struct verdict *verdict, struct buffer *out);

// "attention", "QKV product"
const char *encoder_work_name(enum encoder_work work);
// "attention", "qkv", for machines
const char *encoder_work_key(enum encoder_work work);

// Whether it is a product of matrices.
bool encoder_work_is_product(enum encoder_work work);

#endif

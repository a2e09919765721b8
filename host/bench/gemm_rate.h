// SPDX-License-Identifier: Apache-2.0
//
// What the matrix library gives on large products in a precision, which is the ceiling of an
// encoder on the CPU. The one place here that knows how a product of a precision is made.
#ifndef WADER_HOST_BENCH_GEMM_RATE_H
#define WADER_HOST_BENCH_GEMM_RATE_H

#include "host/bench/crew.h"

struct product_size {
    int32_t n_rows, n_in, n_out;
};

// Products on every thread of a crew, each with its own operands.
struct gemm_rate;

// Plans and packs; `precision` as --precision has it. STATUS_MODEL where products of it cannot be
// measured here.
enum status gemm_rate_create(struct crew *crew, int32_t n_threads, const char *precision,
                             struct product_size shape, struct gemm_rate **out,
                             struct error *error);
void gemm_rate_destroy(struct gemm_rate *rate);  // NULL is fine

// FLOP/s of `n_threads` threads together, over about `seconds`. `*status` is what a product that
// failed gave.
double gemm_rate_measure(struct gemm_rate *rate, int32_t n_threads, double seconds,
                         enum status *status, struct error *error);

#endif

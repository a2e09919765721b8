// SPDX-License-Identifier: Apache-2.0
//
// What this machine does at best, measured beside everything else: copying memory, and large
// products of matrices.
#ifndef WADER_HOST_BENCH_CEILINGS_H
#define WADER_HOST_BENCH_CEILINGS_H

#include "host/bench/crew.h"
#include "host/bench/samples.h"

enum {
    CEILING_CACHE_NBYTES = 256 * 1024,         // what a chunk of the stream holds
    CEILING_MEMORY_NBYTES = 64 * 1024 * 1024,  // more than most caches do
};

struct ceilings {
    struct samples copy;        // bytes/s copied within a cache, by one thread
    struct samples memory;      // bytes/s copied in memory, by one thread
    struct samples memory_all;  // by all threads, each its own
    bool has_gemm;
    struct samples gemm;                   // FLOP/s of one thread, or one device
    struct samples gemm_all;               // of all of them
    int32_t gemm_rows, gemm_in, gemm_out;  // the shape of these products, which did best
};

// What measuring takes. `precision`: of the products, "fp32"; one that the CPU has none of leaves
// has_gemm false.
struct ceiling_meter;
enum status ceiling_meter_create(int32_t n_threads, const char *precision,
                                 struct ceiling_meter **out, struct error *error);
void ceiling_meter_destroy(struct ceiling_meter *meter);  // NULL is fine

// Adds a sample of each to `ceilings`, over about `seconds` each. The first call finds the shape of
// products that does best.
enum status ceiling_meter_measure(struct ceiling_meter *meter, double seconds,
                                  struct ceilings *ceilings, struct error *error);

#endif

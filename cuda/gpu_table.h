// SPDX-License-Identifier: Apache-2.0
//
// GPUs as their makers describe them, and what a run may expect of them. Data for run_model.h; the
// encoder itself never looks here, it asks the device.
#ifndef WADER_CUDA_GPU_TABLE_H
#define WADER_CUDA_GPU_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum run_tier { RUN_FP32, RUN_FP16, RUN_BF16, RUN_FP8, RUN_TIERS };

// As --precision has it.
const char *run_tier_name(enum run_tier tier);

// Dense rates, without sparsity.
struct gpu_facts {
    const char *name;  // "H200"
    const char *what;  // "H200 SXM, 141 GB HBM3e"
    int32_t n_multiprocessors;
    double peak[RUN_TIERS];  // operations/s; 0: it has no such products
    double memory;           // bytes/s
    double pcie;             // bytes/s, in one direction
    double cache_nbytes;     // of L2
    double memory_nbytes;
};

// What the model computes with.
struct gpu_rates {
    int32_t n_multiprocessors;  // 0: products are cut as finely as one likes
    double product[RUN_TIERS];  // operations/s of a product that sums without end
    double fill[RUN_TIERS];     // in terms of a sum: what beginning and ending a tile cost
    double small_tile;          // rate of tiles of 128 by 128 beside those of 128 by 256
    double vector;              // operations/s of kernels besides products
    double memory, pcie;        // bytes/s
    double cache;               // bytes/s of L2; 0: not known, then nothing gains by it
    double cache_nbytes;        // what must fit to come from there
    double gap;                 // seconds that a kernel costs besides its work, in a graph,
    double gap_alone;           // and where each is launched by itself
    bool is_measured;           // product[RUN_BF16] and memory come from this very kind of GPU
};

// All of them, and one by name (any case); NULL: none is called that.
extern const struct gpu_facts gpu_table[];
extern const int32_t gpu_table_n;
const struct gpu_facts *gpu_find(const char *name);

// The peaks alone: nothing can be faster.
struct gpu_rates gpu_roof(const struct gpu_facts *facts);

// What was measured where it was, else the same shares of the peaks as on the GPU where it was.
struct gpu_rates gpu_expected(const struct gpu_facts *facts);

#endif

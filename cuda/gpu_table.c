// SPDX-License-Identifier: Apache-2.0
#include "cuda/gpu_table.h"

#include <string.h>
#include <strings.h>

// Sources, all NVIDIA's and public: data sheets of T4 (2019), A100 80GB SXM (2021), L4 (2023), L40S
// (2023), H100 SXM (2023), H200 SXM (2024), HGX B200 (2025: one eighth of the board's sums);
// multiprocessors and L2 from the white papers of Turing, Ampere GA100, Ada, Hopper, and for B200
// as its driver reports them. Where a sheet gives rates with sparsity, they are halved. PCIe: 16
// lanes of the generation, 15.75 (3), 31.5 (4) and 63 (5) GB/s after its line code.
const struct gpu_facts gpu_table[] = {
    {"T4", "T4, 16 GB GDDR6, 70 W", 40, {8.1e12, 65e12, 0, 0}, 320e9, 15.75e9, 4 << 20, 16e9},
    {"A100",
     "A100 SXM, 80 GB HBM2e",
     108,
     {19.5e12, 312e12, 312e12, 0},
     2039e9,
     31.5e9,
     40 << 20,
     80e9},
    {"L4",
     "L4, 24 GB GDDR6, 72 W",
     58,
     {30.3e12, 121e12, 121e12, 242.5e12},
     300e9,
     31.5e9,
     48 << 20,
     24e9},
    {"L40S",
     "L40S, 48 GB GDDR6",
     142,
     {91.6e12, 362e12, 362e12, 733e12},
     864e9,
     31.5e9,
     96 << 20,
     48e9},
    {"H100",
     "H100 SXM, 80 GB HBM3",
     132,
     {67e12, 989.5e12, 989.5e12, 1979e12},
     3350e9,
     63e9,
     50 << 20,
     80e9},
    {"H200",
     "H200 SXM, 141 GB HBM3e",
     132,
     {67e12, 989.5e12, 989.5e12, 1979e12},
     4800e9,
     63e9,
     50 << 20,
     141e9},
    {"B200",
     "B200 of an HGX board, 180 GB HBM3e",
     148,
     {75e12, 2250e12, 2250e12, 4500e12},
     8000e9,
     63e9,
     126 << 20,
     180e9},
};
const int32_t gpu_table_n = sizeof gpu_table / sizeof gpu_table[0];

// Measured on an H200: bf16 products of 8192 by 8192 by 8192, and a copy within its memory.
static const double H200_BF16 = 790e12, H200_COPY = 4300e9, SQUARE = 8192;

// Published for FP8 on an H800, the same multiprocessors (DeepGEMM, pull requests 73 and 81): 800,
// 1160 to 1204, 1185, 1377 and 1500 T operations/s where 512, 1536, 2048, 7168 and 16384 terms are
// summed. A rate of 1541 and 450 terms lost on each tile give 820, 1192, 1263, 1450 and 1500. In
// formats twice as wide the same time is half as many terms.
static const double FP8_ENDLESS = 1541e12, FP8_FILL = 450;

// The start and the end of a kernel: in a graph 0.5 us more than its work, launched one by one 0.9
// (3.4 and 3.8 us for kernels of 2.9 us: "Getting Started with CUDA Graphs", NVIDIA's technical
// blog, 2019, on a V100); and assumed, 0.5 us until a memory-bound kernel runs at its rate.
static const double GAP = 1.0e-6, GAP_ALONE = 1.4e-6;

// L2 of an H100 PCIe, read: "Nvidia's H100: Funny L2, and Tons of Bandwidth", Chips and Cheese,
// 2023.
static const double HOPPER_CACHE = 5.5e12;

// Assumed.
static const double SMALL_TILE = 0.9, PCIE_SHARE = 0.85, FP32_SHARE = 0.8, VECTOR_SHARE = 0.5,
                    FP32_FILL = 32;

const char *run_tier_name(enum run_tier tier) {
    static const char *const names[RUN_TIERS] = {"fp32", "fp16", "bf16", "fp8"};
    return names[tier];
}

const struct gpu_facts *gpu_find(const char *name) {
    for (int32_t i = 0; i < gpu_table_n; i++) {
        if (strcasecmp(gpu_table[i].name, name) == 0) return &gpu_table[i];
    }
    return NULL;
}

struct gpu_rates gpu_roof(const struct gpu_facts *facts) {
    struct gpu_rates rates = {.small_tile = 1,
                              .vector = facts->peak[RUN_FP32],
                              .memory = facts->memory,
                              .pcie = facts->pcie};
    memcpy(rates.product, facts->peak, sizeof rates.product);
    return rates;
}

struct gpu_rates gpu_expected(const struct gpu_facts *facts) {
    const struct gpu_facts *h200 = gpu_find("H200");
    const double fill = FP8_FILL / 2;
    const double endless = H200_BF16 * (SQUARE + fill) / SQUARE / h200->peak[RUN_BF16];
    const bool is_hopper = strcmp(facts->name, "H100") == 0 || facts == h200;
    return (struct gpu_rates){
        .n_multiprocessors = facts->n_multiprocessors,
        .product = {[RUN_FP32] = facts->peak[RUN_FP32] * FP32_SHARE,
                    [RUN_FP16] = facts->peak[RUN_FP16] * endless,
                    [RUN_BF16] = facts->peak[RUN_BF16] * endless,
                    [RUN_FP8] = facts->peak[RUN_FP8] * FP8_ENDLESS / h200->peak[RUN_FP8]},
        .fill = {FP32_FILL, fill, fill, FP8_FILL},
        .small_tile = SMALL_TILE,
        .vector = facts->peak[RUN_FP32] * VECTOR_SHARE,
        .memory = facts->memory * H200_COPY / h200->memory,
        .pcie = facts->pcie * PCIE_SHARE,
        .cache = is_hopper ? HOPPER_CACHE : 0,
        .cache_nbytes = facts->cache_nbytes / 2,
        .gap = GAP,
        .gap_alone = GAP_ALONE,
        .is_measured = facts == h200,
    };
}

// SPDX-License-Identifier: Apache-2.0
//
// What bench_gpu_model tells: a model of the run (cuda/run_model.h) of one GPU in one tier, and how
// it is printed. Everything printed says that it is modelled.
#ifndef WADER_TESTS_BENCH_GPU_MODEL_H
#define WADER_TESTS_BENCH_GPU_MODEL_H

#include "cuda/run_model.h"
#include "host/base/buffer.h"

enum { SWEEP_MAX = 40, SWEEP_ROWS_MAX = 200000, SQUARE = 8192 };

struct gpu_settings {
    struct bert_config config;
    int32_t title_tokens, n_gpus;
    int32_t n_rows;  // 0: as the encoder chooses where memory suffices
    bool launches_alone, all_e4m3;
    struct run_host host;
    const char *host_name;  // where `host` comes from
    // Measured on the GPU in question, in place of what the table expects; 0: not measured.
    double measured_memory, measured_pcie;
    double measured_square[RUN_TIERS];  // operations/s of a product of 8192 by 8192 by 8192
};

struct gpu_case {
    const struct gpu_facts *facts;
    enum run_tier tier;
    int32_t n_rows;
    struct run_model model;
    double roof_titles_per_s;  // at the peaks
    double of_peak;            // what titles need, of the tier's peak operations
    double share[4];           // of the time, by enum run_bound; gaps are their own
    struct run_feed feed;      // of n_gpus of them
    struct {
        int32_t n_rows;
        double titles_per_s, titles_per_s_alone;  // with a graph, and with launches one by one
    } sweep[SWEEP_MAX];
    int32_t n_sweep, best;  // the quickest with a graph
};

// False where the GPU has no such tier, or its kernels no such model.
bool gpu_case_make(const struct gpu_settings *settings, const struct gpu_facts *facts,
                   enum run_tier tier, struct gpu_case *out);

void gpu_print_head(const struct gpu_settings *settings, struct buffer *out);
void gpu_print_row(const struct gpu_settings *settings, const struct gpu_case *one,
                   struct buffer *out);
void gpu_print_details(const struct gpu_case *one, struct buffer *out);
void gpu_print_json(const struct gpu_settings *settings, const struct gpu_case *cases,
                    int32_t n_cases, struct buffer *out);
void gpu_print_svg(const struct gpu_settings *settings, const struct gpu_case *cases,
                   int32_t n_cases, struct buffer *out);

#endif

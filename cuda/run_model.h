// SPDX-License-Identifier: Apache-2.0
//
// A model of the forward pass on a GPU, before there is one: every kernel and every product of a
// batch (forward.h), what it has to move and to compute, and how long that takes at given rates.
// Nothing is measured here; whatever prints a figure of it says that it is modelled.
//
//   a kernel    the longer of its bytes (kernel_..._cost) at the memory's rate, or at the cache's
//               where they all fit in there, and its operations; plus a gap
//   a product   the longer of its bytes and its waves: tiles of 128 by 256 or 128 by 128, whichever
//               is quicker at MATMUL_REFERENCE_ROWS, one at a time on each multiprocessor, so many
//               waves as the last one begun; a tile takes as long as its sum has terms, and `fill`
//   a copy      its bytes at PCIe's rate, beside the computing of other batches
//
// What it leaves out: clocks that fall under load, kernels that do not reach the memory's rate for
// want of warps, products whose library has a better or a worse kernel than that. fp8 is what the
// encoder computes by it (README.md). `all_e4m3` asks what it would be worth to have every product
// but the pooler's in e4m3, which no encoder here does: weights and what they are multiplied with
// in 8 bits, with a scale a row; results, the residual stream and attention in bf16; GELU a kernel
// of its own.
#ifndef WADER_CUDA_RUN_MODEL_H
#define WADER_CUDA_RUN_MODEL_H

#include "cuda/gpu_table.h"
#include "host/encoder/encoder.h"

#ifdef __cplusplus
extern "C" {
#endif

struct run_request {
    const struct bert_config *config;
    const struct gpu_rates *rates;
    enum run_tier tier;
    int32_t n_rows;        // T
    int32_t n_titles;      // rows of [CLS]; 0: as many as the encoder plans for
    int32_t title_tokens;  // of every title, [CLS] and [SEP] among them; at most T
    bool launches_alone;   // without a graph
    bool all_e4m3;         // with RUN_FP8: not what the encoder does, see above
};

enum run_bound { RUN_BY_PRODUCTS, RUN_BY_MEMORY, RUN_BY_VECTORS, RUN_BY_GAPS };

// "tensor cores", "memory", "vector units", "launches"
const char *run_bound_name(enum run_bound bound);

// All launches of one kind in a batch.
struct run_step {
    const char *name;
    enum encoder_work work;
    bool is_product;
    int32_t n_launches;
    double bytes, operations;  // of all of them
    double seconds;            // too
    double waves;              // of a product: the share of its waves' places that have a tile
    int32_t tile_columns;      // of a product: 256 or 128
    enum run_bound bound;
};

enum { RUN_STEPS_MAX = 24 };

struct run_model {
    struct run_step steps[RUN_STEPS_MAX];  // in the order in which they first run
    int32_t n_steps;
    double titles, tokens;  // of a full batch
    int32_t n_launches;
    double operations, bytes;                // of all steps
    double seconds, gap_seconds;             // from the first kernel to the last; of these gaps
    double copy_in_nbytes, copy_out_nbytes;  // of a batch
    double copy_seconds;                     // the longer of the two copies
    double titles_per_s, tokens_per_s;       // of one GPU that never waits for the host
};

// False where the kernels take no such model (memory_plan.h), where the rates have no products of
// the tier, or without memory.
bool run_model_make(const struct run_request *request, struct run_model *model);

// The default of the encoder on so many multiprocessors, with memory enough.
int32_t run_model_rows(int32_t n_multiprocessors);

// The share of the places of a product's waves in which there is a tile, 1 without multiprocessors.
double run_waves_share(int32_t n_rows, int32_t n_out, int32_t tile_columns,
                       int32_t n_multiprocessors);

// Operations that a title of so many tokens needs, flops.h's letters; with every layer computed for
// every token, or the last for [CLS] alone. Products and attention.
double run_title_operations(const struct bert_config *config, int32_t title_tokens, bool all_rows);

// ---- the host beside it

// Seconds of a core for one title.
struct run_host {
    double inflate, pack, write;  // one thread each
    double parse, tokenize;       // as many threads as one likes
    double whole;                 // all of it as the whole pipeline spends them, waiting included
};

// As `wader bench` measured them on one host (README, "Where does the time go?": a core of an AMD
// EPYC of Zen 5, titles of 19.3 tokens).
struct run_host run_host_measured(void);

struct run_feed {
    double cores;              // for the rate: work of the stages,
    double cores_whole;        // and what the whole pipeline spent
    double most_titles_per_s;  // that one run can feed: its slowest stage of one thread
    const char *slowest;       // "write"
    double titles_per_s;       // the lower of what is asked and what can be fed
};
struct run_feed run_feed_of(const struct run_host *host, double titles_per_s);

#ifdef __cplusplus
}
#endif

#endif

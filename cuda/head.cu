// SPDX-License-Identifier: Apache-2.0
//
// Pooler and classifier after the pooler's product, all in fp32: one warp a title. The activations
// stay in registers while it walks the labels, whose weights every warp shares in the caches.
#include <math.h>

#include "cuda/launch.cuh"

// The title's probabilities from its logits. Lanes read what lane 0 wrote, so they meet first.
__device__ __forceinline__ void softmax(const float *logits, int n_labels, float max, float sum,
                                        float *probabilities) {
    __syncwarp();
    for (int k = lane_of_thread(); k < n_labels; k += WARP)
        probabilities[k] = expf(logits[k] - max) / sum;
}

// A comparison, not fmaxf, which would make a number of NaN.
__device__ __forceinline__ float activate(int activation, float x) {
    return activation == HEAD_RELU ? (x < 0 ? 0 : x) : tanhf(x);
}

template <int n_groups, int activation>
__global__ void __launch_bounds__(ROW_THREADS) head(struct kernel_head args) {
    const int title = row_of_warp();
    if (title >= args.n_titles) return;
    const float *x = args.x + (size_t)title * args.hidden_size;
    float *logits = args.logits + (size_t)title * args.n_labels;
    float pooled[n_groups][GROUP], b[n_groups][GROUP];
    load_row(x, args.hidden_size, pooled);
    load_row(args.x_bias, args.hidden_size, b);
    add_row(pooled, b);
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
        const bool is_there = group_start(i) < args.hidden_size;
#pragma unroll
        for (int j = 0; j < GROUP; j++)
            pooled[i][j] = is_there ? activate(activation, pooled[i][j]) : 0;
    }
    float max = -INFINITY, sum = 0;  // of exp(logit - max) over the labels so far
    for (int k = 0; k < args.n_labels; k++) {
        const float *weight = args.weight + (size_t)k * args.hidden_size;
        float w[n_groups][GROUP], dot = 0;
        load_row(weight, args.hidden_size, w);
#pragma unroll
        for (int i = 0; i < n_groups; i++) {
#pragma unroll
            for (int j = 0; j < GROUP; j++) dot += pooled[i][j] * w[i][j];
        }
        const float logit = warp_sum(dot) + args.bias[k];
        if (lane_of_thread() == 0) logits[k] = logit;
        const float larger = fmaxf(max, logit);
        sum = sum * expf(max - larger) + expf(logit - larger);
        max = larger;
    }
    if (args.probabilities != nullptr) {
        softmax(logits, args.n_labels, max, sum,
                args.probabilities + (size_t)title * args.n_labels);
    }
}

template <typename T, int n_groups>
static int run(const struct kernel_head *args, struct CUstream_st *stream) {
    const launch_shape shape = row_shape("head", args->n_titles, stream);
    return args->activation == HEAD_TANH ? launch(shape, head<n_groups, HEAD_TANH>, *args)
                                         : launch(shape, head<n_groups, HEAD_RELU>, *args);
}

int kernel_head(const struct kernel_head *args, struct CUstream_st *stream) {
    if ((args->activation != HEAD_TANH && args->activation != HEAD_RELU) || args->n_titles < 0 ||
        args->n_labels < 1 || !is_hidden_size(args->hidden_size) || !is_aligned(args->x) ||
        !is_aligned(args->x_bias) || !is_aligned(args->weight) || !is_aligned(args->bias) ||
        !is_aligned(args->logits) ||
        (args->probabilities != nullptr && !is_aligned(args->probabilities))) {
        return cudaErrorInvalidValue;
    }
    if (args->n_titles == 0) return cudaSuccess;
    RUN_BY_GROUPS(run, float, args, stream)
}

struct kernel_cost kernel_head_cost(const struct kernel_head *args) {
    const double n = args->n_titles, h = args->hidden_size, k = args->n_labels;
    const double n_outputs = args->probabilities != nullptr ? 2 : 1;
    return {4 * (n * h + h + k * h + k + n_outputs * n * k),
            n * (2 * h + 2 * h * k + k + (args->probabilities != nullptr ? 3 * k : 0))};
}

// SPDX-License-Identifier: Apache-2.0
//
// Between two e4m3 products: scales, bias, GELU and e4m3 again, whose scale needs the whole row
// first. A block takes a few rows, one after the other, so that its threads read bias and scales
// once; a row lies in their registers. Bound by memory.
#include "cuda/gelu.cuh"
#include "cuda/launch.cuh"
#include "cuda/quantize.cuh"

enum {
    FEED_WARPS = 4,
    FEED_THREADS = FEED_WARPS * WARP,
    FEED_ROWS = 4,
    FEED_GROUPS_MAX = 4,  // of a thread
    FEED_MAX = FEED_GROUPS_MAX * FEED_THREADS * GROUP
};

__device__ __forceinline__ int feed_start(int i) {
    return (int)(threadIdx.x + i * FEED_THREADS) * GROUP;
}

template <int n_groups, typename T>
__device__ __forceinline__ void load_feed(const T *from, int length, float (&to)[n_groups][GROUP]) {
#pragma unroll
    for (int i = 0; i < n_groups; i++) load_group(from + min(feed_start(i), length - GROUP), to[i]);
}

template <int form, int n_groups>
__global__ void __launch_bounds__(FEED_THREADS) gelu_e4m3(struct kernel_gelu_e4m3 args) {
    __shared__ __align__(16) float mosts[FEED_ROWS][FEED_WARPS];
    const int n = args.n_columns, warp = (int)threadIdx.x / WARP;
    float scales[n_groups][GROUP], bias[n_groups][GROUP];
    load_feed(args.column_scales, n, scales);
    load_feed(args.bias, n, bias);
    for (int r = 0; r < FEED_ROWS; r++) {
        const int row = (int)blockIdx.x * FEED_ROWS + r;
        if (row >= args.n_rows) break;  // all threads alike
        const size_t start = (size_t)row * n;
        const float row_scale = args.row_scales[row];
        float x[n_groups][GROUP], most = ROW_LEAST;
        load_feed(static_cast<const __nv_bfloat16 *>(args.x) + start, n, x);
#pragma unroll
        for (int i = 0; i < n_groups; i++) {
#pragma unroll
            for (int j = 0; j < GROUP; j++) {
                const float scaled = __fmul_rn(x[i][j], row_scale * scales[i][j]);
                x[i][j] = gelu_of<form>(scaled + bias[i][j]);
            }
            // A group beyond the row's end repeats its last.
            most = largest(x[i], most);
        }
        most = warp_max(most);
        if (lane_of_thread() == 0) mosts[r][warp] = most;
        __syncthreads();
#pragma unroll
        for (int w = 0; w < FEED_WARPS; w++) most = fmaxf(most, mosts[r][w]);
        const float factor = E4M3_MOST / most;
        uint8_t *to = static_cast<uint8_t *>(args.values) + start;
#pragma unroll
        for (int i = 0; i < n_groups; i++) {
            if (feed_start(i) < n) store_e4m3(to + feed_start(i), x[i], factor);
        }
        if (threadIdx.x == 0) args.scales[row] = most / E4M3_MOST;
    }
}

template <int n_groups>
static int run(const struct kernel_gelu_e4m3 *args, const launch_shape &shape) {
    return args->form == GELU_ERF ? launch(shape, gelu_e4m3<GELU_ERF, n_groups>, *args)
                                  : launch(shape, gelu_e4m3<GELU_TANH, n_groups>, *args);
}

int kernel_gelu_e4m3(const struct kernel_gelu_e4m3 *args, struct CUstream_st *stream) {
    if ((args->form != GELU_ERF && args->form != GELU_TANH) || args->n_rows < 0 ||
        args->n_columns < GROUP || args->n_columns > FEED_MAX || args->n_columns % GROUP != 0 ||
        !is_aligned(args->x) || !is_aligned(args->row_scales) || !is_aligned(args->column_scales) ||
        !is_aligned(args->bias) || !is_aligned(args->values) || !is_aligned(args->scales)) {
        return cudaErrorInvalidValue;
    }
    if (args->n_rows == 0) return cudaSuccess;
    const unsigned n_blocks = ((unsigned)args->n_rows + FEED_ROWS - 1) / FEED_ROWS;
    const launch_shape shape = {"gelu_e4m3", dim3(n_blocks), dim3(FEED_THREADS), 0, stream};
    switch ((args->n_columns + FEED_THREADS * GROUP - 1) / (FEED_THREADS * GROUP)) {
        case 1:
            return run<1>(args, shape);
        case 2:
            return run<2>(args, shape);
        case 3:
            return run<3>(args, shape);
        default:
            return run<FEED_GROUPS_MAX>(args, shape);
    }
}

struct kernel_cost kernel_gelu_e4m3_cost(const struct kernel_gelu_e4m3 *args) {
    const double r = args->n_rows, f = args->n_columns, n = r * f;
    return {n * 3 + 8 * r + 8 * f, n * ((args->form == GELU_ERF ? 5 : 9) + 5) + 2 * r};
}

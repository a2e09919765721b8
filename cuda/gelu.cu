// SPDX-License-Identifier: Apache-2.0
//
// Bias and GELU between the two products of the feed-forward part, in place. A thread takes one
// group of 8 columns over a few rows, so that it reads the bias once. Bound by memory.
#include "cuda/gelu.cuh"
#include "cuda/launch.cuh"

enum { GELU_THREADS = 256, GELU_ROWS = 4 };

template <typename T, int form>
__global__ void __launch_bounds__(GELU_THREADS) gelu(struct kernel_gelu args) {
    const int groups_a_row = args.n_columns / GROUP;
    const int index = (int)(blockIdx.x * GELU_THREADS + threadIdx.x);
    const int first_row = index / groups_a_row * GELU_ROWS;
    const int column = index % groups_a_row * GROUP;
    if (first_row >= args.n_rows) return;
    float bias[GROUP] = {};
    if (args.bias != nullptr) load_group(args.bias + column, bias);
    T *x = static_cast<T *>(args.x) + (size_t)first_row * args.n_columns + column;
    float group[GELU_ROWS][GROUP];
    // A row beyond the last one repeats it, so that no load waits for a branch.
#pragma unroll
    for (int r = 0; r < GELU_ROWS; r++)
        load_group(x + (size_t)min(r, args.n_rows - 1 - first_row) * args.n_columns, group[r]);
#pragma unroll
    for (int r = 0; r < GELU_ROWS; r++) {
        if (first_row + r >= args.n_rows) break;
#pragma unroll
        for (int j = 0; j < GROUP; j++) {
            group[r][j] = gelu_of<form>(group[r][j] + bias[j]);
        }
        store_group(x + (size_t)r * args.n_columns, group[r]);
    }
}

template <typename T>
static int run(const struct kernel_gelu *args, struct CUstream_st *stream) {
    const int64_t n_strips = ((int64_t)args->n_rows + GELU_ROWS - 1) / GELU_ROWS;
    const int64_t n_threads = n_strips * (args->n_columns / GROUP);
    const int64_t n_blocks = (n_threads + GELU_THREADS - 1) / GELU_THREADS;
    // The kernel numbers threads, and the rows they would take, in an int.
    if (n_blocks * GELU_THREADS > INT32_MAX / GELU_ROWS) return cudaErrorInvalidValue;
    const launch_shape shape = {"gelu", dim3((unsigned)n_blocks), dim3(GELU_THREADS), 0, stream};
    return args->form == GELU_ERF ? launch(shape, gelu<T, GELU_ERF>, *args)
                                  : launch(shape, gelu<T, GELU_TANH>, *args);
}

int kernel_gelu(const struct kernel_gelu *args, struct CUstream_st *stream) {
    if (!is_dtype(args->dtype) || (args->form != GELU_ERF && args->form != GELU_TANH) ||
        args->n_rows < 0 || args->n_columns < GROUP || args->n_columns % GROUP != 0 ||
        !is_aligned(args->x) || (args->bias != nullptr && !is_aligned(args->bias))) {
        return cudaErrorInvalidValue;
    }
    if (args->n_rows == 0) return cudaSuccess;
    switch (args->dtype) {
        case DTYPE_F32:
            return run<float>(args, stream);
        case DTYPE_F16:
            return run<__half>(args, stream);
        default:
            return run<__nv_bfloat16>(args, stream);
    }
}

struct kernel_cost kernel_gelu_cost(const struct kernel_gelu *args) {
    const double n = (double)args->n_rows * args->n_columns;
    const double per_element = (args->form == GELU_ERF ? 5 : 9) + (args->bias != nullptr ? 1 : 0);
    return {
        n * 2 * element_nbytes(args->dtype) + (args->bias != nullptr ? 4.0 * args->n_columns : 0),
        n * per_element};
}

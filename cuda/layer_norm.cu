// SPDX-License-Identifier: Apache-2.0
//
// The end of attention and of the feed-forward part: bias, residual and LayerNorm in one pass, one
// warp a row. Bound by memory: two rows in, one out.
#include "cuda/launch.cuh"

template <typename T, int n_groups>
__global__ void __launch_bounds__(ROW_THREADS) layer_norm(struct kernel_layer_norm args) {
    const int row = row_of_warp();
    if (row >= args.n_rows) return;
    const size_t start = (size_t)row * args.hidden_size;
    const T *x = static_cast<const T *>(args.x) + start;
    const T *residual = static_cast<const T *>(args.residual) + start;
    float sum[n_groups][GROUP], r[n_groups][GROUP];
    load_row(x, args.hidden_size, sum);
    load_row(residual, args.hidden_size, r);
    if (args.x_bias != nullptr) {
        float b[n_groups][GROUP];
        load_row(args.x_bias, args.hidden_size, b);
        add_row(sum, b);
    }
    add_row(sum, r);
    // A row is read whole before any of it is written, by the same warp: `out` may be an input.
    normalize_row(sum, args.hidden_size, args.eps, args.weight, args.bias,
                  static_cast<T *>(args.out) + start);
}

template <typename T, int n_groups>
static int run(const struct kernel_layer_norm *args, struct CUstream_st *stream) {
    return launch(row_shape("layer_norm", args->n_rows, stream), layer_norm<T, n_groups>, *args);
}

int kernel_layer_norm(const struct kernel_layer_norm *args, struct CUstream_st *stream) {
    if (!is_dtype(args->dtype) || args->n_rows < 0 || !is_hidden_size(args->hidden_size) ||
        !is_aligned(args->x) || !is_aligned(args->residual) || !is_aligned(args->weight) ||
        !is_aligned(args->bias) || !is_aligned(args->out) ||
        (args->x_bias != nullptr && !is_aligned(args->x_bias))) {
        return cudaErrorInvalidValue;
    }
    if (args->n_rows == 0) return cudaSuccess;
    RUN_BY_DTYPE_AND_GROUPS(run, args, stream)
}

struct kernel_cost kernel_layer_norm_cost(const struct kernel_layer_norm *args) {
    const double n = (double)args->n_rows * args->hidden_size;
    const double n_vectors = args->x_bias == nullptr ? 2 : 3;
    return {n * 3 * element_nbytes(args->dtype) + n_vectors * 4 * args->hidden_size,
            n * (n_vectors + 6) + 3.0 * args->n_rows};
}

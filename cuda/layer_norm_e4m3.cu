// SPDX-License-Identifier: Apache-2.0
//
// kernel_layer_norm in bf16 beside e4m3 products: what comes is scaled on the way in, what goes is
// stored a second time in e4m3, while the row is in the registers of its warp anyway.
#include "cuda/launch.cuh"
#include "cuda/quantize.cuh"

// row[c] *= row_scale * column_scales[c], rounded before anything is added.
template <int n_groups>
__device__ __forceinline__ void scale_row(float (&row)[n_groups][GROUP], int length,
                                          float row_scale, const float *column_scales) {
    float c[n_groups][GROUP];
    load_row(column_scales, length, c);
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
#pragma unroll
        for (int j = 0; j < GROUP; j++) row[i][j] = __fmul_rn(row[i][j], row_scale * c[i][j]);
    }
}

// What is quantized is what stands in `out`: the row, rounded to bf16.
template <int n_groups>
__device__ __forceinline__ void quantize_row(float (&row)[n_groups][GROUP], int length,
                                             uint8_t *values, float *scale) {
    float most = ROW_LEAST;
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
        if (group_start(i) >= length) continue;
#pragma unroll
        for (int j = 0; j < GROUP; j++) row[i][j] = __bfloat162float(__float2bfloat16(row[i][j]));
        most = largest(row[i], most);
    }
    most = warp_max(most);
    const float factor = E4M3_MOST / most;
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
        if (group_start(i) < length) store_e4m3(values + group_start(i), row[i], factor);
    }
    if (lane_of_thread() == 0) *scale = most / E4M3_MOST;
}

template <int n_groups>
__global__ void __launch_bounds__(ROW_THREADS) layer_norm_e4m3(struct kernel_layer_norm_e4m3 args) {
    const int row = row_of_warp();
    if (row >= args.n_rows) return;
    const size_t start = (size_t)row * args.hidden_size;
    const __nv_bfloat16 *x = static_cast<const __nv_bfloat16 *>(args.x) + start;
    const __nv_bfloat16 *residual = static_cast<const __nv_bfloat16 *>(args.residual) + start;
    float sum[n_groups][GROUP], r[n_groups][GROUP], b[n_groups][GROUP];
    load_row(x, args.hidden_size, sum);
    load_row(residual, args.hidden_size, r);
    load_row(args.x_bias, args.hidden_size, b);
    if (args.row_scales != nullptr)
        scale_row(sum, args.hidden_size, args.row_scales[row], args.column_scales);
    add_row(sum, b);
    add_row(sum, r);
    normalize_row(sum, args.hidden_size, args.eps, args.weight, args.bias,
                  static_cast<__nv_bfloat16 *>(args.out) + start);
    if (args.values != nullptr) {
        quantize_row(sum, args.hidden_size, static_cast<uint8_t *>(args.values) + start,
                     args.scales + row);
    }
}

template <typename T, int n_groups>
static int run(const struct kernel_layer_norm_e4m3 *args, struct CUstream_st *stream) {
    return launch(row_shape("layer_norm_e4m3", args->n_rows, stream), layer_norm_e4m3<n_groups>,
                  *args);
}

// Both or neither.
static bool is_pair(const void *a, const void *b) {
    return (a == nullptr && b == nullptr) || (is_aligned(a) && is_aligned(b));
}

int kernel_layer_norm_e4m3(const struct kernel_layer_norm_e4m3 *args, struct CUstream_st *stream) {
    if (args->n_rows < 0 || !is_hidden_size(args->hidden_size) || !is_aligned(args->x) ||
        !is_aligned(args->x_bias) || !is_aligned(args->residual) || !is_aligned(args->weight) ||
        !is_aligned(args->bias) || !is_aligned(args->out) ||
        !is_pair(args->row_scales, args->column_scales) || !is_pair(args->values, args->scales)) {
        return cudaErrorInvalidValue;
    }
    if (args->n_rows == 0) return cudaSuccess;
    RUN_BY_GROUPS(run, __nv_bfloat16, args, stream)
}

struct kernel_cost kernel_layer_norm_e4m3_cost(const struct kernel_layer_norm_e4m3 *args) {
    const double r = args->n_rows, h = args->hidden_size, n = r * h;
    struct kernel_cost cost = {n * 6 + 12 * h, n * 9 + 3 * r};
    if (args->row_scales != nullptr) {
        cost.bytes += 4 * r + 4 * h;
        cost.operations += 2 * n;
    }
    if (args->values != nullptr) {
        cost.bytes += n + 4 * r;
        cost.operations += 2 * n + 2 * r;
    }
    return cost;
}

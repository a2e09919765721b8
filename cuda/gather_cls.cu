// SPDX-License-Identifier: Apache-2.0
//
// The rows of [CLS] side by side: what the last layer goes on with.
#include "cuda/launch.cuh"

// A row is copied as words of 16 bytes, whatever they hold. One warp a title.
__global__ void __launch_bounds__(ROW_THREADS)
    gather_cls(const int32_t *cu_seqlens, int n_titles, const uint4 *hidden, int words_a_row,
               uint4 *cls) {
    const int title = row_of_warp();
    if (title >= n_titles) return;
    const int first = cu_seqlens[title];
    const bool is_dummy = cu_seqlens[title + 1] == first;
    const uint4 *from = hidden + (size_t)first * words_a_row;
    uint4 *to = cls + (size_t)title * words_a_row;
    for (int i = lane_of_thread(); i < words_a_row; i += WARP)
        to[i] = is_dummy ? make_uint4(0, 0, 0, 0) : from[i];
}

int kernel_gather_cls(const struct kernel_gather_cls *args, struct CUstream_st *stream) {
    if (!is_dtype(args->dtype) || args->n_titles < 0 || !is_hidden_size(args->hidden_size) ||
        !is_aligned(args->cu_seqlens) || !is_aligned(args->hidden) || !is_aligned(args->cls)) {
        return cudaErrorInvalidValue;
    }
    if (args->n_titles == 0) return cudaSuccess;
    const int words_a_row = args->hidden_size * (int)element_nbytes(args->dtype) / 16;
    return launch(row_shape("gather_cls", args->n_titles, stream), gather_cls, args->cu_seqlens,
                  args->n_titles, static_cast<const uint4 *>(args->hidden), words_a_row,
                  static_cast<uint4 *>(args->cls));
}

struct kernel_cost kernel_gather_cls_cost(const struct kernel_gather_cls *args) {
    const double n = (double)args->n_titles * args->hidden_size;
    return {n * 2 * element_nbytes(args->dtype) + 4.0 * (args->n_titles + 1), 0};
}

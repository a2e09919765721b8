// SPDX-License-Identifier: Apache-2.0
//
// The last layer's attention: one query a title, one warp a head of it (attention_row.cuh). Bound
// by memory: every key and value is read once.
#include "cuda/attention_row.cuh"
#include "cuda/launch.cuh"

template <typename T, int D>
__global__ void __launch_bounds__(ROW_THREADS) attention_cls(struct kernel_attention_cls args) {
    const int job = row_of_warp(), title = job / args.n_heads;
    if (title >= args.n_titles) return;
    const int first = args.cu_seqlens[title], n_keys = args.cu_seqlens[title + 1] - first;
    if (n_keys == 0) return;
    const size_t hidden_size = (size_t)args.n_heads * D;
    const size_t head = (size_t)(job % args.n_heads) * D;
    const T *keys = static_cast<const T *>(args.key_value) + (size_t)first * 2 * hidden_size + head;
    attend_row<D>(static_cast<const T *>(args.query) + title * hidden_size + head, keys,
                  keys + hidden_size, 2 * hidden_size, n_keys, args.scale,
                  static_cast<T *>(args.context) + title * hidden_size + head);
}

template <typename T>
static int run(const struct kernel_attention_cls *args, const launch_shape &shape) {
    return args->head_size == 64 ? launch(shape, attention_cls<T, 64>, *args)
                                 : launch(shape, attention_cls<T, 32>, *args);
}

int kernel_attention_cls(const struct kernel_attention_cls *args, struct CUstream_st *stream) {
    if (!is_dtype(args->dtype) || args->n_titles < 0 ||
        !is_head_shape(args->n_heads, args->head_size) ||
        args->n_titles > JOBS_MAX / args->n_heads || !is_aligned(args->cu_seqlens) ||
        !is_aligned(args->query) || !is_aligned(args->key_value) || !is_aligned(args->context)) {
        return cudaErrorInvalidValue;
    }
    if (args->n_titles == 0) return cudaSuccess;
    const launch_shape shape = row_shape("attention_cls", args->n_titles * args->n_heads, stream);
    switch (args->dtype) {
        case DTYPE_F32:
            return run<float>(args, shape);
        case DTYPE_F16:
            return run<__half>(args, shape);
        default:
            return run<__nv_bfloat16>(args, shape);
    }
}

struct kernel_cost kernel_attention_cls_cost(const struct kernel_attention_cls *args) {
    const double h = (double)args->n_heads * args->head_size;
    const double size = element_nbytes(args->dtype);
    struct kernel_cost cost = {4.0 * (args->n_titles + 1), 0};
    for (int32_t i = 0; i < args->n_titles; i++) {
        const double k = args->cu_seqlens[i + 1] - args->cu_seqlens[i];
        if (k == 0) continue;
        cost.bytes += (2 + 2 * k) * h * size;
        cost.operations += k * (4 * h + 4 * args->n_heads) + h;
    }
    return cost;
}

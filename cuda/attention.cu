// SPDX-License-Identifier: Apache-2.0
//
// Attention over all layers but the last: one kernel a bucket of lengths. bf16 and fp16 take the
// tensor cores (attention_tile.cuh), fp32 one query a warp (attention_row.cuh).
#include "cuda/attention_row.cuh"
#include "cuda/attention_tile.cuh"
#include "cuda/launch.cuh"

enum {
    ATTENTION_WARPS = 4,
    ATTENTION_THREADS = ATTENTION_WARPS * WARP,
    BLOCKS_RESIDENT = 16  // of a multiprocessor, at most: sizes grids
};

// Calls work(item, head) for this warp's share of the bucket: the warps of the grid take turns.
template <typename Work>
__device__ __forceinline__ void for_each_job(const struct kernel_attention &args, Work work) {
    const int first_item = args.starts[args.bucket];
    const int n_jobs = (args.starts[args.bucket + 1] - first_item) * args.n_heads;
    const int n_warps = (int)gridDim.x * ATTENTION_WARPS;
    for (int job = (int)(blockIdx.x * ATTENTION_WARPS + threadIdx.x / WARP); job < n_jobs;
         job += n_warps) {
        work(load_item(args.items + first_item + job / args.n_heads), job % args.n_heads);
    }
}

// `queries_an_item`: of the bucket. Launch bounds name the blocks of a multiprocessor because
// ptxas, left to choose, spills a few bytes to fit one more.
template <typename T, int D, int key_tiles, int queries_an_item, int plan>
__global__ void __launch_bounds__(ATTENTION_THREADS, key_tiles == 1 ? 4 : 3)
    attention(struct kernel_attention args) {
    for_each_job(args, [&](const attention_item &item, int head) {
        const int end = min(item.first_query + queries_an_item, item.n_keys);
        for (int q = item.first_query; q < end; q += TILE)
            attend<T, D, key_tiles, plan>(args, item, head, q);
    });
}

// The same in fp32, for any bucket.
template <int D>
__global__ void __launch_bounds__(ATTENTION_THREADS, 8)
    attention_f32(struct kernel_attention args, int queries_an_item) {
    for_each_job(args, [&](const attention_item &item, int head) {
        const size_t hidden_size = (size_t)args.n_heads * D, stride = 3 * hidden_size;
        const size_t first_row = (size_t)item.first_row, at = (size_t)head * D;
        const float *query = static_cast<const float *>(args.qkv) + first_row * stride + at;
        float *context = static_cast<float *>(args.context) + first_row * hidden_size + at;
        const int end = min(item.first_query + queries_an_item, item.n_keys);
        for (int q = item.first_query; q < end; q++) {
            attend_row<D>(query + q * stride, query + hidden_size, query + 2 * hidden_size, stride,
                          item.n_keys, args.scale, context + q * hidden_size);
        }
    });
}

// ---- launchers

#define QUERIES_OF_BUCKET(keys_max, queries) queries,
static const int queries_of_bucket[ATTENTION_BUCKETS] = {ATTENTION_BUCKET_LIST(QUERIES_OF_BUCKET)};

template <typename T, int D>
static int run(const struct kernel_attention *args, const launch_shape &shape) {
    switch (args->bucket) {
        case 0:
            return launch(shape, attention<T, D, 1, 16, ALL>, *args);
        case 1:
            return launch(shape, attention<T, D, 2, 32, ALL>, *args);
        case 2:
            return launch(shape, attention<T, D, 3, 48, ALL>, *args);
        case 3:
            return launch(shape, attention<T, D, 4, 64, SOME>, *args);
        case 4:
            return launch(shape, attention<T, D, 8, 16, SOME>, *args);
        default:
            return launch(shape, attention<T, D, 4, 16, BLOCKS>, *args);
    }
}

template <int D>
static int run_by_dtype(const struct kernel_attention *args, const launch_shape &shape) {
    switch (args->dtype) {
        case DTYPE_F32:
            return launch(shape, attention_f32<D>, *args, queries_of_bucket[args->bucket]);
        case DTYPE_F16:
            return run<__half, D>(args, shape);
        default:
            return run<__nv_bfloat16, D>(args, shape);
    }
}

int kernel_attention(const struct kernel_attention *args, struct CUstream_st *stream) {
    if (!is_dtype(args->dtype) || !is_head_shape(args->n_heads, args->head_size) ||
        args->bucket < 0 || args->bucket >= ATTENTION_BUCKETS || args->items_cap < 0 ||
        args->n_multiprocessors < 1 || !is_aligned(args->qkv) || !is_aligned(args->items) ||
        !is_aligned(args->starts) || !is_aligned(args->context)) {
        return cudaErrorInvalidValue;
    }
    if (args->items_cap == 0) return cudaSuccess;
    // As many warps as the device can hold, and no more than there is work for.
    const int64_t n_jobs = (int64_t)args->items_cap * args->n_heads;
    const int64_t needed = (n_jobs + ATTENTION_WARPS - 1) / ATTENTION_WARPS;
    const int64_t resident = (int64_t)args->n_multiprocessors * BLOCKS_RESIDENT;
    const launch_shape shape = {"attention",
                                dim3((unsigned)(needed < resident ? needed : resident)),
                                dim3(ATTENTION_THREADS), 0, stream};
    return args->head_size == 64 ? run_by_dtype<64>(args, shape) : run_by_dtype<32>(args, shape);
}

struct kernel_cost kernel_attention_cost(const struct kernel_attention *args) {
    const double d = args->head_size, size = element_nbytes(args->dtype);
    struct kernel_cost cost = {0, 0};
    for (int32_t i = args->starts[args->bucket]; i < args->starts[args->bucket + 1]; i++) {
        const struct attention_item *item = &args->items[i];
        const int32_t left = item->n_keys - item->first_query;
        const double q =
            left < queries_of_bucket[args->bucket] ? left : queries_of_bucket[args->bucket];
        const double k = item->n_keys;
        // Queries in, context out, and the title's keys and values by its first item.
        const double rows = 2 * q + (item->first_query == 0 ? 2 * k : 0);
        cost.bytes += rows * d * size * args->n_heads + sizeof *item;
        // Two products; scale, maximum, exponential and sum of each score; one division an element.
        cost.operations += args->n_heads * (q * k * (4 * d + 4) + q * d);
    }
    return cost;
}

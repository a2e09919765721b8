// SPDX-License-Identifier: Apache-2.0
//
// How near each kernel comes to the device's memory ceiling, at bert-base's size:
//   bench_gpu_kernels [--rows 45056] [--hidden 768] [--heads 12] [--feed 3072]
// Bytes and operations are those of kernel_..._cost: what no implementation can avoid. The ceiling,
// measured first, is the faster of the driver's copy and a kernel that reads and writes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda/kernels.h"
#include "cuda/memory_plan.h"
#include "tests/gpu/bench.h"
#include "tests/simt/device.h"
#include "tests/support/must.h"

enum { N_SETS = 4, N_LABELS = 8, VOCAB_SIZE = 119547, N_POSITIONS = 512 };

static int32_t n_rows = 45056, hidden_size = 768, n_heads = 12, feed_size = 3072;

// Activations of a batch. Calls take the sets in turn, so that none finds its input in a cache.
struct set {
    void *wide, *hidden, *narrow, *cls, *query, *cls_context;
    float *pooled, *logits;
    void *values;   // e4m3, as wide as `wide`
    float *scales;  // [rows]
};

struct bench {
    const struct cuda_device *device;
    enum dtype dtype;
    struct set sets[N_SETS];
    int32_t n_titles;
    size_t items_cap;  // as many as the encoder plans for
    // The batch, here and on the device.
    int32_t *cu_seqlens, starts[ATTENTION_BUCKETS + 1];
    struct attention_item *items;
    int32_t *cu_seqlens_there, *starts_there, *token_ids, *position_ids;
    struct attention_item *items_there;
    void *word;
    float *vector;  // of any kind: biases, LayerNorm weights, positions
};

static void *there(const void *values, size_t nbytes) {
    void *device = device_alloc(nbytes);
    device_write(device, values, nbytes);
    return device;
}

// ---- the batch

static void make_batch(struct bench *bench) {
    const size_t rows = (size_t)n_rows;
    bench->cu_seqlens = must_zeroed(rows + 1, sizeof(int32_t));
    bench->n_titles = bench_titles(n_rows, memory_plan_titles(n_rows), bench->cu_seqlens);
    const size_t n = (size_t)bench->n_titles;
    bench->items_cap = attention_items_cap(n_rows, memory_plan_titles(n_rows));
    bench->items = must_zeroed(attention_items_cap(n_rows, n_rows), sizeof *bench->items);
    attention_items_build(bench->cu_seqlens, bench->n_titles, bench->items, bench->starts);
    int32_t *ids = must_zeroed(rows, sizeof *ids), *positions = must_zeroed(rows, sizeof *ids);
    for (size_t r = 0; r < rows; r++) ids[r] = (int32_t)((r * 48271 + 7) % VOCAB_SIZE);
    attention_positions(bench->cu_seqlens, bench->n_titles, n_rows, positions);
    bench->cu_seqlens_there = there(bench->cu_seqlens, (n + 1) * sizeof(int32_t));
    bench->starts_there = there(bench->starts, sizeof bench->starts);
    bench->items_there = there(bench->items, bench->items_cap * sizeof *bench->items);
    bench->token_ids = there(ids, rows * sizeof *ids);
    bench->position_ids = there(positions, rows * sizeof *positions);
    bench->vector = bench_random(DTYPE_F32, (size_t)N_POSITIONS * (size_t)hidden_size, 1);
    free(positions);
    free(ids);
    printf("{\"what\": \"batch\", \"rows\": %d, \"titles\": %d, \"items\": [", (int)n_rows,
           (int)bench->n_titles);
    for (int b = 0; b < ATTENTION_BUCKETS; b++) {
        printf("%s%d", b > 0 ? ", " : "", (int)(bench->starts[b + 1] - bench->starts[b]));
    }
    printf("]}\n");
}

static void make_sets(struct bench *bench) {
    const size_t r = (size_t)n_rows, h = (size_t)hidden_size, n = (size_t)bench->n_titles;
    const size_t wide = feed_size > 3 * hidden_size ? (size_t)feed_size : 3 * h;
    bench->word = bench_random(bench->dtype, (size_t)VOCAB_SIZE * h, 1);
    for (int s = 0; s < N_SETS; s++) {
        bench->sets[s] = (struct set){.wide = bench_random(bench->dtype, r * wide, 2),
                                      .hidden = bench_random(bench->dtype, r * h, 2),
                                      .narrow = bench_random(bench->dtype, r * h, 2),
                                      .cls = bench_random(bench->dtype, n * h, 2),
                                      .query = bench_random(bench->dtype, n * h, 2),
                                      .cls_context = bench_random(bench->dtype, n * h, 2),
                                      .pooled = bench_random(DTYPE_F32, n * h, 2),
                                      .logits = bench_random(DTYPE_F32, n * N_LABELS, 1),
                                      .values = bench_random(DTYPE_E4M3, r * wide, 1),
                                      .scales = bench_random(DTYPE_F32, r, 1)};
    }
}

static void free_sets(struct bench *bench) {
    device_free(bench->word);
    for (int s = 0; s < N_SETS; s++) {
        const struct set *set = &bench->sets[s];
        void *all[] = {set->wide,        set->hidden, set->narrow, set->cls,    set->query,
                       set->cls_context, set->pooled, set->logits, set->values, set->scales};
        for (size_t i = 0; i < ARRAY_LEN(all); i++) device_free(all[i]);
    }
}

// ---- the kernels: `cost` is filled in when it is not NULL, then nothing is enqueued

typedef int (*bench_kernel)(const struct bench *bench, const struct set *set,
                            struct CUstream_st *stream, struct kernel_cost *cost);

#define RUN(kernel, args, cost, stream) \
    ((cost) != NULL ? (*(cost) = kernel##_cost(&(args)), 0) : kernel(&(args), stream))

static int embed(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                 struct kernel_cost *cost) {
    const struct kernel_embed args = {
        bench->dtype,        n_rows,      hidden_size,   1e-12F,        bench->token_ids,
        bench->position_ids, bench->word, bench->vector, bench->vector, bench->vector + 256,
        set->hidden};
    return RUN(kernel_embed, args, cost, stream);
}

static int layer_norm(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                      struct kernel_cost *cost) {
    const struct kernel_layer_norm args = {bench->dtype,  n_rows,        hidden_size, 1e-12F,
                                           set->narrow,   bench->vector, set->hidden, bench->vector,
                                           bench->vector, set->hidden};
    return RUN(kernel_layer_norm, args, cost, stream);
}

static int gelu(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                struct kernel_cost *cost) {
    const struct kernel_gelu args = {bench->dtype, GELU_ERF,      n_rows,
                                     feed_size,    bench->vector, set->wide};
    return RUN(kernel_gelu, args, cost, stream);
}

// Before the feed-forward part in e4m3, and behind it.
static int norm_to_e4m3(const struct bench *bench, const struct set *set,
                        struct CUstream_st *stream, struct kernel_cost *cost) {
    const float *vector = bench->vector;
    const struct kernel_layer_norm_e4m3 args = {
        n_rows,      hidden_size, 1e-12F, set->narrow, NULL,        NULL,       vector,
        set->hidden, vector,      vector, set->hidden, set->values, set->scales};
    return RUN(kernel_layer_norm_e4m3, args, cost, stream);
}

static int norm_of_e4m3(const struct bench *bench, const struct set *set,
                        struct CUstream_st *stream, struct kernel_cost *cost) {
    const float *vector = bench->vector;
    const struct kernel_layer_norm_e4m3 args = {
        n_rows,      hidden_size, 1e-12F, set->narrow, set->scales, vector, vector,
        set->hidden, vector,      vector, set->hidden, NULL,        NULL};
    return RUN(kernel_layer_norm_e4m3, args, cost, stream);
}

static int gelu_e4m3(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                     struct kernel_cost *cost) {
    const struct kernel_gelu_e4m3 args = {GELU_ERF,      n_rows,      feed_size,
                                          set->wide,     set->scales, bench->vector,
                                          bench->vector, set->values, set->scales};
    return RUN(kernel_gelu_e4m3, args, cost, stream);
}

// The launches of all buckets, as cuda/forward.c has them.
static int attention(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                     struct kernel_cost *cost) {
    struct kernel_cost sum = {0, 0};
    int code = 0;
    for (int32_t b = 0; b < ATTENTION_BUCKETS && code == 0; b++) {
        const struct kernel_attention args = {
            .dtype = bench->dtype,
            .n_heads = n_heads,
            .head_size = hidden_size / n_heads,
            .scale = 0.125F,
            .bucket = b,
            .items_cap = (int32_t)bench->items_cap,
            .n_multiprocessors = bench->device->n_multiprocessors,
            .qkv = set->wide,
            .items = cost != NULL ? bench->items : bench->items_there,
            .starts = cost != NULL ? bench->starts : bench->starts_there,
            .context = set->narrow};
        struct kernel_cost one = {0, 0};
        code = RUN(kernel_attention, args, cost != NULL ? &one : NULL, stream);
        sum.bytes += one.bytes;
        sum.operations += one.operations;
    }
    if (cost != NULL) *cost = sum;
    return code;
}

static int attention_cls(const struct bench *bench, const struct set *set,
                         struct CUstream_st *stream, struct kernel_cost *cost) {
    const struct kernel_attention_cls args = {
        .dtype = bench->dtype,
        .n_titles = bench->n_titles,
        .n_heads = n_heads,
        .head_size = hidden_size / n_heads,
        .scale = 0.125F,
        .cu_seqlens = cost != NULL ? bench->cu_seqlens : bench->cu_seqlens_there,
        .query = set->query,
        .key_value = set->wide,
        .context = set->cls_context};
    return RUN(kernel_attention_cls, args, cost, stream);
}

static int gather_cls(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                      struct kernel_cost *cost) {
    const struct kernel_gather_cls args = {
        bench->dtype, bench->n_titles, hidden_size, bench->cu_seqlens_there, set->hidden, set->cls};
    return RUN(kernel_gather_cls, args, cost, stream);
}

static int head(const struct bench *bench, const struct set *set, struct CUstream_st *stream,
                struct kernel_cost *cost) {
    const struct kernel_head args = {
        HEAD_TANH,     bench->n_titles, hidden_size,   N_LABELS,    set->pooled,
        bench->vector, bench->vector,   bench->vector, set->logits, NULL};
    return RUN(kernel_head, args, cost, stream);
}

static const struct {
    const char *name;
    bench_kernel kernel;
    enum dtype first, last;  // of activations; head is fp32 whatever the format
} kernels[] = {{"embed", embed, DTYPE_F32, DTYPE_BF16},
               {"attention", attention, DTYPE_F32, DTYPE_BF16},
               {"layer_norm", layer_norm, DTYPE_F32, DTYPE_BF16},
               {"gelu", gelu, DTYPE_F32, DTYPE_BF16},
               {"attention_cls", attention_cls, DTYPE_F32, DTYPE_BF16},
               {"gather_cls", gather_cls, DTYPE_F32, DTYPE_BF16},
               {"head", head, DTYPE_F32, DTYPE_F32},
               {"layer_norm to e4m3", norm_to_e4m3, DTYPE_BF16, DTYPE_BF16},
               {"layer_norm of e4m3", norm_of_e4m3, DTYPE_BF16, DTYPE_BF16},
               {"gelu_e4m3", gelu_e4m3, DTYPE_BF16, DTYPE_BF16}};

struct call {
    const struct bench *bench;
    bench_kernel kernel;
};

static int enqueue(void *context, int turn, struct CUstream_st *stream) {
    const struct call *call = context;
    return call->kernel(call->bench, &call->bench->sets[turn % N_SETS], stream, NULL);
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {{"--rows", &n_rows},
                                           {"--hidden", &hidden_size},
                                           {"--heads", &n_heads},
                                           {"--feed", &feed_size}};
    struct bench bench = {.device = bench_open(argc, argv, options, ARRAY_LEN(options))};
    const double copy = bench_copy_rate(), both = bench_read_write_rate(),
                 reads = bench_read_rate();
    const double ceiling = fmax(copy, both);
    printf("{\"what\": \"ceiling\", \"copy\": %.4g, \"read_write\": %.4g, \"read\": %.4g}\n", copy,
           both, reads);
    make_batch(&bench);
    for (int32_t d = 0; d < bench_n_dtypes(bench.device); d++) {
        bench.dtype = (enum dtype)d;
        make_sets(&bench);
        for (size_t k = 0; k < ARRAY_LEN(kernels); k++) {
            if (bench.dtype < kernels[k].first || bench.dtype > kernels[k].last) continue;
            if (kernels[k].first == DTYPE_BF16 && !device_writes_e4m3()) continue;
            struct call call = {&bench, kernels[k].kernel};
            struct kernel_cost cost;
            bench_need(call.kernel(&bench, &bench.sets[0], NULL, &cost), "a cost");
            const struct bench_time time = bench_time(enqueue, &call);
            printf(
                "{\"what\": \"kernel\", \"name\": \"%s\", \"dtype\": \"%s\", \"us_min\": %.2f, "
                "\"us\": %.2f, \"bytes\": %.0f, \"operations\": %.0f, \"bytes_per_s\": %.4g, "
                "\"operations_per_s\": %.4g, \"share_of_ceiling\": %.3f, \"calls\": %d}\n",
                kernels[k].name, bench_dtype_name(bench.dtype), 1e6 * time.min, 1e6 * time.median,
                cost.bytes, cost.operations, cost.bytes / time.median,
                cost.operations / time.median, cost.bytes / time.median / ceiling, time.n_calls);
            fflush(stdout);
        }
        free_sets(&bench);
    }
    return 0;
}

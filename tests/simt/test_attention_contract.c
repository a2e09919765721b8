// SPDX-License-Identifier: Apache-2.0
//
// kernel_attention: what it refuses, calls that have nothing to do, and what it says it costs.
#include "cuda/kernels.h"
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/rig.h"
#include "tests/simt/titles.h"

enum { ITEMS_MAX = 64 };

struct contract_case {
    struct title_batch batch;
    struct attention_item items[ITEMS_MAX];
    int32_t starts[ATTENTION_BUCKETS + 1];
    struct rig_array qkv, context;
    struct kernel_attention good;
};

// Titles of 10, 20, 100 and 3 tokens, two heads of 32.
static struct contract_case contract_create(enum dtype dtype) {
    static const int32_t lengths[] = {10, 20, 100, 3};
    struct contract_case item = {.batch = title_batch(lengths, 4, 0)};
    const size_t n_elements = (size_t)item.batch.n_rows * 64;
    attention_items_build(item.batch.cu_seqlens, 4, item.items, item.starts);
    item.qkv = rig_input(dtype, 3 * n_elements);
    item.context = rig_output(dtype, n_elements);
    rig_fill(item.qkv.values, item.qkv.n, -1, 1);
    rig_send(&item.qkv);
    rig_mark(&item.context);
    const size_t items_nbytes = (size_t)item.starts[ATTENTION_BUCKETS] * sizeof *item.items;
    struct attention_item *items = device_alloc(items_nbytes);
    device_write(items, item.items, items_nbytes);
    item.good = (struct kernel_attention){.dtype = dtype,
                                          .n_heads = 2,
                                          .head_size = 32,
                                          .scale = 0.25F,
                                          .bucket = 1,
                                          .items_cap = 1,
                                          .n_multiprocessors = 4,
                                          .qkv = item.qkv.device,
                                          .items = items,
                                          .starts = rig_int32(item.starts, ATTENTION_BUCKETS + 1),
                                          .context = item.context.device};
    return item;
}

static void contract_free(struct contract_case *item) {
    device_free((void *)item->good.starts);
    device_free((void *)item->good.items);
    rig_free(&item->context);
    rig_free(&item->qkv);
    title_batch_free(&item->batch);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_attention, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_attention, good, field)

static void refuses_shapes(struct kernel_attention good) {
    // Heads and their size: 32, 1056 and 2048 in all are no hidden sizes, 48 and 128 no heads.
    static const int32_t shapes[][2] = {
        {1, 32}, {33, 32}, {17, 64}, {32, 64}, {0, 64}, {-1, 64},       {2, 48},        {2, 128},
        {2, 0},  {2, -32}, {2, 16},  {4, 33},  {2, 63}, {67108865, 64}, {INT32_MIN, 32}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        good.n_heads = shapes[i][0];
        REFUSES(head_size, shapes[i][1]);
    }
}

static void test_refusals(enum dtype dtype) {
    struct contract_case item = contract_create(dtype);
    const struct kernel_attention good = item.good;
    refuses_shapes(good);
    REFUSES(dtype, (enum dtype)3);
    REFUSES(bucket, -1);
    REFUSES(bucket, ATTENTION_BUCKETS);
    REFUSES(bucket, INT32_MAX);
    REFUSES(items_cap, -1);
    REFUSES(items_cap, INT32_MIN);
    REFUSES(n_multiprocessors, -1);
    REFUSES(n_multiprocessors, 0);
    REFUSES_POINTER(qkv);
    REFUSES_POINTER(items);
    REFUSES_POINTER(starts);
    REFUSES_POINTER(context);
    CHECK(rig_is_unchanged(&item.context));
    contract_free(&item);
}

// No items are expected, or there are none after all.
static void test_nothing(enum dtype dtype) {
    struct contract_case item = contract_create(dtype);
    for (int b = 0; b < ATTENTION_BUCKETS; b++) {
        struct kernel_attention args = item.good;
        args.bucket = b;
        args.items_cap = 0;
        if (item.starts[b] == item.starts[b + 1]) args.items_cap = 1000;
        CHECK_INT(kernel_attention(&args, NULL), CUDA_SUCCESS);
    }
    CHECK(rig_is_unchanged(&item.context));
    contract_free(&item);
}

// By hand, a title's row of 64 elements of 2 bytes: query, context, key and value are 512 bytes, an
// item 16. A score takes 32 multiplications and additions, as does its share of the context; four
// operations more for its softmax; one for each element of the context.
static void check_cost(const struct contract_case *item, int32_t bucket, double n_rows,
                       double n_items, double n_scores) {
    struct kernel_attention args = item->good;
    args.items = item->items;
    args.starts = item->starts;
    args.bucket = bucket;
    const double row_nbytes = args.dtype == DTYPE_F32 ? 1024 : 512;
    const struct kernel_cost cost = kernel_attention_cost(&args);
    CHECK_NEAR(cost.bytes, n_rows * row_nbytes + n_items * 16, 0);
    CHECK_NEAR(cost.operations, 2 * n_scores * (4 * 32 + 4) + n_rows * 64, 0);
}

static void test_cost(enum dtype dtype) {
    struct contract_case item = contract_create(dtype);
    check_cost(&item, 0, 10 + 3, 2, 100 + 9);
    check_cost(&item, 1, 20, 1, 400);
    check_cost(&item, 2, 0, 0, 0);
    check_cost(&item, 4, 100, 7, 10000);  // 16 queries each, the last one 4
    check_cost(&item, 5, 0, 0, 0);
    contract_free(&item);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    for (int d = 0; d < rig_n_dtypes(); d++) {
        test_refusals((enum dtype)d);
        test_nothing((enum dtype)d);
        test_cost((enum dtype)d);
    }
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

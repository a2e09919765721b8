// SPDX-License-Identifier: Apache-2.0
//
// kernel_attention_cls: one query a title over titles of every length to 64 and many beyond, empty
// ones among them; each title and head of a kind of its own.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"
#include "tests/simt/titles.h"

enum { TITLES_MAX = 90 };

struct cls_case {
    struct kernel_attention_cls args;
    struct title_batch batch;
    enum title_kind *kinds;  // [titles][heads]
    struct rig_array query, key_value;
    struct rig_expected expected;
};

static size_t width_of(const struct cls_case *item) {
    return (size_t)item->args.n_heads * (size_t)item->args.head_size;
}

static enum title_kind *kind_of(const struct cls_case *item, int32_t title, int32_t h) {
    return item->kinds + (size_t)title * (size_t)item->args.n_heads + h;
}

static void fill_title(struct cls_case *item, int32_t i, int32_t h) {
    const size_t width = width_of(item), column = (size_t)h * (size_t)item->args.head_size;
    float *key = item->key_value.values + (size_t)item->batch.cu_seqlens[i] * 2 * width + column;
    const struct title_head head = {.dtype = item->args.dtype,
                                    .n_queries = 1,
                                    .n_keys = title_length(&item->batch, i),
                                    .head_size = item->args.head_size,
                                    .scale = item->args.scale,
                                    .query = item->query.values + (size_t)i * width + column,
                                    .key = key,
                                    .value = key + width,
                                    .query_stride = width,
                                    .key_stride = 2 * width};
    title_fill(&head, *kind_of(item, i, h));
}

static void expect_title(struct cls_case *item, int32_t i, int32_t h) {
    const size_t width = width_of(item), column = (size_t)h * (size_t)item->args.head_size;
    const size_t at = (size_t)i * width + column;
    const float *key =
        item->key_value.values + (size_t)item->batch.cu_seqlens[i] * 2 * width + column;
    const struct ref_attention head = {.dtype = item->args.dtype,
                                       .n_queries = 1,
                                       .n_keys = title_length(&item->batch, i),
                                       .head_size = item->args.head_size,
                                       .scale = item->args.scale,
                                       .is_regular = title_is_regular(*kind_of(item, i, h)),
                                       .query = item->query.values + at,
                                       .key = key,
                                       .value = key + width,
                                       .query_stride = width,
                                       .key_stride = 2 * width};
    ref_attention(&head, width, item->expected.want + at, item->expected.allowed + at);
}

// Takes over `batch`. Queries of empty titles and dummy rows are NaN.
static struct cls_case case_create(enum dtype dtype, int32_t n_heads, int32_t head_size,
                                   struct title_batch batch) {
    struct cls_case item = {.batch = batch};
    const int32_t first_row = rig_one_in(4) ? RIG_FAR : 0;
    item.args =
        (struct kernel_attention_cls){.dtype = dtype,
                                      .n_titles = batch.n_titles,
                                      .n_heads = n_heads,
                                      .head_size = head_size,
                                      .scale = rig_one_in(3) ? 1 : 1 / sqrtf((float)head_size),
                                      .cu_seqlens = title_batch_send(&batch, first_row)};
    const size_t width = width_of(&item), n = (size_t)batch.n_titles;
    item.kinds = rig_alloc(n * (size_t)n_heads, sizeof *item.kinds);
    item.query = rig_input(dtype, n * width);
    item.key_value = rig_input(dtype, (size_t)batch.n_rows * 2 * width);
    item.expected = rig_expected(n * width);
    rig_fill(item.query.values, item.query.n, NAN, NAN);
    rig_fill(item.key_value.values, item.key_value.n, NAN, NAN);
    for (int32_t i = 0; i < batch.n_titles; i++) {
        for (int32_t h = 0; h < n_heads && title_length(&batch, i) > 0; h++) {
            *kind_of(&item, i, h) =
                rig_one_in(4) ? TITLE_USUAL : (enum title_kind)rig_below(TITLE_KINDS);
            fill_title(&item, i, h);
        }
    }
    rig_send(&item.query);
    rig_send(&item.key_value);
    item.args.query = item.query.device;
    item.args.key_value = rig_before(item.key_value.device, dtype, (size_t)first_row * 2 * width);
    return item;
}

static void case_free(struct cls_case *item) {
    rig_expected_free(&item->expected);
    rig_free(&item->key_value);
    rig_free(&item->query);
    free(item->kinds);
    device_free((void *)item->args.cu_seqlens);
    title_batch_free(&item->batch);
}

static struct rig_array run_case(const struct cls_case *item) {
    struct kernel_attention_cls args = item->args;
    struct rig_array context = rig_output(args.dtype, item->query.n);
    rig_mark(&context);
    args.context = context.device;
    CHECK_INT(kernel_attention_cls(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&context));
    return context;
}

static void check_reference(struct cls_case *item, const struct rig_array *context) {
    const size_t width = width_of(item);
    for (int32_t i = 0; i < item->batch.n_titles; i++) {
        const size_t at = (size_t)i * width;
        if (title_length(&item->batch, i) == 0) {
            CHECK(rig_is_marked(context, at, width));
            continue;
        }
        char what[80];
        for (int32_t h = 0; h < item->args.n_heads; h++) expect_title(item, i, h);
        snprintf(what, sizeof what, "title of %d tokens, %d heads of %d, first of kind %d",
                 title_length(&item->batch, i), item->args.n_heads, item->args.head_size,
                 (int)*kind_of(item, i, 0));
        CHECK(rig_compare(what, context, at, width, &item->expected));
    }
    CHECK(rig_is_unchanged(&item->query) && rig_is_unchanged(&item->key_value));
}

// Some of the titles in another order, each behind one that is NaN throughout: the same bits.
static void check_elsewhere(const struct cls_case *item, const struct rig_array *whole) {
    const size_t width = width_of(item);
    int32_t order[TITLES_MAX], lengths[2 * TITLES_MAX];
    const int32_t n = item->batch.n_titles;
    for (int32_t i = 0; i < n; i++) order[i] = i;
    rig_shuffle(order, n);
    for (int32_t i = 0; i < n; i++) {
        lengths[2 * i] = rig_below(40);
        lengths[2 * i + 1] = title_length(&item->batch, order[i]);
    }
    struct cls_case other = case_create(item->args.dtype, item->args.n_heads, item->args.head_size,
                                        title_batch(lengths, 2 * n, 1 + rig_below(3)));
    other.args.scale = item->args.scale;
    rig_fill(other.query.values, other.query.n, NAN, NAN);
    rig_fill(other.key_value.values, other.key_value.n, NAN, NAN);
    for (int32_t i = 0; i < n; i++) {
        const size_t from = (size_t)item->batch.cu_seqlens[order[i]] * 2 * width;
        const size_t to = (size_t)other.batch.cu_seqlens[2 * i + 1] * 2 * width;
        memcpy(other.query.values + (size_t)(2 * i + 1) * width,
               item->query.values + (size_t)order[i] * width, width * sizeof(float));
        memcpy(other.key_value.values + to, item->key_value.values + from,
               2 * (size_t)lengths[2 * i + 1] * width * sizeof(float));
    }
    rig_send(&other.query);
    rig_send(&other.key_value);
    struct rig_array context = run_case(&other);
    for (int32_t i = 0; i < n; i++) {
        const size_t at = (size_t)(2 * i) * width;
        if (lengths[2 * i] > 0) CHECK(rig_is_nan(&context, at, width));
        CHECK(rig_same_bits(whole, (size_t)order[i] * width, &context, at + width, width));
    }
    rig_free(&context);
    case_free(&other);
}

// Takes over `batch`.
static void test_batch(enum dtype dtype, int32_t n_heads, int32_t head_size,
                       struct title_batch batch) {
    struct cls_case item = case_create(dtype, n_heads, head_size, batch);
    struct rig_array context = run_case(&item);
    check_reference(&item, &context);
    check_elsewhere(&item, &context);
    rig_free(&context);
    case_free(&item);
}

// Every length to 64 once, those beside the limits of attention's buckets, some at random, some
// empty titles.
static void test_lengths(enum dtype dtype, int32_t n_heads, int32_t head_size) {
    int32_t lengths[TITLES_MAX] = {65, 96, 97, 127, 128, 129, 255, 256, 257, 511, 512, 513};
    for (int32_t i = 12; i < 20; i++) lengths[i] = 66 + rig_below(500);
    for (int32_t i = 1; i <= 64; i++) lengths[19 + i] = i;
    rig_shuffle(lengths, TITLES_MAX);
    test_batch(dtype, n_heads, head_size,
               title_batch(lengths, TITLES_MAX, rig_one_in(2) ? 0 : 1 + rig_below(9)));
}

// More blocks than any other test has.
static void test_many(enum dtype dtype) {
    enum { MANY = 4200 };
    int32_t *lengths = rig_alloc(MANY, sizeof *lengths);
    for (int32_t i = 0; i < MANY; i++) lengths[i] = 1;
    struct cls_case item = case_create(dtype, 1, 64, title_batch(lengths, MANY, 0));
    struct rig_array context = run_case(&item);
    check_reference(&item, &context);
    rig_free(&context);
    case_free(&item);
    free(lengths);
}

static void test_heads(enum dtype dtype, int32_t n_heads, int32_t head_size) {
    int32_t lengths[6];
    const int32_t n_titles = 1 + rig_below(6);
    for (int32_t i = 0; i < n_titles; i++) lengths[i] = rig_below(70);
    test_batch(dtype, n_heads, head_size,
               title_batch(lengths, n_titles, lengths[0] > 0 ? rig_below(3) : 1));
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_attention_cls, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_attention_cls, good, field)

static void test_refusals(void) {
    static const int32_t lengths[] = {3, 4, 0};
    struct cls_case item = case_create(DTYPE_BF16, 3, 32, title_batch(lengths, 3, 1));
    struct rig_array context = rig_output(DTYPE_BF16, item.query.n);
    rig_mark(&context);
    struct kernel_attention_cls good = item.args;
    good.context = context.device;
    // Heads and their size: 32, 1056 and 2048 in all are no hidden sizes, 48 and 128 no heads.
    static const int32_t shapes[][2] = {
        {1, 32}, {33, 32}, {17, 64}, {32, 64}, {0, 64}, {-1, 64},       {2, 48},        {2, 128},
        {2, 0},  {2, -32}, {2, 16},  {4, 33},  {2, 63}, {67108865, 64}, {INT32_MIN, 32}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        good.n_heads = shapes[i][0];
        REFUSES(head_size, shapes[i][1]);
    }
    good.n_heads = item.args.n_heads;
    REFUSES(dtype, (enum dtype)3);
    REFUSES(n_titles, -1);
    REFUSES(n_titles, INT32_MIN);
    REFUSES(n_titles, (1 << 30) / good.n_heads + 1);
    REFUSES_POINTER(cu_seqlens);
    REFUSES_POINTER(query);
    REFUSES_POINTER(key_value);
    REFUSES_POINTER(context);
    good.n_titles = 0;
    CHECK_INT(kernel_attention_cls(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&context));
    rig_free(&context);
    case_free(&item);
}

// By hand: two heads of 32, titles of 10, 0 and 5 tokens. A row of 64 elements of 2 bytes is 128
// bytes: 2 queries, 2 results, 15 keys and values; four starts. 64 multiplications and additions a
// key, as many for its value, four operations for a score's softmax, one for each element.
static void test_cost(void) {
    static const int32_t cu_seqlens[] = {0, 10, 10, 15};
    struct kernel_attention_cls args = {
        .dtype = DTYPE_F16, .n_titles = 3, .n_heads = 2, .head_size = 32, .cu_seqlens = cu_seqlens};
    struct kernel_cost cost = kernel_attention_cls_cost(&args);
    CHECK_NEAR(cost.bytes, (2 + 2 + 30) * 128 + 16, 0);
    CHECK_NEAR(cost.operations, 15 * (4 * 64 + 2 * 4) + 2 * 64, 0);
    args.dtype = DTYPE_F32;
    CHECK_NEAR(kernel_attention_cls_cost(&args).bytes, (2 + 2 + 30) * 256 + 16, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    static const int32_t heads_of_64[] = {1, 2, 3, 12, 16}, heads_of_32[] = {2, 3, 12, 16, 32};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int d = 0; d < 3; d++) {
            test_lengths((enum dtype)d, 1, 64);
            test_lengths((enum dtype)d, 2, 32);
            for (int h = 0; h < 5; h++) {
                test_heads((enum dtype)d, heads_of_64[h], 64);
                test_heads((enum dtype)d, heads_of_32[h], 32);
            }
        }
    }
    test_many((enum dtype)rig_below(3));
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

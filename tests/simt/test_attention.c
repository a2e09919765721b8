// SPDX-License-Identifier: Apache-2.0
//
// kernel_attention: titles of every length to 64 and of many beyond, all head counts, each title
// and head of a kind of its own; launches of every size, items in any order, rows alone.
#include "cuda/kernels.h"
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"
#include "tests/simt/titles.h"

enum { SHORT_MAX = 64, TITLES_MAX = 2 * SHORT_MAX };

struct attention_case {
    struct kernel_attention args;  // items and starts are those below, on the device
    struct title_batch batch;
    struct attention_item *items;
    int32_t starts[ATTENTION_BUCKETS + 1];
    enum title_kind *kinds;  // [titles][heads]
    struct rig_array qkv;
    struct rig_expected expected;
    size_t n_before;  // elements of context before the first that exists
};

static size_t width_of(const struct attention_case *item) {
    return (size_t)item->args.n_heads * (size_t)item->args.head_size;
}

static enum title_kind *kind_of(const struct attention_case *item, int32_t title, int32_t h) {
    return item->kinds + (size_t)title * (size_t)item->args.n_heads + h;
}

// Where title i's head h begins in a matrix of `n_parts` times the hidden size.
static size_t place(const struct attention_case *item, int32_t title, int32_t h, size_t n_parts) {
    return (size_t)item->batch.cu_seqlens[title] * n_parts * width_of(item) +
           (size_t)h * (size_t)item->args.head_size;
}

static void fill_title(struct attention_case *item, int32_t i, int32_t h) {
    const size_t width = width_of(item);
    float *query = item->qkv.values + place(item, i, h, 3);
    const struct title_head head = {.dtype = item->args.dtype,
                                    .n_queries = title_length(&item->batch, i),
                                    .n_keys = title_length(&item->batch, i),
                                    .head_size = item->args.head_size,
                                    .scale = item->args.scale,
                                    .query = query,
                                    .key = query + width,
                                    .value = query + 2 * width,
                                    .query_stride = 3 * width,
                                    .key_stride = 3 * width};
    title_fill(&head, *kind_of(item, i, h));
}

static void expect_title(struct attention_case *item, int32_t i, int32_t h) {
    const size_t width = width_of(item), at = place(item, i, h, 1);
    const float *query = item->qkv.values + place(item, i, h, 3);
    const struct ref_attention head = {.dtype = item->args.dtype,
                                       .n_queries = title_length(&item->batch, i),
                                       .n_keys = title_length(&item->batch, i),
                                       .head_size = item->args.head_size,
                                       .scale = item->args.scale,
                                       .is_regular = title_is_regular(*kind_of(item, i, h)),
                                       .query = query,
                                       .key = query + width,
                                       .value = query + 2 * width,
                                       .query_stride = 3 * width,
                                       .key_stride = 3 * width};
    ref_attention(&head, width, item->expected.want + at, item->expected.allowed + at);
}

static void send_items(struct attention_case *item) {
    const size_t n_items = (size_t)item->starts[ATTENTION_BUCKETS];
    struct attention_item *items = device_alloc((n_items > 0 ? n_items : 1) * sizeof *items);
    device_write(items, item->items, n_items * sizeof *items);
    item->args.items = items;
    item->args.starts = rig_int32(item->starts, ATTENTION_BUCKETS + 1);
}

// Titles of these lengths and some dummy rows, which hold NaN. Takes over `batch`.
static struct attention_case case_create(enum dtype dtype, int32_t n_heads, int32_t head_size,
                                         struct title_batch batch) {
    static const float scales[] = {1, 0.5F};
    struct attention_case item = {.batch = batch};
    item.args = (struct kernel_attention){
        .dtype = dtype,
        .n_heads = n_heads,
        .head_size = head_size,
        .scale = rig_one_in(3) ? scales[rig_below(2)] : 1 / sqrtf((float)head_size)};
    const size_t n_elements = (size_t)batch.n_rows * width_of(&item);
    item.items = rig_alloc(attention_items_cap(batch.n_rows, batch.n_titles), sizeof *item.items);
    attention_items_build(batch.cu_seqlens, batch.n_titles, item.items, item.starts);
    item.kinds = rig_alloc((size_t)batch.n_titles * (size_t)n_heads, sizeof *item.kinds);
    item.qkv = rig_input(dtype, 3 * n_elements);
    item.expected = rig_expected(n_elements);
    rig_fill(item.qkv.values, item.qkv.n, NAN, NAN);
    for (int32_t i = 0; i < batch.n_titles; i++) {
        for (int32_t h = 0; h < n_heads && title_length(&batch, i) > 0; h++) {
            *kind_of(&item, i, h) =
                rig_one_in(4) ? TITLE_USUAL : (enum title_kind)rig_below(TITLE_KINDS);
            fill_title(&item, i, h);
        }
    }
    rig_send(&item.qkv);
    item.args.qkv = item.qkv.device;
    send_items(&item);
    return item;
}

static void case_free(struct attention_case *item) {
    device_free((void *)item->args.starts);
    device_free((void *)item->args.items);
    rig_expected_free(&item->expected);
    rig_free(&item->qkv);
    free(item->kinds);
    free(item->items);
    title_batch_free(&item->batch);
}

// All buckets in any order, with grids of any size, to an array that was marked before.
static struct rig_array run_case(const struct attention_case *item) {
    static const int32_t spare[] = {0, 1, 5, INT32_MAX / 2};
    struct rig_array context =
        rig_output(item->args.dtype, (size_t)item->batch.n_rows * width_of(item));
    int32_t buckets[ATTENTION_BUCKETS] = {0, 1, 2, 3, 4, 5};
    rig_shuffle(buckets, ATTENTION_BUCKETS);
    rig_mark(&context);
    for (int i = 0; i < ATTENTION_BUCKETS; i++) {
        const int32_t b = buckets[i];
        struct kernel_attention args = item->args;
        args.context = rig_before(context.device, args.dtype, item->n_before);
        args.bucket = b;
        args.items_cap = item->starts[b + 1] - item->starts[b] + spare[rig_below(4)];
        args.n_multiprocessors = rig_one_in(2) ? 132 : 1 + rig_below(3);
        if (args.items_cap < 1000 && rig_one_in(8)) args.n_multiprocessors = INT32_MAX;
        CHECK_INT(kernel_attention(&args, NULL), CUDA_SUCCESS);
    }
    CHECK(rig_fetch(&context));
    return context;
}

static void check_reference(struct attention_case *item, const struct rig_array *context) {
    const size_t width = width_of(item);
    for (int32_t i = 0; i < item->batch.n_titles; i++) {
        const size_t n = (size_t)title_length(&item->batch, i) * width;
        char what[80];
        for (int32_t h = 0; h < item->args.n_heads && n > 0; h++) expect_title(item, i, h);
        snprintf(what, sizeof what, "title of %d tokens, %d heads of %d, first of kind %d",
                 title_length(&item->batch, i), item->args.n_heads, item->args.head_size,
                 (int)*kind_of(item, i, 0));
        CHECK(rig_compare(what, context, place(item, i, 0, 1), n, &item->expected));
    }
    const size_t n = (size_t)item->batch.cu_seqlens[item->batch.n_titles] * width;
    CHECK(rig_is_marked(context, n, context->n - n));
    CHECK(rig_is_unchanged(&item->qkv));
}

// Some items of one bucket, in any order: their rows have the bits they had, no others are written.
static void check_some_items(const struct attention_case *item, const struct rig_array *whole) {
    const size_t width = width_of(item), n_rows = (size_t)item->batch.n_rows;
    const int32_t bucket = rig_below(ATTENTION_BUCKETS), first = item->starts[bucket];
    struct attention_case part = *item;
    bool *is_chosen = rig_alloc(n_rows, sizeof *is_chosen);
    int32_t order[1024], n_chosen = 0;
    for (int32_t i = first; i < item->starts[bucket + 1] && n_chosen < 1024; i++) {
        if (rig_one_in(2)) order[n_chosen++] = i;
    }
    rig_shuffle(order, n_chosen);
    part.items = rig_alloc((size_t)n_chosen, sizeof *part.items);
    for (int32_t i = 0; i < n_chosen; i++) {
        const struct attention_item chosen = part.items[i] = item->items[order[i]];
        const int32_t left = chosen.n_keys - chosen.first_query;
        const int32_t n = chosen.n_keys <= SHORT_MAX || left < 16 ? left : 16;
        for (int32_t q = 0; q < n; q++) is_chosen[chosen.first_row + chosen.first_query + q] = true;
    }
    for (int b = 0; b <= ATTENTION_BUCKETS; b++) part.starts[b] = b <= bucket ? 0 : n_chosen;
    send_items(&part);
    struct rig_array context = run_case(&part);
    for (size_t r = 0; r < n_rows; r++) {
        CHECK(is_chosen[r] ? rig_same_bits(whole, r * width, &context, r * width, width)
                           : rig_is_marked(&context, r * width, width));
    }
    rig_free(&context);
    device_free((void *)part.args.starts);
    device_free((void *)part.args.items);
    free(part.items);
    free(is_chosen);
}

// Some of the titles in another order, each behind one that is NaN throughout: the same bits.
static void check_elsewhere(const struct attention_case *item, const struct rig_array *whole,
                            int32_t n_chosen) {
    const size_t width = width_of(item);
    int32_t order[TITLES_MAX], lengths[2 * TITLES_MAX];
    for (int32_t i = 0; i < item->batch.n_titles; i++) order[i] = i;
    rig_shuffle(order, item->batch.n_titles);
    if (n_chosen > item->batch.n_titles) n_chosen = item->batch.n_titles;
    for (int32_t i = 0; i < n_chosen; i++) {
        lengths[2 * i] = rig_below(rig_one_in(16) ? 140 : 20);
        lengths[2 * i + 1] = title_length(&item->batch, order[i]);
    }
    struct attention_case other =
        case_create(item->args.dtype, item->args.n_heads, item->args.head_size,
                    title_batch(lengths, 2 * n_chosen, 1 + rig_below(3)));
    other.args.scale = item->args.scale;
    rig_fill(other.qkv.values, other.qkv.n, NAN, NAN);
    for (int32_t i = 0; i < n_chosen; i++) {
        memcpy(other.qkv.values + place(&other, 2 * i + 1, 0, 3),
               item->qkv.values + place(item, order[i], 0, 3),
               3 * (size_t)lengths[2 * i + 1] * width * sizeof(float));
    }
    rig_send(&other.qkv);
    struct rig_array context = run_case(&other);
    for (int32_t i = 0; i < n_chosen; i++) {
        CHECK(rig_is_nan(&context, place(&other, 2 * i, 0, 1), (size_t)lengths[2 * i] * width));
        CHECK(rig_same_bits(whole, place(item, order[i], 0, 1), &context,
                            place(&other, 2 * i + 1, 0, 1), (size_t)lengths[2 * i + 1] * width));
    }
    rig_free(&context);
    case_free(&other);
}

// The same rows beyond 2^32 elements: the same bits.
static void check_far(const struct attention_case *item, const struct rig_array *whole) {
    const size_t n_items = (size_t)item->starts[ATTENTION_BUCKETS];
    struct attention_case far = *item;
    far.items = rig_alloc(n_items, sizeof *far.items);
    for (size_t i = 0; i < n_items; i++) {
        far.items[i] = item->items[i];
        far.items[i].first_row += RIG_FAR;
    }
    send_items(&far);
    far.n_before = (size_t)RIG_FAR * width_of(item);
    far.args.qkv = rig_before(item->args.qkv, item->args.dtype, 3 * far.n_before);
    struct rig_array context = run_case(&far);
    CHECK(rig_same_bits(whole, 0, &context, 0, whole->n));
    rig_free(&context);
    device_free((void *)far.args.starts);
    device_free((void *)far.args.items);
    free(far.items);
}

// Takes over `batch`.
static void test_batch(enum dtype dtype, int32_t n_heads, int32_t head_size,
                       struct title_batch batch, int32_t n_elsewhere) {
    struct attention_case item = case_create(dtype, n_heads, head_size, batch);
    struct rig_array context = run_case(&item);
    check_reference(&item, &context);
    check_some_items(&item, &context);
    if (n_elsewhere == 2) check_far(&item, &context);
    check_elsewhere(&item, &context, n_elsewhere);
    rig_free(&context);
    case_free(&item);
}

static int32_t random_dummies(void) {
    return rig_one_in(2) ? 0 : 1 + rig_below(20);
}

// Every length to 64 once, and some empty titles.
static void test_short(enum dtype dtype, int32_t n_heads, int32_t head_size) {
    int32_t lengths[SHORT_MAX + 4] = {0};
    for (int32_t i = 0; i < SHORT_MAX; i++) lengths[i] = i + 1;
    rig_shuffle(lengths, SHORT_MAX + 4);
    test_batch(dtype, n_heads, head_size, title_batch(lengths, SHORT_MAX + 4, random_dummies()),
               12);
}

// The lengths beside the buckets' limits, one beyond 512, others at random. With F32 no length is
// special and all take long: there are fewer.
static void test_long(enum dtype dtype, int32_t n_heads, int32_t head_size) {
    int32_t lengths[] = {65,
                         127,
                         128,
                         129,
                         66 + rig_below(61),
                         513 + rig_below(60),
                         511,
                         512,
                         130 + rig_below(381),
                         1 + rig_below(64)};
    const int32_t n = dtype == DTYPE_F32 ? 6 : 10;
    rig_shuffle(lengths, n);
    test_batch(dtype, n_heads, head_size, title_batch(lengths, n, random_dummies()), 1);
}

static void test_lengths(enum dtype dtype, int32_t head_size, int32_t *lengths, int32_t n) {
    struct attention_case item =
        case_create(dtype, 64 / head_size, head_size, title_batch(lengths, n, random_dummies()));
    struct rig_array context = run_case(&item);
    check_reference(&item, &context);
    rig_free(&context);
    case_free(&item);
}

// Every length that takes several items, those of the fifth bucket in all 16-bit formats and head
// sizes, the longer ones in one each.
static void test_every_length(void) {
    enum { FIFTH = 64, LONGER = 384, COMBINATIONS = 4 };
    int32_t fifth[FIFTH], longer[LONGER];
    for (int32_t i = 0; i < FIFTH; i++) fifth[i] = 65 + i;
    for (int32_t i = 0; i < LONGER; i++) longer[i] = 129 + i;
    rig_shuffle(longer, LONGER);
    for (int c = 0; c < COMBINATIONS; c++) {
        const enum dtype dtype =
            c % 2 == 0 || rig_n_dtypes() == DTYPE_BF16 ? DTYPE_F16 : DTYPE_BF16;
        const int32_t head_size = c / 2 == 0 ? 64 : 32, n = LONGER / COMBINATIONS;
        rig_shuffle(fifth, FIFTH);
        test_lengths(dtype, head_size, fifth, FIFTH);
        test_lengths(dtype, head_size, longer + c * n, n);
    }
}

static void test_heads(enum dtype dtype, int32_t n_heads, int32_t head_size) {
    int32_t lengths[4];
    for (int32_t i = 0; i < 4; i++) lengths[i] = rig_below(i == 3 ? 70 : n_heads > 3 ? 20 : 40);
    test_batch(dtype, n_heads, head_size, title_batch(lengths, 4, 1 + rig_below(4)), 2);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    static const int32_t heads_of_64[] = {1, 2, 3, 12, 16}, heads_of_32[] = {2, 3, 12, 16, 32};
    if (rig_wants_every_length()) test_every_length();
    for (int i = 0; i < rig_n_cases() && !rig_wants_every_length(); i++) {
        for (int d = 0; d < rig_n_dtypes(); d++) {
            const enum dtype dtype = (enum dtype)d;
            test_short(dtype, 1, 64);
            test_short(dtype, 2, 32);
            for (int h = 0; h < 5; h++) {
                test_heads(dtype, heads_of_64[h], 64);
                test_heads(dtype, heads_of_32[h], 32);
            }
            test_long(dtype, 1, 64);
            if (dtype != DTYPE_F32) test_long(dtype, 2, 32);
        }
    }
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

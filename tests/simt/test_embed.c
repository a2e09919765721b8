// SPDX-License-Identifier: Apache-2.0
//
// kernel_embed: every hidden size in every format, the first and the last row of both tables, dummy
// rows anywhere.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"

enum { HIDDEN_MIN = 64, HIDDEN_MAX = 1024, HIDDEN_STEP = 32 };
enum { N_WORDS = 23, N_POSITIONS = 17, NAN_WORD = 11, NAN_POSITION = 7 };

struct embed_case {
    struct kernel_embed args;
    struct rig_array word, position, weight, bias;
    int32_t *token_ids, *position_ids;  // on the host
    struct rig_expected expected;
};

// Words and positions of the same number share a kind.
static void fill_tables(struct embed_case *item) {
    const int32_t n = item->args.hidden_size;
    const size_t width = (size_t)n;
    float *a = rig_alloc(width, sizeof *a), *b = rig_alloc(width, sizeof *b);
    for (size_t i = 0; i < N_WORDS; i++) {
        rig_fill_row((enum rig_row_kind)rig_below(ROW_KINDS), item->args.dtype, a, b, n);
        memcpy(item->word.values + i * width, a, width * sizeof *a);
        if (i < N_POSITIONS) memcpy(item->position.values + i * width, b, width * sizeof *b);
    }
    item->word.values[NAN_WORD * width + (size_t)rig_below(n)] = NAN;
    item->position.values[NAN_POSITION * width + (size_t)rig_below(n)] = -INFINITY;
    free(b);
    free(a);
}

static void choose_ids(struct embed_case *item) {
    const int32_t n = item->args.n_rows;
    item->token_ids = rig_alloc((size_t)n, sizeof(int32_t));
    item->position_ids = rig_alloc((size_t)n, sizeof(int32_t));
    for (int32_t r = 0; r < n; r++) {
        item->token_ids[r] = rig_below(N_WORDS);
        item->position_ids[r] = rig_one_in(5) ? -1 : rig_below(N_POSITIONS);
    }
    item->token_ids[rig_below(n)] = rig_one_in(2) ? 0 : N_WORDS - 1;
    item->position_ids[rig_below(n)] = rig_one_in(2) ? 0 : N_POSITIONS - 1;
}

static void expect(struct embed_case *item) {
    const size_t width = (size_t)item->args.hidden_size;
    for (int32_t r = 0; r < item->args.n_rows; r++) {
        const size_t at = (size_t)r * width, token = (size_t)item->token_ids[r];
        if (item->position_ids[r] < 0) continue;  // zeros
        const size_t position = (size_t)item->position_ids[r];
        const struct ref_norm row = {.n = item->args.hidden_size,
                                     .x = item->word.values + token * width,
                                     .residual = item->position.values + position * width,
                                     .weight = item->weight.values,
                                     .bias = item->bias.values,
                                     .eps = item->args.eps};
        ref_layer_norm(&row, item->expected.want + at, item->expected.allowed + at);
    }
}

static struct embed_case embed_create(enum dtype dtype, int32_t n_rows, int32_t hidden_size) {
    static const float epsilons[] = {1e-12F, 1e-5F, 0.1F, 2.0F};
    const size_t width = (size_t)hidden_size;
    struct embed_case item = {.word = rig_input(dtype, N_WORDS * width),
                              .position = rig_input(DTYPE_F32, N_POSITIONS * width),
                              .weight = rig_input(DTYPE_F32, width),
                              .bias = rig_input(DTYPE_F32, width),
                              .expected = rig_expected((size_t)n_rows * width)};
    item.args = (struct kernel_embed){.dtype = dtype,
                                      .n_rows = n_rows,
                                      .hidden_size = hidden_size,
                                      .eps = epsilons[rig_below(4)],
                                      .word = item.word.device,
                                      .position = item.position.device,
                                      .weight = item.weight.device,
                                      .bias = item.bias.device};
    fill_tables(&item);
    rig_fill(item.weight.values, width, -1, 3);
    rig_fill(item.bias.values, width, -2, 2);
    rig_send(&item.word);
    rig_send(&item.position);
    rig_send(&item.weight);
    rig_send(&item.bias);
    choose_ids(&item);
    item.args.token_ids = rig_int32(item.token_ids, (size_t)n_rows);
    item.args.position_ids = rig_int32(item.position_ids, (size_t)n_rows);
    expect(&item);
    return item;
}

static void embed_free(struct embed_case *item) {
    device_free((void *)item->args.token_ids);
    device_free((void *)item->args.position_ids);
    free(item->position_ids);
    free(item->token_ids);
    rig_expected_free(&item->expected);
    rig_free(&item->bias);
    rig_free(&item->weight);
    rig_free(&item->position);
    rig_free(&item->word);
}

static bool is_broken(const struct embed_case *item, size_t r) {
    return item->position_ids[r] >= 0 &&
           (item->token_ids[r] == NAN_WORD || item->position_ids[r] == NAN_POSITION);
}

static struct rig_array check_reference(const struct embed_case *item) {
    struct kernel_embed args = item->args;
    const size_t width = (size_t)args.hidden_size, n_rows = (size_t)args.n_rows;
    struct rig_array out = rig_output(args.dtype, n_rows * width);
    args.out = out.device;
    CHECK_INT(kernel_embed(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&out));
    for (size_t r = 0; r < n_rows; r++) {
        if (is_broken(item, r)) {
            CHECK(rig_is_nan(&out, r * width, width));
        } else {
            CHECK(rig_compare("embed", &out, r * width, width, &item->expected));
        }
    }
    CHECK(rig_is_unchanged(&item->word) && rig_is_unchanged(&item->position));
    CHECK(rig_is_unchanged(&item->weight) && rig_is_unchanged(&item->bias));
    return out;
}

// Some of the rows alone, in another order: the same bits, for dummies all of them 0.
static void check_elsewhere(const struct embed_case *item, const struct rig_array *whole) {
    struct kernel_embed args = item->args;
    const size_t width = (size_t)args.hidden_size;
    int32_t rows[3], token_ids[3], position_ids[3];
    for (int i = 0; i < 3; i++) {
        rows[i] = rig_below(args.n_rows);
        token_ids[i] = item->token_ids[rows[i]];
        position_ids[i] = item->position_ids[rows[i]];
    }
    struct rig_array out = rig_output(args.dtype, 3 * width);
    args.n_rows = 3;
    args.token_ids = rig_int32(token_ids, 3);
    args.position_ids = rig_int32(position_ids, 3);
    args.out = out.device;
    CHECK_INT(kernel_embed(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&out));
    void *zeros = rig_alloc(width, sizeof(float));
    for (size_t i = 0; i < 3; i++) {
        CHECK(rig_same_bits(whole, (size_t)rows[i] * width, &out, i * width, width));
        const size_t nbytes = width * (args.dtype == DTYPE_F32 ? 4 : 2);
        if (position_ids[i] < 0) CHECK(memcmp((char *)out.bits + i * nbytes, zeros, nbytes) == 0);
    }
    free(zeros);
    device_free((void *)args.token_ids);
    device_free((void *)args.position_ids);
    rig_free(&out);
}

static void test_size(enum dtype dtype, int32_t n_rows, int32_t hidden_size) {
    struct embed_case item = embed_create(dtype, n_rows, hidden_size);
    struct rig_array out = check_reference(&item);
    check_elsewhere(&item, &out);
    rig_free(&out);
    embed_free(&item);
}

// Rows of the tables beyond 2^32 elements.
static void test_far(enum dtype dtype) {
    struct embed_case item = embed_create(dtype, 5, 96);
    const size_t n = (size_t)RIG_FAR * 96;
    int32_t token_ids[5], position_ids[5];
    for (int r = 0; r < 5; r++) {
        token_ids[r] = item.token_ids[r] + RIG_FAR;
        position_ids[r] = item.position_ids[r] < 0 ? -1 : item.position_ids[r] + RIG_FAR;
    }
    device_free((void *)item.args.token_ids);
    device_free((void *)item.args.position_ids);
    item.args.token_ids = rig_int32(token_ids, 5);
    item.args.position_ids = rig_int32(position_ids, 5);
    item.args.word = rig_before(item.args.word, dtype, n);
    item.args.position = rig_before(item.args.position, DTYPE_F32, n);
    struct rig_array out = check_reference(&item);
    rig_free(&out);
    embed_free(&item);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_embed, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_embed, good, field)

static void test_refusals(void) {
    struct embed_case item = embed_create(DTYPE_BF16, 2, 96);
    struct rig_array out = rig_output(DTYPE_BF16, 2 * 96);
    struct kernel_embed good = item.args;
    rig_mark(&out);
    good.out = out.device;
    for (size_t i = 0; i < ARRAY_LEN(rig_no_hidden_sizes); i++)
        REFUSES(hidden_size, rig_no_hidden_sizes[i]);
    REFUSES(dtype, (enum dtype)3);
    REFUSES(n_rows, -1);
    REFUSES(n_rows, INT32_MIN);
    REFUSES_POINTER(token_ids);
    REFUSES_POINTER(position_ids);
    REFUSES_POINTER(word);
    REFUSES_POINTER(position);
    REFUSES_POINTER(weight);
    REFUSES_POINTER(bias);
    REFUSES_POINTER(out);
    good.n_rows = 0;
    CHECK_INT(kernel_embed(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&out));
    rig_free(&out);
    embed_free(&item);
}

// By hand: with BF16, 10 rows of 64: words and results of 1280 bytes, positions of 2560, two ids of
// 4 bytes a row, two vectors of 256. An element takes an addition, one for the mean, three for the
// squares, three at the end; a row two divisions and a root.
static void test_cost(void) {
    struct kernel_embed args = {.dtype = DTYPE_BF16, .n_rows = 10, .hidden_size = 64};
    const struct kernel_cost cost = kernel_embed_cost(&args);
    CHECK_NEAR(cost.bytes, 2 * 1280 + 2560 + 80 + 2 * 256, 0);
    CHECK_NEAR(cost.operations, 640 * 8 + 10 * 3, 0);
    args.dtype = DTYPE_F32;
    CHECK_NEAR(kernel_embed_cost(&args).bytes, 3 * 2560 + 80 + 2 * 256, 0);
    args.n_rows = 3000000;
    args.hidden_size = 1024;  // beyond 32 bits
    CHECK_NEAR(kernel_embed_cost(&args).bytes, 3 * 3e6 * 4096 + 24e6 + 2 * 4096, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    static const int32_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 13};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int d = 0; d < 3; d++) {
            for (int32_t h = HIDDEN_MIN; h <= HIDDEN_MAX; h += HIDDEN_STEP) {
                test_size((enum dtype)d, rows[rig_below(9)], h);
            }
            test_size((enum dtype)d, 100 + rig_below(100), 768);
        }
    }
    for (int d = 0; d < 3; d++) test_far((enum dtype)d);
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

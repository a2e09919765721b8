// SPDX-License-Identifier: Apache-2.0
//
// kernel_layer_norm: every hidden size in every format, rows of each kind, alone and in batches.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"

enum { HIDDEN_MIN = 64, HIDDEN_MAX = 1024, HIDDEN_STEP = 32 };

struct norm_case {
    struct kernel_layer_norm args;
    struct rig_array x, residual, x_bias, weight, bias;
    struct rig_expected expected;
};

static void expect(struct norm_case *item) {
    const int32_t n = item->args.hidden_size;
    for (int32_t r = 0; r < item->args.n_rows; r++) {
        const size_t at = (size_t)r * (size_t)n;
        const struct ref_norm row = {.n = n,
                                     .x = item->x.values + at,
                                     .residual = item->residual.values + at,
                                     .x_bias = item->args.x_bias ? item->x_bias.values : NULL,
                                     .weight = item->weight.values,
                                     .bias = item->bias.values,
                                     .eps = item->args.eps};
        ref_layer_norm(&row, item->expected.want + at, item->expected.allowed + at);
    }
}

static struct norm_case norm_create(enum dtype dtype, int32_t n_rows, int32_t hidden_size) {
    static const float epsilons[] = {1e-12F, 1e-5F, 0.1F, 2.0F};
    const size_t width = (size_t)hidden_size, n = (size_t)n_rows * width;
    struct norm_case item = {.x = rig_input(dtype, n),
                             .residual = rig_input(dtype, n),
                             .x_bias = rig_input(DTYPE_F32, width),
                             .weight = rig_input(DTYPE_F32, width),
                             .bias = rig_input(DTYPE_F32, width),
                             .expected = rig_expected(n)};
    rig_fill(item.x_bias.values, width, -1, 1);
    rig_fill(item.weight.values, width, -1, 3);
    rig_fill(item.bias.values, width, -2, 2);
    for (size_t r = 0; r < (size_t)n_rows; r++) {
        rig_fill_row((enum rig_row_kind)rig_below(ROW_KINDS), dtype, item.x.values + r * width,
                     item.residual.values + r * width, hidden_size);
    }
    rig_send(&item.x);
    rig_send(&item.residual);
    rig_send(&item.x_bias);
    rig_send(&item.weight);
    rig_send(&item.bias);
    item.args = (struct kernel_layer_norm){.dtype = dtype,
                                           .n_rows = n_rows,
                                           .hidden_size = hidden_size,
                                           .eps = epsilons[rig_below(4)],
                                           .x = item.x.device,
                                           .x_bias = rig_one_in(3) ? NULL : item.x_bias.device,
                                           .residual = item.residual.device,
                                           .weight = item.weight.device,
                                           .bias = item.bias.device};
    expect(&item);
    return item;
}

static void norm_free(struct norm_case *item) {
    rig_expected_free(&item->expected);
    rig_free(&item->bias);
    rig_free(&item->weight);
    rig_free(&item->x_bias);
    rig_free(&item->residual);
    rig_free(&item->x);
}

// Writes to an array of its own, which is returned.
static struct rig_array check_apart(const struct norm_case *item) {
    struct kernel_layer_norm args = item->args;
    struct rig_array out = rig_output(args.dtype, item->x.n);
    args.out = out.device;
    CHECK_INT(kernel_layer_norm(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&out));
    CHECK(rig_compare("layer_norm", &out, 0, out.n, &item->expected));
    CHECK(rig_is_unchanged(&item->x) && rig_is_unchanged(&item->residual));
    CHECK(rig_is_unchanged(&item->x_bias));
    CHECK(rig_is_unchanged(&item->weight) && rig_is_unchanged(&item->bias));
    return out;
}

static void check_in_place(const struct norm_case *item, const struct rig_array *apart) {
    for (int i = 0; i < 2; i++) {
        struct kernel_layer_norm args = item->args;
        const struct rig_array *input = i == 0 ? &item->x : &item->residual;
        struct rig_array both = rig_output(args.dtype, input->n);
        memcpy(both.values, input->values, input->n * sizeof *input->values);
        rig_send(&both);
        *(i == 0 ? &args.x : &args.residual) = both.device;
        args.out = both.device;
        CHECK_INT(kernel_layer_norm(&args, NULL), CUDA_SUCCESS);
        CHECK(rig_fetch(&both));
        CHECK(rig_same_bits(apart, 0, &both, 0, both.n));
        rig_free(&both);
    }
}

// The rows again, last one first, with rows between them that are infinite or have a NaN in them:
// the same bits, and nothing of the others' rubbish.
static void check_elsewhere(const struct norm_case *item, const struct rig_array *apart) {
    struct kernel_layer_norm args = item->args;
    const size_t n = (size_t)args.n_rows, width = (size_t)args.hidden_size;
    struct rig_array x = rig_input(args.dtype, 2 * n * width);
    struct rig_array residual = rig_input(args.dtype, 2 * n * width);
    struct rig_array out = rig_output(args.dtype, 2 * n * width);
    rig_fill(x.values, x.n, -1, 1);
    rig_fill(residual.values, residual.n, -1, 1);
    for (size_t r = 0; r < n; r++) {
        const size_t from = (n - 1 - r) * width, to = (2 * r + 1) * width;
        memcpy(x.values + to, item->x.values + from, width * sizeof(float));
        memcpy(residual.values + to, item->residual.values + from, width * sizeof(float));
        float *broken = rig_one_in(2) ? x.values : residual.values;
        broken[to - width + (size_t)rig_below(args.hidden_size)] = rig_one_in(2) ? NAN : INFINITY;
    }
    rig_send(&x);
    rig_send(&residual);
    args.n_rows = (int32_t)(2 * n);
    args.x = x.device;
    args.residual = residual.device;
    args.out = out.device;
    CHECK_INT(kernel_layer_norm(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&out));
    for (size_t r = 0; r < n; r++) {
        CHECK(rig_same_bits(apart, (n - 1 - r) * width, &out, (2 * r + 1) * width, width));
        CHECK(rig_is_nan(&out, 2 * r * width, width));
    }
    rig_free(&out);
    rig_free(&residual);
    rig_free(&x);
}

static void test_size(enum dtype dtype, int32_t n_rows, int32_t hidden_size) {
    struct norm_case item = norm_create(dtype, n_rows, hidden_size);
    struct rig_array out = check_apart(&item);
    check_in_place(&item, &out);
    check_elsewhere(&item, &out);
    rig_free(&out);
    norm_free(&item);
}

// Variance 0 and sums that are exact: whatever eps is, the bias is left, rounded once.
static void test_zero_rows(enum dtype dtype) {
    struct norm_case item = norm_create(dtype, 5, 768);
    memset(item.x.values, 0, item.x.n * sizeof(float));
    memset(item.residual.values, 0, item.x.n * sizeof(float));
    rig_send(&item.x);
    rig_send(&item.residual);
    item.args.x_bias = NULL;
    for (size_t i = 0; i < item.x.n; i++) {
        item.expected.want[i] = item.bias.values[i % 768];
        item.expected.allowed[i] = 0;
    }
    struct rig_array out = check_apart(&item);
    rig_free(&out);
    norm_free(&item);
}

// Results beyond the largest number of F16 become infinity, in even and odd columns.
static void test_overflow(enum dtype dtype) {
    struct norm_case item = norm_create(dtype, 3, 96);
    for (size_t i = 0; i < 96; i++) item.bias.values[i] = rig_one_in(2) ? 1e5F : -1e5F;
    rig_send(&item.bias);
    expect(&item);
    struct rig_array out = check_apart(&item);
    for (size_t i = 0; i < out.n && dtype == DTYPE_F16; i++)
        CHECK(out.values[i] == copysignf(INFINITY, item.bias.values[i % 96]));
    rig_free(&out);
    norm_free(&item);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_layer_norm, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_layer_norm, good, field)

static void test_refusals(void) {
    struct norm_case item = norm_create(DTYPE_F16, 2, 96);
    struct rig_array out = rig_output(DTYPE_F16, item.x.n);
    struct kernel_layer_norm good = item.args;
    rig_mark(&out);
    good.out = out.device;
    good.x_bias = item.x_bias.device;
    for (size_t i = 0; i < ARRAY_LEN(rig_no_hidden_sizes); i++)
        REFUSES(hidden_size, rig_no_hidden_sizes[i]);
    REFUSES(dtype, (enum dtype)3);
    REFUSES(n_rows, -1);
    REFUSES(n_rows, INT32_MIN);
    REFUSES_POINTER(x);
    REFUSES_POINTER(residual);
    REFUSES_POINTER(weight);
    REFUSES_POINTER(bias);
    REFUSES_POINTER(out);
    REFUSES(x_bias, (const float *)((const char *)good.x_bias + 8));
    good.n_rows = 0;
    CHECK_INT(kernel_layer_norm(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&out));
    rig_free(&out);
    norm_free(&item);
}

// By hand: with F16, 10 rows of 64: three matrices of 1280 bytes, three vectors of 256. An element
// takes two additions, one for the mean, three for the squares, three at the end; a row two
// divisions and a root.
static void test_cost(void) {
    const float vector[1] = {0};
    struct kernel_layer_norm args = {.dtype = DTYPE_F16, .n_rows = 10, .hidden_size = 64};
    args.x_bias = vector;
    struct kernel_cost cost = kernel_layer_norm_cost(&args);
    CHECK_NEAR(cost.bytes, 3 * 1280 + 3 * 256, 0);
    CHECK_NEAR(cost.operations, 640 * 9 + 10 * 3, 0);
    args.x_bias = NULL;
    const struct kernel_cost less = kernel_layer_norm_cost(&args);
    CHECK_NEAR(less.bytes, 3 * 1280 + 2 * 256, 0);
    CHECK_NEAR(less.operations, cost.operations - 640, 0);
    args.dtype = DTYPE_F32;
    CHECK_NEAR(kernel_layer_norm_cost(&args).bytes, 3 * 2560 + 2 * 256, 0);
    args.n_rows = 3000000;
    args.hidden_size = 1024;  // beyond 32 bits
    CHECK_NEAR(kernel_layer_norm_cost(&args).bytes, 3 * 3e6 * 4096 + 2 * 4096, 0);
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
            test_size((enum dtype)d, 60 + rig_below(50), 768);
            test_zero_rows((enum dtype)d);
        }
    }
    for (int d = 0; d < 3; d++) test_overflow((enum dtype)d);
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

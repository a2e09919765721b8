// SPDX-License-Identifier: Apache-2.0
//
// kernel_layer_norm_e4m3: every hidden size, with and without scales before and values behind. What
// is in bf16 is held to the float64 reference; of that, values and scales follow to the bit.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"
#include "weights/quantize.h"

enum { HIDDEN_MIN = 64, HIDDEN_MAX = 1024, HIDDEN_STEP = 32 };

struct norm_case {
    struct kernel_layer_norm_e4m3 args;
    struct rig_array x, residual, row_scales, column_scales, x_bias, weight, bias;
    struct rig_expected expected;
};

struct outputs {
    struct rig_array out, values, scales;
};

// The reference takes x with its scales, which are multiplied in fp32 and rounded each time.
static void expect(struct norm_case *item) {
    const size_t n = (size_t)item->args.hidden_size;
    float *x = rig_alloc(n, sizeof *x);
    for (size_t r = 0; r < (size_t)item->args.n_rows; r++) {
        for (size_t i = 0; i < n; i++) {
            const float scale = item->row_scales.values[r] * item->column_scales.values[i];
            x[i] = item->x.values[r * n + i] * (item->args.row_scales != NULL ? scale : 1);
        }
        const struct ref_norm row = {.n = item->args.hidden_size,
                                     .x = x,
                                     .residual = item->residual.values + r * n,
                                     .x_bias = item->x_bias.values,
                                     .weight = item->weight.values,
                                     .bias = item->bias.values,
                                     .eps = item->args.eps};
        ref_layer_norm(&row, item->expected.want + r * n, item->expected.allowed + r * n);
    }
    free(x);
}

static struct rig_array vector(size_t n, double low, double high) {
    struct rig_array array = rig_input(DTYPE_F32, n);
    rig_fill(array.values, n, low, high);
    rig_send(&array);
    return array;
}

static struct norm_case norm_create(int32_t n_rows, int32_t hidden_size) {
    const size_t width = (size_t)hidden_size, n = (size_t)n_rows * width;
    const bool is_scaled = rig_one_in(2);
    struct norm_case item = {.x = rig_input(DTYPE_BF16, n),
                             .residual = rig_input(DTYPE_BF16, n),
                             .row_scales = vector((size_t)n_rows, 0.001, 2),
                             .column_scales = vector(width, 0.001, 2),
                             .x_bias = vector(width, -1, 1),
                             .weight = vector(width, -1, 3),
                             .bias = vector(width, -2, 2),
                             .expected = rig_expected(n)};
    for (size_t r = 0; r < (size_t)n_rows; r++) {
        rig_fill_row((enum rig_row_kind)rig_below(ROW_KINDS), DTYPE_BF16, item.x.values + r * width,
                     item.residual.values + r * width, hidden_size);
    }
    rig_send(&item.x);
    rig_send(&item.residual);
    item.args = (struct kernel_layer_norm_e4m3){
        .n_rows = n_rows,
        .hidden_size = hidden_size,
        .eps = rig_one_in(2) ? 1e-12F : 0.1F,
        .x = item.x.device,
        .row_scales = is_scaled ? item.row_scales.device : NULL,
        .column_scales = is_scaled ? item.column_scales.device : NULL,
        .x_bias = item.x_bias.device,
        .residual = item.residual.device,
        .weight = item.weight.device,
        .bias = item.bias.device};
    expect(&item);
    return item;
}

static void norm_free(struct norm_case *item) {
    struct rig_array *arrays[] = {
        &item->x,      &item->residual, &item->row_scales, &item->column_scales,
        &item->x_bias, &item->weight,   &item->bias};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) rig_free(arrays[i]);
    rig_expected_free(&item->expected);
}

static void outputs_free(struct outputs *outputs) {
    rig_free(&outputs->out);
    rig_free(&outputs->values);
    rig_free(&outputs->scales);
}

// Runs it, with values and scales or without: then theirs stay as they are.
static struct outputs run(const struct kernel_layer_norm_e4m3 *given, bool wants_values) {
    struct kernel_layer_norm_e4m3 args = *given;
    const size_t n_rows = (size_t)args.n_rows, n = n_rows * (size_t)args.hidden_size;
    struct outputs outputs = {rig_output(DTYPE_BF16, n), rig_output(DTYPE_E4M3, n),
                              rig_output(DTYPE_F32, n_rows)};
    rig_mark(&outputs.out);
    rig_mark(&outputs.values);
    rig_mark(&outputs.scales);
    args.out = outputs.out.device;
    args.values = wants_values ? outputs.values.device : NULL;
    args.scales = wants_values ? outputs.scales.device : NULL;
    CHECK_INT(kernel_layer_norm_e4m3(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&outputs.out));
    if (wants_values) {
        CHECK(rig_fetch(&outputs.values) && rig_fetch(&outputs.scales));
    } else {
        CHECK(rig_is_unchanged(&outputs.values) && rig_is_unchanged(&outputs.scales));
    }
    return outputs;
}

// The rule of weights/quantize.h, on the rows as they stand in `out`.
static void check_values(const struct outputs *outputs, size_t n_rows, size_t width) {
    uint8_t *want = rig_alloc(width, 1);
    for (size_t r = 0; r < n_rows; r++) {
        const float scale = quantize_e4m3(outputs->out.values + r * width, width, want);
        CHECK(memcmp(&scale, outputs->scales.values + r, sizeof scale) == 0);
        CHECK(memcmp(want, (const uint8_t *)outputs->values.bits + r * width, width) == 0);
    }
    free(want);
}

static void check_case(const struct norm_case *item) {
    const size_t n_rows = (size_t)item->args.n_rows, width = (size_t)item->args.hidden_size;
    struct outputs with = run(&item->args, true), without = run(&item->args, false);
    CHECK(rig_compare("layer_norm_e4m3", &with.out, 0, n_rows * width, &item->expected));
    CHECK(rig_same_bits(&with.out, 0, &without.out, 0, n_rows * width));
    check_values(&with, n_rows, width);
    CHECK(rig_is_unchanged(&item->x) && rig_is_unchanged(&item->residual));
    CHECK(rig_is_unchanged(&item->row_scales) && rig_is_unchanged(&item->column_scales));
    outputs_free(&without);
    outputs_free(&with);
}

static void check_in_place(const struct norm_case *item) {
    struct outputs apart = run(&item->args, true);
    for (int i = 0; i < 2; i++) {
        struct kernel_layer_norm_e4m3 args = item->args;
        const struct rig_array *input = i == 0 ? &item->x : &item->residual;
        struct rig_array both = rig_output(DTYPE_BF16, input->n);
        memcpy(both.values, input->values, input->n * sizeof *input->values);
        rig_send(&both);
        *(i == 0 ? &args.x : &args.residual) = both.device;
        args.out = both.device;
        CHECK_INT(kernel_layer_norm_e4m3(&args, NULL), CUDA_SUCCESS);
        CHECK(rig_fetch(&both));
        CHECK(rig_same_bits(&apart.out, 0, &both, 0, both.n));
        rig_free(&both);
    }
    outputs_free(&apart);
}

// One row alone, behind one with a NaN in it: the same bits, and nothing of the other's rubbish.
static void check_elsewhere(const struct norm_case *item) {
    const size_t width = (size_t)item->args.hidden_size, row = (size_t)rig_below(item->args.n_rows);
    struct norm_case other = norm_create(2, item->args.hidden_size);
    struct outputs all = run(&item->args, true);
    memcpy(other.x.values + width, item->x.values + row * width, width * sizeof(float));
    memcpy(other.residual.values + width, item->residual.values + row * width,
           width * sizeof(float));
    other.x.values[rig_below((int)width)] = NAN;
    other.row_scales.values[1] = item->row_scales.values[row];
    rig_send(&other.x);
    rig_send(&other.residual);
    rig_send(&other.row_scales);
    struct kernel_layer_norm_e4m3 args = item->args;
    args.n_rows = 2;
    args.x = other.x.device;
    args.residual = other.residual.device;
    if (args.row_scales != NULL) args.row_scales = other.row_scales.device;
    struct outputs two = run(&args, true);
    CHECK(rig_is_nan(&two.out, 0, width) && rig_is_nan(&two.values, 0, width));
    CHECK(rig_same_bits(&all.out, row * width, &two.out, width, width));
    CHECK(rig_same_bits(&all.values, row * width, &two.values, width, width));
    CHECK(rig_same_bits(&all.scales, row, &two.scales, 1, 1));
    outputs_free(&two);
    outputs_free(&all);
    norm_free(&other);
}

static void test_size(int32_t n_rows, int32_t hidden_size) {
    struct norm_case item = norm_create(n_rows, hidden_size);
    check_case(&item);
    check_in_place(&item);
    check_elsewhere(&item);
    norm_free(&item);
}

// A row of zeros has the least scale; a row of infinities is nothing finite.
static void test_ends(void) {
    struct norm_case item = norm_create(2, 96);
    memset(item.weight.values, 0, 96 * sizeof(float));
    memset(item.bias.values, 0, 96 * sizeof(float));
    rig_send(&item.weight);
    rig_send(&item.bias);
    struct outputs outputs = run(&item.args, true);
    for (size_t i = 0; i < 2 * 96; i++) CHECK(outputs.values.values[i] == 0);
    CHECK(outputs.scales.values[0] == 0x1p-100F / 448);
    outputs_free(&outputs);
    for (size_t i = 0; i < 96; i++) item.bias.values[i] = INFINITY;
    rig_send(&item.bias);
    outputs = run(&item.args, true);
    CHECK(isinf(outputs.scales.values[0]) && rig_is_nan(&outputs.values, 0, 96));
    outputs_free(&outputs);
    norm_free(&item);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_layer_norm_e4m3, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_layer_norm_e4m3, good, field)

static void test_refusals(void) {
    struct norm_case item = norm_create(2, 96);
    struct outputs outputs = run(&item.args, true);
    struct kernel_layer_norm_e4m3 good = item.args;
    good.row_scales = item.row_scales.device;
    good.column_scales = item.column_scales.device;
    good.out = outputs.out.device;
    good.values = outputs.values.device;
    good.scales = outputs.scales.device;
    for (size_t i = 0; i < ARRAY_LEN(rig_no_hidden_sizes); i++)
        REFUSES(hidden_size, rig_no_hidden_sizes[i]);
    REFUSES(n_rows, -1);
    REFUSES(n_rows, INT32_MIN);
    REFUSES_POINTER(x);
    REFUSES_POINTER(x_bias);
    REFUSES_POINTER(residual);
    REFUSES_POINTER(weight);
    REFUSES_POINTER(bias);
    REFUSES_POINTER(out);
    REFUSES_POINTER(row_scales);  // NULL alone, too
    REFUSES_POINTER(column_scales);
    REFUSES_POINTER(values);
    REFUSES_POINTER(scales);
    good.n_rows = 0;
    CHECK_INT(kernel_layer_norm_e4m3(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&outputs.out) && rig_is_unchanged(&outputs.values));
    outputs_free(&outputs);
    norm_free(&item);
}

// By hand: 10 rows of 64: three matrices of 1280 bytes, three vectors of 256. An element takes two
// additions, one for the mean, three for the squares, three at the end; a row two divisions and a
// root. Scales: a vector and 40 bytes, two products an element; values: 640 and 40 bytes, a
// comparison and a product an element, two divisions a row.
static void test_cost(void) {
    float some[1] = {0};
    struct kernel_layer_norm_e4m3 args = {.n_rows = 10, .hidden_size = 64};
    struct kernel_cost cost = kernel_layer_norm_e4m3_cost(&args);
    CHECK_NEAR(cost.bytes, 3 * 1280 + 3 * 256, 0);
    CHECK_NEAR(cost.operations, 640 * 9 + 10 * 3, 0);
    args.row_scales = some;
    CHECK_NEAR(kernel_layer_norm_e4m3_cost(&args).bytes, cost.bytes + 256 + 40, 0);
    CHECK_NEAR(kernel_layer_norm_e4m3_cost(&args).operations, cost.operations + 2 * 640, 0);
    args.row_scales = NULL;
    args.values = some;
    CHECK_NEAR(kernel_layer_norm_e4m3_cost(&args).bytes, cost.bytes + 640 + 40, 0);
    CHECK_NEAR(kernel_layer_norm_e4m3_cost(&args).operations, cost.operations + 2 * 640 + 20, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    if (!rig_has_e4m3()) return check_skip("no e4m3 before compute capability 8.9");
    static const int32_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 13};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int32_t h = HIDDEN_MIN; h <= HIDDEN_MAX; h += HIDDEN_STEP) {
            test_size(rows[rig_below(9)], h);
        }
        test_size(40 + rig_below(30), 768);
    }
    test_ends();
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// kernel_gelu_e4m3: both forms, widths that fill no block and that fill the largest, rows alone and
// among others. Values are checked as what they are: the rounding of a number that the formula may
// give, times a factor that the row's largest such number may give.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"
#include "weights/dtype.h"

struct gelu_case {
    struct kernel_gelu_e4m3 args;
    struct rig_array x, row_scales, column_scales, bias, values, scales;
};

static struct rig_array vector(size_t n, double low, double high) {
    struct rig_array array = rig_input(DTYPE_F32, n);
    rig_fill(array.values, n, low, high);
    rig_send(&array);
    return array;
}

static float random_value(int kind) {
    switch (kind) {
        case 0:
            return rig_one_in(2) ? 0.0F : -0.0F;
        case 1:  // of any size
            return (float)ldexp(rig_uniform(-2, 2), rig_below(200) - 150);
        case 2:  // one far above the others
            return rig_one_in(50) ? (float)rig_uniform(1e5, 1e6) : (float)rig_uniform(-1, 1);
        default:  // of a product of values up to 448
            return (float)(rig_uniform(-1, 1) * 448 * 448 * 8);
    }
}

static struct gelu_case gelu_create(enum gelu_form form, int32_t n_rows, int32_t n_columns) {
    const size_t width = (size_t)n_columns, n = (size_t)n_rows * width;
    struct gelu_case item = {.x = rig_input(DTYPE_BF16, n),
                             .row_scales = vector((size_t)n_rows, 1e-4, 2e-3),
                             .column_scales = vector(width, 1e-4, 5e-3),
                             .bias = vector(width, -2, 2),
                             .values = rig_output(DTYPE_E4M3, n),
                             .scales = rig_output(DTYPE_F32, (size_t)n_rows)};
    for (size_t r = 0; r < (size_t)n_rows; r++) {
        const int kind = rig_below(6);
        for (size_t i = 0; i < width; i++) item.x.values[r * width + i] = random_value(kind);
    }
    rig_send(&item.x);
    item.args = (struct kernel_gelu_e4m3){.form = form,
                                          .n_rows = n_rows,
                                          .n_columns = n_columns,
                                          .x = item.x.device,
                                          .row_scales = item.row_scales.device,
                                          .column_scales = item.column_scales.device,
                                          .bias = item.bias.device,
                                          .values = item.values.device,
                                          .scales = item.scales.device};
    return item;
}

static void gelu_free(struct gelu_case *item) {
    struct rig_array *arrays[] = {&item->x,    &item->row_scales, &item->column_scales,
                                  &item->bias, &item->values,     &item->scales};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) rig_free(arrays[i]);
}

static void run(struct gelu_case *item) {
    rig_mark(&item->values);
    rig_mark(&item->scales);
    CHECK_INT(kernel_gelu_e4m3(&item->args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&item->values) && rig_fetch(&item->scales));
    CHECK(rig_is_unchanged(&item->x) && rig_is_unchanged(&item->row_scales));
    CHECK(rig_is_unchanged(&item->column_scales) && rig_is_unchanged(&item->bias));
}

static float e4m3_of(double x) {
    const float single = (float)x;
    uint8_t byte;
    float value;
    float_to_e4m3(&single, 1, &byte);
    e4m3_to_float(&byte, 1, &value);
    return value;
}

// A row without NaN or infinity. Scale and factor are three roundings off at most.
static void check_row(const struct gelu_case *item, size_t row) {
    const size_t width = (size_t)item->args.n_columns;
    const double scale = item->scales.values[row], rounding = 4 * 0x1p-24;
    double *want = rig_alloc(width, sizeof *want), *allowed = rig_alloc(width, sizeof *allowed);
    double low = 0x1p-100, high = 0x1p-100;  // of the row's largest
    float most = 0;
    for (size_t i = 0; i < width; i++) {
        const float factor = item->row_scales.values[row] * item->column_scales.values[i];
        const float x = item->x.values[row * width + i] * factor;
        ref_gelu(item->args.form, x, item->bias.values[i], want + i, allowed + i);
        low = fmax(low, fabs(want[i]) - allowed[i]);
        high = fmax(high, fabs(want[i]) + allowed[i]);
    }
    CHECK(scale * 448 >= low * (1 - rounding) && scale * 448 <= high * (1 + rounding));
    for (size_t i = 0; i < width; i++) {
        const float value = item->values.values[row * width + i];
        const double from = (want[i] - allowed[i]) / scale, to = (want[i] + allowed[i]) / scale;
        const bool is_good = value >= e4m3_of(from - fabs(from) * rounding) &&
                             value <= e4m3_of(to + fabs(to) * rounding);
        check_count++;
        if (!is_good) {
            CHECK_FAIL("gelu_e4m3: %g at %zu, should be %g within %g", (double)value, i,
                       want[i] / scale, allowed[i] / scale);
        }
        most = fmaxf(most, fabsf(value));
    }
    CHECK(most == (low > 0x1p-100 ? 448 : most));
    free(allowed);
    free(want);
}

// One row alone: the same bits. Its scale goes where its row scale came from.
static void check_alone(const struct gelu_case *item) {
    const size_t width = (size_t)item->args.n_columns, row = (size_t)rig_below(item->args.n_rows);
    struct rig_array x = rig_input(DTYPE_BF16, width), values = rig_output(DTYPE_E4M3, width);
    struct rig_array scale = rig_output(DTYPE_F32, 1);
    memcpy(x.values, item->x.values + row * width, width * sizeof(float));
    scale.values[0] = item->row_scales.values[row];
    rig_send(&x);
    rig_send(&scale);
    struct kernel_gelu_e4m3 args = item->args;
    args.n_rows = 1;
    args.x = x.device;
    args.values = values.device;
    args.row_scales = args.scales = scale.device;
    CHECK_INT(kernel_gelu_e4m3(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&values) && rig_fetch(&scale));
    CHECK(rig_same_bits(&item->values, row * width, &values, 0, width));
    CHECK(rig_same_bits(&item->scales, row, &scale, 0, 1));
    rig_free(&scale);
    rig_free(&values);
    rig_free(&x);
}

static void test_random(enum gelu_form form, int32_t n_rows, int32_t n_columns) {
    struct gelu_case item = gelu_create(form, n_rows, n_columns);
    run(&item);
    for (size_t r = 0; r < (size_t)n_rows; r++) check_row(&item, r);
    check_alone(&item);
    gelu_free(&item);
}

// A NaN stays one and touches nothing else; a row with an infinity is nothing finite.
static void test_broken(enum gelu_form form) {
    struct gelu_case item = gelu_create(form, 3, 1032), whole = item;
    whole.values = rig_output(DTYPE_E4M3, item.x.n);
    whole.scales = rig_output(DTYPE_F32, 3);
    whole.args.values = whole.values.device;
    whole.args.scales = whole.scales.device;
    const size_t at = (size_t)rig_below(1032);
    item.x.values[at] = item.x.values[1032 + at] = 0;
    item.bias.values[at] = 0;  // so that it is not the row's largest
    rig_send(&item.bias);
    rig_send(&item.x);
    whole.x = item.x;
    run(&whole);
    item.x.values[at] = NAN;
    item.x.values[1032 + at] = INFINITY;
    rig_send(&item.x);
    run(&item);
    for (size_t i = 0; i < 1032; i++) {
        if (i == at) CHECK(rig_is_nan(&item.values, i, 1));
        if (i != at) CHECK(item.values.values[i] == whole.values.values[i]);
        CHECK(i == at ? rig_is_nan(&item.values, 1032 + i, 1) : item.values.values[1032 + i] == 0);
    }
    CHECK(rig_same_bits(&item.scales, 0, &whole.scales, 0, 1));
    CHECK(isinf(item.scales.values[1]));
    check_row(&item, 2);
    rig_free(&whole.values);
    rig_free(&whole.scales);
    gelu_free(&item);
}

#define REFUSES(field, value)  RIG_REFUSES(kernel_gelu_e4m3, good, field, value)
#define REFUSES_POINTER(field) RIG_REFUSES_POINTER(kernel_gelu_e4m3, good, field)

static void test_refusals(void) {
    struct gelu_case item = gelu_create(GELU_ERF, 2, 64);
    struct kernel_gelu_e4m3 good = item.args;
    rig_mark(&item.values);
    rig_mark(&item.scales);
    static const int32_t sizes[] = {-8, 0, 1, 4, 7, 9, 12, 63, 4104, 8192};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) REFUSES(n_columns, sizes[i]);
#if !defined(__SANITIZE_ADDRESS__)  // with it goes UBSan, which ends a program over such a value
    REFUSES(form, (enum gelu_form)2);
#endif
    REFUSES(n_rows, -1);
    REFUSES(n_rows, INT32_MIN);
    REFUSES_POINTER(x);
    REFUSES_POINTER(row_scales);
    REFUSES_POINTER(column_scales);
    REFUSES_POINTER(bias);
    REFUSES_POINTER(values);
    REFUSES_POINTER(scales);
    good.n_rows = 0;
    CHECK_INT(kernel_gelu_e4m3(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&item.values) && rig_is_unchanged(&item.scales));
    gelu_free(&item);
}

// By hand: 10 rows of 64: 1280 bytes in, 640 out, two scales a row, two vectors of 256. The forms
// have five and nine operations an element, scales two, bias one, and e4m3 a comparison and a
// product; two divisions a row.
static void test_cost(void) {
    struct kernel_gelu_e4m3 args = {.n_rows = 10, .n_columns = 64};
    CHECK_NEAR(kernel_gelu_e4m3_cost(&args).bytes, 1280 + 640 + 80 + 512, 0);
    CHECK_NEAR(kernel_gelu_e4m3_cost(&args).operations, 640 * 10 + 20, 0);
    args.form = GELU_TANH;
    CHECK_NEAR(kernel_gelu_e4m3_cost(&args).operations, 640 * 14 + 20, 0);
    args.n_rows = 2000000;
    args.n_columns = 3072;  // beyond 32 bits
    CHECK_NEAR(kernel_gelu_e4m3_cost(&args).bytes, 2e6 * (9216 + 8) + 24576, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    if (!rig_has_e4m3()) return check_skip("no e4m3 before compute capability 8.9");
    static const int32_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9};
    static const int32_t widths[] = {8, 64, 136, 1000, 1024, 1032, 2048, 2056, 3072, 4096};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int f = 0; f < 2; f++) {
            const enum gelu_form form = f == 0 ? GELU_ERF : GELU_TANH;
            for (size_t w = 0; w < ARRAY_LEN(widths); w++) {
                test_random(form, rows[rig_below(8)], widths[w]);
            }
            test_random(form, 30 + rig_below(20), 8 * (1 + rig_below(40)));
            test_broken(form);
        }
    }
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// kernel_gelu: both forms, every number of the 16-bit formats, widths and row counts that fill no
// block, rows alone and among others.
#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"

struct gelu_case {
    struct kernel_gelu args;
    struct rig_array x, bias;
    struct rig_expected expected;
};

static float random_value(enum dtype dtype) {
    switch (rig_below(8)) {
        case 0:
            return (float)rig_uniform(-1e-3, 1e-3);
        case 1:
            return rig_one_in(2) ? 0.0F : -0.0F;
        case 2:
            return (float)ldexp(rig_uniform(-2, 2), rig_below(31) - 16);
        case 3:  // near the format's largest
            return (float)(rig_uniform(-1, 1) * (dtype == DTYPE_F16 ? 65504 : 3e38));
        case 4:  // subnormal
            return (float)(rig_uniform(-1, 1) * (dtype == DTYPE_F16 ? 0x1p-14 : 0x1p-126));
        default:
            return (float)rig_uniform(-6, 6);
    }
}

static void expect(struct gelu_case *item) {
    const size_t width = (size_t)item->args.n_columns;
    for (size_t i = 0; i < item->x.n; i++) {
        const float bias = item->args.bias == NULL ? 0 : item->bias.values[i % width];
        ref_gelu(item->args.form, item->x.values[i], bias, item->expected.want + i,
                 item->expected.allowed + i);
    }
}

static struct gelu_case gelu_create(enum dtype dtype, enum gelu_form form, int32_t n_rows,
                                    int32_t n_columns) {
    const size_t width = (size_t)n_columns, n = (size_t)n_rows * width;
    struct gelu_case item = {.x = rig_output(dtype, n),
                             .bias = rig_input(DTYPE_F32, width),
                             .expected = rig_expected(n)};
    for (size_t i = 0; i < n; i++) item.x.values[i] = random_value(dtype);
    rig_fill(item.bias.values, width, -2, 2);
    item.args = (struct kernel_gelu){.dtype = dtype,
                                     .form = form,
                                     .n_rows = n_rows,
                                     .n_columns = n_columns,
                                     .bias = rig_one_in(3) ? NULL : item.bias.device,
                                     .x = item.x.device};
    return item;
}

static void gelu_free(struct gelu_case *item) {
    rig_expected_free(&item->expected);
    rig_free(&item->bias);
    rig_free(&item->x);
}

static void check_case(struct gelu_case *item) {
    rig_send(&item->bias);
    expect(item);
    CHECK_INT(kernel_gelu(&item->args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&item->x));
    CHECK(rig_compare("gelu", &item->x, 0, item->x.n, &item->expected));
    CHECK(rig_is_unchanged(&item->bias));
}

// One row alone: the same bits.
static void check_alone(const struct gelu_case *item, const float *inputs) {
    const size_t width = (size_t)item->args.n_columns, row = (size_t)rig_below(item->args.n_rows);
    struct rig_array x = rig_output(item->args.dtype, width);
    memcpy(x.values, inputs + row * width, width * sizeof *inputs);
    rig_send(&x);
    struct kernel_gelu args = item->args;
    args.n_rows = 1;
    args.x = x.device;
    CHECK_INT(kernel_gelu(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&x));
    CHECK(rig_same_bits(&item->x, row * width, &x, 0, width));
    rig_free(&x);
}

static void test_random(enum dtype dtype, enum gelu_form form, int32_t n_rows, int32_t n_columns) {
    struct gelu_case item = gelu_create(dtype, form, n_rows, n_columns);
    float *inputs = rig_alloc(item.x.n, sizeof *inputs);
    if (rig_one_in(2)) item.x.values[rig_below((int)item.x.n)] = NAN;
    rig_send(&item.x);
    memcpy(inputs, item.x.values, item.x.n * sizeof *inputs);
    check_case(&item);
    check_alone(&item, inputs);
    free(inputs);
    gelu_free(&item);
}

// Each of the 65536 bit patterns once, without a bias. The formula has no value at -infinity, so 0
// stands there.
static void test_all_patterns(enum dtype dtype, enum gelu_form form) {
    struct gelu_case item = gelu_create(dtype, form, 64, 1024);
    uint16_t *bits = item.x.bits;
    for (size_t i = 0; i < item.x.n; i++) bits[i] = (uint16_t)i;
    rig_send_bits(&item.x);
    for (size_t i = 0; i < item.x.n; i++) {
        if (isinf(item.x.values[i])) bits[i] = 0;
    }
    rig_send_bits(&item.x);
    item.args.bias = NULL;
    check_case(&item);
    gelu_free(&item);
}

static void test_infinity(enum dtype dtype, enum gelu_form form) {
    struct gelu_case item = gelu_create(dtype, form, 1, 8);
    item.x.values[5] = INFINITY;
    rig_send(&item.x);
    rig_send(&item.bias);
    CHECK_INT(kernel_gelu(&item.args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&item.x));
    CHECK(isinf(item.x.values[5]) && item.x.values[5] > 0);
    gelu_free(&item);
}

#define REFUSES(field, value) RIG_REFUSES(kernel_gelu, good, field, value)

static void test_refusals(void) {
    struct gelu_case item = gelu_create(DTYPE_F16, GELU_ERF, 2, 64);
    struct kernel_gelu good = item.args;
    rig_mark(&item.x);
    rig_send(&item.bias);
    good.bias = item.bias.device;
    static const int32_t sizes[] = {-8, 0, 1, 4, 7, 9, 12, 63};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) REFUSES(n_columns, sizes[i]);
    REFUSES(dtype, (enum dtype)3);
#if !defined(__SANITIZE_ADDRESS__)  // with it goes UBSan, which ends a program over such a value
    REFUSES(form, (enum gelu_form)2);
#endif
    REFUSES(n_rows, -1);
    REFUSES(n_rows, INT32_MIN);
    REFUSES(x, NULL);
    REFUSES(x, (char *)good.x + 8);
    REFUSES(x, (char *)good.x + 2);
    REFUSES(bias, good.bias + 2);
    REFUSES(bias, good.bias + 1);
    // More threads than an int numbers.
    REFUSES(n_rows, INT32_MAX);
    good.n_columns = 3072;
    REFUSES(n_rows, INT32_MAX);
    REFUSES(n_rows, 6000000);
    good.n_columns = 64;
    good.n_rows = 0;
    CHECK_INT(kernel_gelu(&good, NULL), CUDA_SUCCESS);
    CHECK(rig_is_unchanged(&item.x));
    gelu_free(&item);
}

// By hand: with F16, 10 rows of 64: 1280 bytes in and out, a bias of 256. x/2 (1 + erf(x / sqrt 2))
// has five operations, the other form nine, the bias one more.
static void test_cost(void) {
    const float vector[1] = {0};
    struct kernel_gelu args = {.dtype = DTYPE_F16, .n_rows = 10, .n_columns = 64, .bias = vector};
    const struct kernel_cost cost = kernel_gelu_cost(&args);
    CHECK_NEAR(cost.bytes, 2 * 1280 + 256, 0);
    CHECK_NEAR(cost.operations, 640 * (5 + 1), 0);
    args.bias = NULL;
    CHECK_NEAR(kernel_gelu_cost(&args).bytes, 2 * 1280, 0);
    CHECK_NEAR(kernel_gelu_cost(&args).operations, cost.operations - 640, 0);
    args.form = GELU_TANH;
    args.dtype = DTYPE_F32;
    CHECK_NEAR(kernel_gelu_cost(&args).bytes, 2 * 2560, 0);
    CHECK_NEAR(kernel_gelu_cost(&args).operations, 640 * 9, 0);
    args.n_rows = 2000000;
    args.n_columns = 3072;  // beyond 32 bits
    CHECK_NEAR(kernel_gelu_cost(&args).bytes, 2 * 2e6 * 12288, 0);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    static const int32_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 17};
    static const int32_t widths[] = {8, 16, 24, 64, 136, 256, 1000, 1024, 2048, 2056, 3072};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (int d = 0; d < 3; d++) {
            for (int f = 0; f < 2; f++) {
                const enum gelu_form form = f == 0 ? GELU_ERF : GELU_TANH;
                for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
                    test_random((enum dtype)d, form, rows[rig_below(9)], widths[w]);
                }
                test_random((enum dtype)d, form, 200 + rig_below(100), 8 * (1 + rig_below(40)));
                if (d != DTYPE_F32) test_all_patterns((enum dtype)d, form);
                test_infinity((enum dtype)d, form);
            }
        }
    }
    test_refusals();
    test_cost();
    CHECK_INT(device_faults(), 0);
    rig_report();
    return check_result();
}

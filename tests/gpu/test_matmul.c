// SPDX-License-Identifier: Apache-2.0
//
// Products by cublasLt as cuda/matmul.h promises them: each element beside a sum in double, on
// random shapes and bert-base's; the same bits of a row whatever the number of rows, the row's
// place and its neighbours; nothing written beyond the result.
#include "cuda/matmul.h"
#include "tests/check.h"
#include "tests/gpu/device_cuda.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "tests/simt/rig.h"
#include "tests/simt/runtime_sync.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

enum { H = 768, F = 3072, GUARD_NBYTES = 4096 };
#define UNIT 0x1p-24  // half a step of fp32

// ---- matrices

// On the host as the device has it. `device` lies between guards where it is a result.
struct matrix {
    enum dtype dtype;
    size_t n;
    float *values;
    void *bits;
    unsigned char *memory, *device;
};

static struct matrix matrix_create(enum dtype dtype, size_t n) {
    struct matrix matrix = {.dtype = dtype, .n = n};
    matrix.values = must_zeroed(n, sizeof(float));
    matrix.bits = must_zeroed(n, dtype_size(dtype));
    matrix.memory = device_alloc(n * dtype_size(dtype) + 2 * (size_t)GUARD_NBYTES);
    matrix.device = matrix.memory + GUARD_NBYTES;
    return matrix;
}

static void matrix_free(struct matrix *matrix) {
    device_free(matrix->memory);
    free(matrix->bits);
    free(matrix->values);
}

static void matrix_read_bits(struct matrix *matrix) {
    tensor_read((struct tensor){matrix->bits, matrix->n, matrix->dtype}, 0, matrix->n,
                matrix->values);
}

// Rounds `values` to the format, here and on the device.
static void matrix_send(struct matrix *matrix) {
    const size_t n = matrix->n;
    if (matrix->dtype == DTYPE_F32) memcpy(matrix->bits, matrix->values, n * sizeof(float));
    if (matrix->dtype == DTYPE_F16) float_to_f16(matrix->values, n, matrix->bits);
    if (matrix->dtype == DTYPE_BF16) float_to_bf16(matrix->values, n, matrix->bits);
    if (matrix->dtype == DTYPE_E4M3) float_to_e4m3(matrix->values, n, matrix->bits);
    matrix_read_bits(matrix);
    device_write(matrix->device, matrix->bits, matrix->n * dtype_size(matrix->dtype));
}

static struct matrix matrix_random(enum dtype dtype, size_t n, double low, double high) {
    struct matrix matrix = matrix_create(dtype, n);
    rig_fill(matrix.values, n, low, high);
    matrix_send(&matrix);
    return matrix;
}

static struct matrix matrix_result(enum dtype dtype, size_t n) {
    struct matrix matrix = matrix_create(dtype, n);
    const size_t nbytes = n * dtype_size(dtype) + 2 * (size_t)GUARD_NBYTES;
    void *marks = must_zeroed(nbytes, 1);
    memset(marks, RIG_MARK, nbytes);
    device_write(matrix.memory, marks, nbytes);
    free(marks);
    return matrix;
}

// False when a guard was written.
static bool matrix_fetch(struct matrix *matrix) {
    const size_t nbytes = matrix->n * dtype_size(matrix->dtype);
    unsigned char guards[2 * GUARD_NBYTES];
    device_read(matrix->bits, matrix->device, nbytes);
    device_read(guards, matrix->memory, GUARD_NBYTES);
    device_read(guards + GUARD_NBYTES, matrix->device + nbytes, GUARD_NBYTES);
    matrix_read_bits(matrix);
    for (size_t i = 0; i < sizeof guards; i++) {
        if (guards[i] != RIG_MARK) return false;
    }
    return true;
}

// ---- one product

static void run(struct matmul_context *context, const struct matmul_shape *shape, int32_t n_rows,
                const struct matrix *x, const struct matrix *weight, const struct matrix *bias,
                struct matrix *y) {
    struct matmul *matmul;
    struct error error;
    int code;
    must(matmul_create(context, shape, n_rows, &matmul, &code, &error), &error);
    const bool has_bias = shape->epilogue != MATMUL_PLAIN;
    CHECK_INT(matmul_run(matmul, x->device, weight->device, has_bias ? bias->device : NULL,
                         y->device, NULL),
              0);
    CHECK_INT(device_faults(), 0);
    matmul_destroy(matmul);
}

// ---- values

// What a sum of n terms may miss: products of 16-bit numbers are exact in fp32, those of fp32
// numbers round once. Terms of either sign in any order leave some UNIT of the sum of their sizes,
// more where partial sums grow; a tensor core cuts off, which counts twice, that of e4m3 early.
// fp32 operands rounded to TF32 miss this several times over, and check_places sees each of them.
static double allowed_of_sum(enum dtype dtype, double sizes, size_t n) {
    return (dtype == DTYPE_E4M3 ? 0x1p-13 : 2 * UNIT) * (4 + sqrt((double)n) / 2) * sizes;
}

static double gelu_tanh(double x) {
    return x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static void expect(const struct matmul_shape *shape, const float *x, const float *weight,
                   double bias, double *want, double *allowed) {
    const size_t n = (size_t)shape->n_in;
    double sum = bias, sizes = fabs(bias);
    for (size_t i = 0; i < n; i++) {
        const double term = (double)x[i] * (double)weight[i];
        sum += term;
        sizes += fabs(term);
    }
    *want = sum;
    *allowed = allowed_of_sum(shape->dtype, sizes, n);
    if (shape->epilogue != MATMUL_BIAS_GELU) return;
    // The steepest slope of GELU is 1.13; its tanh may be the instruction, whose error is 2^-11.
    *want = gelu_tanh(sum);
    *allowed = 1.13 * *allowed + fabs(sum) * 0x1p-11;
}

static void check_values(const struct matmul_shape *shape, int32_t n_rows) {
    const size_t r = (size_t)n_rows, out = (size_t)shape->n_out, in = (size_t)shape->n_in;
    struct matmul_context *context = runtime_sync_open();
    struct matrix x = matrix_random(shape->dtype, r * in, -2, 2);
    struct matrix weight = matrix_random(shape->dtype, out * in, -0.1, 0.1);
    struct matrix bias = matrix_random(shape->out_dtype, out, -1, 1);
    struct matrix y = matrix_result(shape->out_dtype, r * out);
    struct rig_expected expected = rig_expected(r * out);
    run(context, shape, n_rows, &x, &weight, &bias, &y);
    CHECK(matrix_fetch(&y));
    for (size_t i = 0; i < r * out; i++) {
        const double b = shape->epilogue == MATMUL_PLAIN ? 0 : (double)bias.values[i % out];
        expect(shape, x.values + i / out * in, weight.values + i % out * in, b, &expected.want[i],
               &expected.allowed[i]);
    }
    char what[80];
    snprintf(what, sizeof what, "%d rows, %d to %d, epilogue %d", (int)n_rows, (int)shape->n_in,
             (int)shape->n_out, (int)shape->epilogue);
    const struct rig_array got = {.dtype = y.dtype, .n = y.n, .values = y.values, .bits = y.bits};
    CHECK(rig_compare(what, &got, 0, y.n, &expected));
    rig_expected_free(&expected);
    matrix_free(&y);
    matrix_free(&bias);
    matrix_free(&weight);
    matrix_free(&x);
    runtime_sync_close(context);
}

// One term a row, so the result is that product rounded once: every element comes from its place,
// and fp32 operands keep all their bits.
static void check_places(enum dtype dtype) {
    const struct matmul_shape shape = {96, 160, dtype, dtype, MATMUL_PLAIN};
    const size_t n_rows = 70, out = (size_t)shape.n_out, in = (size_t)shape.n_in;
    struct matmul_context *context = runtime_sync_open();
    struct matrix x = matrix_create(dtype, n_rows * in);
    struct matrix weight = matrix_create(dtype, out * in);
    struct matrix y = matrix_result(dtype, n_rows * out);
    for (size_t r = 0; r < n_rows; r++) {
        x.values[r * in + (size_t)rig_below((int)in)] = (float)rig_uniform(1, 2);
    }
    for (size_t i = 0; i < weight.n; i++) weight.values[i] = ldexpf(1, rig_below(7) - 3);
    matrix_send(&x);
    matrix_send(&weight);
    run(context, &shape, (int32_t)n_rows, &x, &weight, NULL, &y);
    CHECK(matrix_fetch(&y));
    size_t n_wrong = 0;
    for (size_t i = 0; i < y.n; i++) {
        const float *row = x.values + i / out * in;
        size_t c = 0;
        while (row[c] == 0) c++;
        n_wrong += y.values[i] != row[c] * weight.values[i % out * in + c];
    }
    CHECK_INT(n_wrong, 0);
    matrix_free(&y);
    matrix_free(&weight);
    matrix_free(&x);
    runtime_sync_close(context);
}

static struct matmul_shape random_shape(enum dtype dtype) {
    const enum matmul_epilogue epilogues[] = {MATMUL_PLAIN, MATMUL_BIAS, MATMUL_BIAS_GELU};
    const struct matmul_shape e4m3 = {16 * (1 + rig_below(24)), 16 * (1 + rig_below(192)),
                                      DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN};
    if (dtype == DTYPE_E4M3) return e4m3;
    struct matmul_shape shape = {8 * (1 + rig_below(48)), 8 * (1 + rig_below(48)), dtype, dtype,
                                 epilogues[rig_below(dtype == DTYPE_BF16 ? 3 : 2)]};
    if (shape.epilogue == MATMUL_PLAIN && rig_one_in(2)) shape.out_dtype = DTYPE_F32;
    return shape;
}

// ---- bits

enum { POOL = 4096, BLOCK = 64, N_SHAPES = 7 };

struct layer_product {
    struct matmul_shape shape;
    struct matrix weight, bias;
    struct matrix pool;  // the results of the pool's rows
};

// Row r of a batch of so many rows is row pick(r) of the pool, or POOL: NaN or infinity.
static size_t pick(size_t r, uint64_t salt) {
    const uint64_t mixed = (r + salt) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed >> 61 == 0 ? POOL : (size_t)(mixed >> 20) % POOL;
}

static void fill_batch(const struct matrix *x, const struct matrix *pool, size_t in, size_t n_rows,
                       uint64_t salt) {
    const size_t nbytes = in * dtype_size(pool->dtype);
    unsigned char *bits = x->bits;
    for (size_t r = 0; r < n_rows; r++) {
        const size_t from = pick(r, salt);
        if (from == POOL && (r % 2 == 0 || pool->dtype == DTYPE_E4M3)) {
            memset(bits + r * nbytes, RIG_NAN, nbytes);
        } else {
            memcpy(bits + r * nbytes, (unsigned char *)pool->bits + from % POOL * nbytes, nbytes);
            if (from != POOL || pool->dtype == DTYPE_E4M3) continue;
            const float huge[2] = {INFINITY, -INFINITY};
            float_to_bf16(huge, 1, (uint16_t *)(void *)(bits + r * nbytes));
            if (pool->dtype == DTYPE_F16) float_to_f16(huge + 1, 1, (void *)(bits + r * nbytes));
            if (pool->dtype == DTYPE_F32) memcpy(bits + r * nbytes, huge, sizeof *huge);
        }
    }
    device_write(x->device, x->bits, n_rows * nbytes);
}

// Blocks of rows of a result beside those of the pool: all of a small one, of a large one the ends
// and some between.
static void compare_rows(const struct layer_product *product, const struct matrix *y, size_t n_rows,
                         uint64_t salt) {
    const size_t size = dtype_size(y->dtype), row = (size_t)product->shape.n_out * size;
    const size_t n_blocks = (n_rows + BLOCK - 1) / BLOCK, n_looks = n_blocks < 24 ? n_blocks : 24;
    unsigned char *got = must_zeroed(BLOCK, row);
    size_t n_wrong = 0, n_compared = 0;
    for (size_t look = 0; look < n_looks; look++) {
        size_t block = n_looks == n_blocks ? look : (size_t)rig_below((int)n_blocks);
        if (look == 0) block = 0;
        if (look == n_looks - 1) block = n_blocks - 1;
        const size_t first = block * BLOCK, n = n_rows - first < BLOCK ? n_rows - first : BLOCK;
        device_read(got, y->device + first * row, n * row);
        for (size_t r = 0; r < n; r++) {
            const size_t from = pick(first + r, salt);
            if (from == POOL) continue;
            const unsigned char *want = (unsigned char *)product->pool.bits + from * row;
            n_compared++;
            n_wrong += memcmp(got + r * row, want, row) != 0;
        }
    }
    if (n_wrong > 0) {
        fprintf(stderr, "%s, %d to %d, epilogue %d, %zu rows: %zu of %zu have other bits\n",
                dtype_name(product->shape.dtype), (int)product->shape.n_in,
                (int)product->shape.n_out, (int)product->shape.epilogue, n_rows, n_wrong,
                n_compared);
    }
    CHECK_INT(n_wrong, 0);
    free(got);
}

// The products of cuda/forward.c at bert-base's size that take rows of `in` columns.
static int make_products(enum dtype dtype, int32_t in, struct layer_product *products) {
    const enum matmul_epilogue feed = dtype == DTYPE_BF16 ? MATMUL_BIAS_GELU : MATMUL_PLAIN;
    const struct matmul_shape shapes[N_SHAPES] = {
        {3 * H, H, dtype, dtype, MATMUL_BIAS}, {2 * H, H, dtype, dtype, MATMUL_PLAIN},
        {H, H, dtype, dtype, MATMUL_PLAIN},    {F, H, dtype, dtype, feed},
        {H, F, dtype, dtype, MATMUL_PLAIN},    {H, H, dtype, dtype, MATMUL_BIAS},
        {H, H, dtype, DTYPE_F32, MATMUL_PLAIN}};
    int n = 0;
    for (int i = 0; i < N_SHAPES; i++) {
        if (shapes[i].n_in != in) continue;
        if (dtype == DTYPE_E4M3 && shapes[i].n_out != F && in != F) continue;
        const enum dtype y = dtype == DTYPE_E4M3 ? DTYPE_BF16 : shapes[i].out_dtype;
        const size_t out = (size_t)shapes[i].n_out;
        products[n].shape = shapes[i];
        products[n].shape.out_dtype = y;
        products[n].weight = matrix_random(dtype, out * (size_t)in, -0.05, 0.05);
        products[n].bias = matrix_random(y, out, -1, 1);
        products[n++].pool = matrix_result(y, POOL * out);
    }
    return n;
}

static void check_rows(enum dtype dtype, int32_t in, const int32_t *counts, size_t n_counts) {
    int32_t rows_max = POOL;
    for (size_t c = 0; c < n_counts; c++) rows_max = counts[c] > rows_max ? counts[c] : rows_max;
    struct layer_product products[N_SHAPES];
    const int n_products = make_products(dtype, in, products);
    struct matmul_context *context = runtime_sync_open();
    struct matrix pool = matrix_random(dtype, POOL * (size_t)in, -2, 2);
    struct matrix x = matrix_create(dtype, (size_t)rows_max * (size_t)in);
    struct matrix y = matrix_result(DTYPE_F32, (size_t)rows_max * (size_t)F);
    for (int p = 0; p < n_products; p++) {
        run(context, &products[p].shape, POOL, &pool, &products[p].weight, &products[p].bias,
            &products[p].pool);
        CHECK(matrix_fetch(&products[p].pool));
    }
    for (size_t c = 0; c < n_counts; c++) {
        const uint64_t salt = rig_bits();
        fill_batch(&x, &pool, (size_t)in, (size_t)counts[c], salt);
        for (int p = 0; p < n_products; p++) {
            y.dtype = products[p].shape.out_dtype;
            run(context, &products[p].shape, counts[c], &x, &products[p].weight, &products[p].bias,
                &y);
            compare_rows(&products[p], &y, (size_t)counts[c], salt);
        }
    }
    for (int p = 0; p < n_products; p++) {
        matrix_free(&products[p].pool);
        matrix_free(&products[p].bias);
        matrix_free(&products[p].weight);
    }
    matrix_free(&y);
    matrix_free(&x);
    matrix_free(&pool);
    runtime_sync_close(context);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    int32_t counts[] = {1,    2,    3,    7,     8,     15,    31,    64,   100, 127,
                        128,  129,  255,  704,   1000,  1024,  2816,  4095, 0,   0,
                        5632, 8192, 9999, 16383, 16384, 16385, 22528, 45056};
    for (int i = 0; i < rig_n_cases(); i++) {
        for (enum dtype d = DTYPE_F32; d <= DTYPE_E4M3; d++) {
            if (d == DTYPE_E4M3 ? !rig_has_e4m3() : (int)d >= rig_n_dtypes()) continue;
            for (int s = 0; s < 12; s++) {
                const struct matmul_shape shape = random_shape(d);
                check_values(&shape, 1 + rig_below(rig_one_in(3) ? 300 : 40));
            }
            const struct matmul_shape wide = {H, F, d, d, MATMUL_BIAS};
            if (d != DTYPE_E4M3) check_values(&wide, 17);
            if (d != DTYPE_E4M3) check_places(d);
            counts[18] = 1 + rig_below(5000);
            counts[19] = 1 + rig_below(20000);
            check_rows(d, H, counts, ARRAY_LEN(counts));
            check_rows(d, F, counts, ARRAY_LEN(counts));
        }
    }
    rig_report();
    return check_result();
}

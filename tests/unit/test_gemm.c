// SPDX-License-Identifier: Apache-2.0
//
// The matrix products of every type that this processor has against plain sums in double, and that
// a row's bits depend on that row alone: test_gemm [SEED]. Inputs are fresh in every run; the seed
// that is printed replays them.
#include <pthread.h>
#include <time.h>

#include "host/encoder/gemm.h"
#include "tests/check.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

#define UNIT 0x1p-24  // half a step of fp32 beside 1: what one rounding may change

enum { TILE_ROWS = 128, N_THREADS = 4 };

// What is tried: the types, and tanh after the first.
enum { FP32, BF16, INT8, FP32_TANH, N_KINDS };
static const enum gemm_type type_of[] = {GEMM_FP32, GEMM_BF16, GEMM_INT8, GEMM_FP32};
static const char *const name_of[] = {"fp32", "bf16", "int8", "fp32 and tanh"};

static struct check_random random_state;
static struct gemm_engine *engine;
static struct gemm_stream *stream;
static double worst[N_KINDS];  // of what the bounds below allow

static void *must_alloc(size_t nbytes) {
    void *memory = aligned_alloc(64, (nbytes / 64 + 1) * 64);
    if (memory == NULL) {
        perror("test_gemm");
        exit(1);
    }
    return memory;
}

static void fill(float *out, size_t n, double size) {
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(size * ((double)(check_next(&random_state) >> 11) * 0x1p-52 - 1.0));
    }
}

// One planned product with random weights. `weight` and `x` are the numbers, exactly as the product
// has them: in its own type they are `typed_weight` and `typed_x`.
struct product {
    struct gemm_shape shape;
    int kind;
    struct gemm *gemm;
    struct gemm_weights *packed;
    float *weight, *bias, *x;
    void *typed_x, *y, *scratch;  // y: float, or int32_t
};

static size_t type_size(enum gemm_type type) {
    return type == GEMM_INT8 ? 1 : type == GEMM_BF16 ? 2 : 4;
}

// n numbers of a type, in `values` and as they are stored: bytes of int8 from `least` on.
static void *make_typed(enum gemm_type type, size_t n, double size, int least, float *values) {
    unsigned char *typed = must_alloc(n * type_size(type));
    fill(values, n, size);
    if (type == GEMM_FP32) memcpy(typed, values, n * sizeof *values);
    if (type == GEMM_BF16) {
        float_to_bf16(values, n, (uint16_t *)(void *)typed);
        bf16_to_float(typed, n, values);
    }
    for (size_t i = 0; type == GEMM_INT8 && i < n; i++) {
        const int value = (int)check_below(&random_state, 256) + least;
        typed[i] = (unsigned char)(value & 0xff);
        values[i] = (float)value;
    }
    return typed;
}

static struct product product_make(int32_t n_rows, int32_t n_in, int32_t n_out, int kind) {
    const size_t rows = (size_t)n_rows, in = (size_t)n_in, out = (size_t)n_out;
    const enum gemm_type type = type_of[kind];
    struct error error;
    struct product made = {.shape = {type, n_rows, n_in, n_out, kind == FP32_TANH}, .kind = kind};
    must(gemm_create(engine, &made.shape, &made.gemm, &error), &error);
    made.weight = must_alloc(out * in * sizeof(float));
    made.bias = must_alloc(out * sizeof(float));
    made.x = must_alloc(rows * in * sizeof(float));
    made.y = must_alloc(rows * out * sizeof(float));
    made.scratch = must_alloc(gemm_scratch_nbytes(made.gemm));
    fill(made.bias, out, 0.5);
    void *typed_weight = make_typed(type, out * in, 2.5 / sqrt(n_in), -128, made.weight);
    made.typed_x = make_typed(type, rows * in, 3, 0, made.x);
    must(gemm_pack(made.gemm, typed_weight, type == GEMM_INT8 ? NULL : made.bias, &made.packed,
                   &error),
         &error);
    free(typed_weight);
    return made;
}

static void product_free(struct product *product) {
    gemm_weights_destroy(product->packed);
    gemm_destroy(product->gemm);
    free(product->weight);
    free(product->bias);
    free(product->x);
    free(product->typed_x);
    free(product->y);
    free(product->scratch);
}

static void product_run(const struct product *product, const void *x, void *y) {
    struct error error;
    must(gemm_run(product->gemm, product->packed, stream, x, y, product->scratch, &error), &error);
}

// The product is a chain of n_in fused steps, so it is off by some sqrt(n_in) roundings of what its
// terms add up to in size; bf16's terms are exact and added in pairs. int8 is exact. tanh is no
// steeper than 1, and the library's own is good to some 2 or 3 roundings beside 1.
static void check_values(const struct product *product) {
    const size_t in = (size_t)product->shape.n_in, out = (size_t)product->shape.n_out;
    const bool exact = product->shape.type == GEMM_INT8;
    for (size_t r = 0; r < (size_t)product->shape.n_rows; r++) {
        for (size_t o = 0; o < out; o++) {
            double want = exact ? 0 : product->bias[o], size = fabs(want);
            for (size_t i = 0; i < in; i++) {
                const double term = (double)product->x[r * in + i] * product->weight[o * in + i];
                want += term;
                size += fabs(term);
            }
            if (exact) {
                CHECK_INT(((const int32_t *)product->y)[r * out + o], want);
                continue;
            }
            double allowed = UNIT * size * (3 + sqrt(product->shape.n_in));
            if (product->shape.tanh) {
                allowed += 3 * UNIT;
                want = tanh(want);
            }
            const double got = ((const float *)product->y)[r * out + o];
            CHECK_NEAR(got, want, allowed);
            worst[product->kind] = fmax(worst[product->kind], fabs(got - want) / allowed);
        }
    }
}

// Bytes that stand for nothing good: NaN, infinity, -1; in int8 they are numbers like others.
static void fill_with_rubbish(const struct product *product, unsigned char *x, size_t n) {
    static const float rubbish[] = {NAN, INFINITY, -1};
    const size_t size = type_size(product->shape.type);
    for (size_t i = 0; i < n; i++) {
        unsigned char bytes[4];
        memcpy(bytes, &rubbish[i % 3], sizeof bytes);  // its upper half is the same in bf16
        memcpy(x + i * size, size == 4 ? bytes : bytes + 2, size);
    }
}

// Row `from` of the product's x goes to every position, alone among rows of infinities and NaNs and
// then among copies of itself: its result must be the same bits each time.
static void check_rows(const struct product *product) {
    const size_t rows = (size_t)product->shape.n_rows;
    const size_t row = (size_t)product->shape.n_in * type_size(product->shape.type);
    const size_t out = (size_t)product->shape.n_out * 4;
    unsigned char *x = must_alloc(rows * row), *y = must_alloc(rows * out);
    const unsigned char *from_x = product->typed_x, *from_y = product->y;
    const size_t from = check_below(&random_state, (unsigned)rows);
    const unsigned char *want = from_y + from * out;
    for (size_t r = 0; r < rows; r++) memcpy(x + r * row, from_x + from * row, row);
    product_run(product, x, y);
    for (size_t r = 0; r < rows; r++) CHECK(memcmp(y + r * out, want, out) == 0);

    for (int n = 0; n < 4; n++) {
        const size_t to = check_below(&random_state, (unsigned)rows);
        fill_with_rubbish(product, x, rows * (size_t)product->shape.n_in);
        memcpy(x + to * row, from_x + from * row, row);
        product_run(product, x, y);
        CHECK(memcmp(y + to * out, want, out) == 0);
    }

    // The same rows in reverse, and once more as they were.
    for (size_t r = 0; r < rows; r++) memcpy(x + r * row, from_x + (rows - 1 - r) * row, row);
    product_run(product, x, y);
    for (size_t r = 0; r < rows; r++) {
        CHECK(memcmp(y + r * out, from_y + (rows - 1 - r) * out, out) == 0);
    }
    product_run(product, product->typed_x, y);
    CHECK(memcmp(y, product->y, rows * out) == 0);
    free(y);
    free(x);
}

// A row with a NaN in it has nothing but NaN for a result, which tells the title from others.
static void check_nan(const struct product *product) {
    if (product->shape.type == GEMM_INT8)
        return;  // has none; kernels.h keeps them beside the bytes
    const size_t rows = (size_t)product->shape.n_rows, out = (size_t)product->shape.n_out;
    const size_t in = (size_t)product->shape.n_in, size = type_size(product->shape.type);
    const uint32_t nan = 0x7fc07fc0;  // in both types
    unsigned char *x = must_alloc(rows * in * size);
    float *y = must_alloc(rows * out * sizeof *y);
    const size_t at = check_below(&random_state, (unsigned)rows);
    memcpy(x, product->typed_x, rows * in * size);
    memcpy(x + (at * in + check_below(&random_state, (unsigned)in)) * size, &nan, size);
    product_run(product, x, y);
    for (size_t o = 0; o < out; o++) CHECK(isnan(y[at * out + o]));
    free(y);
    free(x);
}

static void test_shape(int32_t n_rows, int32_t n_in, int32_t n_out, int kind) {
    struct product product = product_make(n_rows, n_in, n_out, kind);
    const int failures = check_failures;
    product_run(&product, product.typed_x, product.y);
    check_values(&product);
    check_nan(&product);
    if (n_rows % 16 == 0) check_rows(&product);  // gemm.h promises no more
    if (check_failures > failures) {
        fprintf(stderr, "  in [%d, %d] to [%d, %d], %s\n", n_rows, n_in, n_rows, n_out,
                name_of[kind]);
    }
    product_free(&product);
}

// The largest sums there are, of either sign: pairs of such products do not fit 16 bits.
static void test_largest(int32_t n_in) {
    const struct gemm_shape shape = {GEMM_INT8, TILE_ROWS, n_in, 64, false};
    const size_t in = (size_t)n_in;
    int8_t *weight = must_alloc(64 * in);
    unsigned char *x = must_alloc(TILE_ROWS * in);
    int32_t *y = must_alloc(TILE_ROWS * 64 * sizeof *y);
    struct gemm *gemm;
    struct gemm_weights *packed;
    struct error error;
    memset(x, 255, TILE_ROWS * in);
    for (size_t o = 0; o < 64; o++) memset(weight + o * in, o % 2 == 0 ? 127 : -128, in);
    must(gemm_create(engine, &shape, &gemm, &error), &error);
    must(gemm_pack(gemm, weight, NULL, &packed, &error), &error);
    void *scratch = must_alloc(gemm_scratch_nbytes(gemm));
    must(gemm_run(gemm, packed, stream, x, y, scratch, &error), &error);
    for (int i = 0; i < TILE_ROWS * 64; i++) {
        CHECK_INT(y[i], (i % 2 == 0 ? 127 : -128) * 255 * n_in);
    }
    gemm_weights_destroy(packed);
    gemm_destroy(gemm);
    free(scratch);
    free(y);
    free(x);
    free(weight);
}

static int32_t random_size(void) {
    const unsigned size = check_below(&random_state, 74) + 1;
    return size <= 70 ? (int32_t)size : size <= 72 ? 96 : 384;
}

// ---- one plan, several threads

struct runner {
    const struct product *product;
    pthread_t thread;
    void *x, *y;
    int n_same;
    enum status status;
    struct error error;
};

enum { N_RUNS = 200 };

static void *run_many(void *argument) {
    struct runner *runner = argument;
    const struct product *product = runner->product;
    const size_t nbytes = (size_t)product->shape.n_rows * (size_t)product->shape.n_out * 4;
    void *y = must_alloc(nbytes);
    void *scratch = must_alloc(gemm_scratch_nbytes(product->gemm));
    struct gemm_stream *own = NULL;
    runner->status = gemm_stream_create(engine, &own, &runner->error);
    for (int i = 0; i < N_RUNS && runner->status == STATUS_OK; i++) {
        memset(y, 0xff, nbytes);
        runner->status =
            gemm_run(product->gemm, product->packed, own, runner->x, y, scratch, &runner->error);
        runner->n_same += memcmp(y, runner->y, nbytes) == 0;
    }
    gemm_stream_destroy(own);
    free(scratch);
    free(y);
    return NULL;
}

static void test_threads(int32_t n_in, int32_t n_out, int kind) {
    struct product product = product_make(TILE_ROWS, n_in, n_out, kind);
    const size_t n = (size_t)TILE_ROWS * (size_t)n_in;
    struct runner runners[N_THREADS] = {0};
    float *values = must_alloc(n * sizeof *values);
    for (int t = 0; t < N_THREADS; t++) {
        struct runner *runner = &runners[t];
        runner->product = &product;
        runner->x = make_typed(type_of[kind], n, 3, 0, values);
        runner->y = must_alloc((size_t)TILE_ROWS * (size_t)n_out * 4);
        product_run(&product, runner->x, runner->y);
    }
    for (int t = 0; t < N_THREADS; t++) {
        CHECK_INT(pthread_create(&runners[t].thread, NULL, run_many, &runners[t]), 0);
    }
    for (int t = 0; t < N_THREADS; t++) {
        pthread_join(runners[t].thread, NULL);
        must(runners[t].status, &runners[t].error);
        CHECK_INT(runners[t].n_same, N_RUNS);
        free(runners[t].x);
        free(runners[t].y);
    }
    free(values);
    product_free(&product);
}

static void test_kind(int kind) {
    static const int32_t row_counts[] = {1, 2, 7, 16, 33, 48, 64, 127, 129, 144, 192, 256};
    struct error error;
    if (gemm_type_check(type_of[kind], &error) != STATUS_OK) {
        const struct gemm_shape shape = {type_of[kind], TILE_ROWS, 64, 64, false};
        struct gemm *gemm;
        CHECK_INT(gemm_create(engine, &shape, &gemm, NULL), STATUS_MODEL);
        CHECK(gemm == NULL);
        printf("%s: %s\n", name_of[kind], error.text);
        return;
    }
    for (int32_t n = 1; n <= 72; n++) {
        const int32_t size = n == 71 ? 96 : n == 72 ? 384 : n;
        test_shape(TILE_ROWS, size, random_size(), kind);
        test_shape(TILE_ROWS, random_size(), size, kind);
    }
    test_shape(TILE_ROWS, 1, 1, kind);
    test_shape(TILE_ROWS, 384, 384, kind);
    for (size_t i = 0; i < ARRAY_LEN(row_counts); i++) {
        test_shape(row_counts[i], random_size(), random_size(), kind);
    }
    test_threads(32, 96, kind);
    test_threads(random_size(), random_size(), kind);
    if (kind == INT8) test_largest(64);
    if (kind == INT8) test_largest(3072);
    printf("%s: at worst %.2f of the roundings allowed\n", name_of[kind], worst[kind]);
}

int main(int argc, char **argv) {
    struct error error;
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    must(gemm_engine_create(&engine, &error), &error);
    must(gemm_stream_create(engine, &stream, &error), &error);
    for (int kind = 0; kind < N_KINDS; kind++) test_kind(kind);
    gemm_stream_destroy(stream);
    gemm_engine_destroy(engine);
    return check_result();
}

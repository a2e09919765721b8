// SPDX-License-Identifier: Apache-2.0
//
// The matrix products against plain sums in double, and that a row's bits depend on that row alone:
// test_gemm [SEED]. Inputs are fresh in every run; the seed that is printed replays them.
#include <pthread.h>
#include <time.h>

#include "host/encoder/gemm.h"
#include "tests/check.h"
#include "tests/support/must.h"

#define UNIT 0x1p-24  // half a step of fp32 beside 1: what one rounding may change

enum { TILE_ROWS = 128, N_THREADS = 4 };  // the encoder's tile
enum { N_EPILOGUES = GEMM_BIAS_TANH + 1 };

static struct check_random random_state;
static struct gemm_engine *engine;
static struct gemm_stream *stream;
static double worst[N_EPILOGUES];  // by epilogue, of what the bounds below allow

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

// One planned product with random weights.
struct product {
    int32_t n_rows, n_in, n_out;
    enum gemm_epilogue epilogue;
    struct gemm *gemm;
    struct gemm_weights *packed;
    float *weight, *bias, *x, *y;
    void *scratch;
};

static struct product product_make(int32_t n_rows, int32_t n_in, int32_t n_out,
                                   enum gemm_epilogue epilogue) {
    const size_t rows = (size_t)n_rows, in = (size_t)n_in, out = (size_t)n_out;
    struct error error;
    struct product made = {.n_rows = n_rows, .n_in = n_in, .n_out = n_out, .epilogue = epilogue};
    must(gemm_create(engine, n_rows, n_in, n_out, epilogue, &made.gemm, &error), &error);
    made.weight = must_alloc(out * in * sizeof(float));
    made.bias = must_alloc(out * sizeof(float));
    made.x = must_alloc(rows * in * sizeof(float));
    made.y = must_alloc(rows * out * sizeof(float));
    made.scratch = must_alloc(gemm_scratch_nbytes(made.gemm));
    fill(made.weight, out * in, 2.5 / sqrt(n_in));
    fill(made.bias, out, 0.5);
    fill(made.x, rows * in, 3);
    must(gemm_pack(made.gemm, made.weight, made.bias, &made.packed, &error), &error);
    return made;
}

static void product_free(struct product *product) {
    gemm_weights_destroy(product->packed);
    gemm_destroy(product->gemm);
    free(product->weight);
    free(product->bias);
    free(product->x);
    free(product->y);
    free(product->scratch);
}

static void product_run(const struct product *product, const float *x, float *y) {
    struct error error;
    must(gemm_run(product->gemm, product->packed, stream, x, y, product->scratch, &error), &error);
}

// The product is a chain of n_in fused steps, so it is off by some sqrt(n_in) roundings of what its
// terms add up to in size. GELU is no steeper than 1.13, tanh than 1, and the library's own error
// functions are good to some 2 or 3 roundings beside 1 (GELU: of the argument).
static void check_values(const struct product *product) {
    const size_t in = (size_t)product->n_in, out = (size_t)product->n_out;
    for (size_t r = 0; r < (size_t)product->n_rows; r++) {
        for (size_t o = 0; o < out; o++) {
            double want = product->bias[o], size = fabs(want);
            for (size_t i = 0; i < in; i++) {
                const double term = (double)product->x[r * in + i] * product->weight[o * in + i];
                want += term;
                size += fabs(term);
            }
            double allowed = UNIT * size * (3 + sqrt(product->n_in));
            if (product->epilogue == GEMM_BIAS_GELU) {
                allowed = 1.13 * allowed + 3 * UNIT * fmax(1, fabs(want));
                want = want / 2 * (1 + erf(want / sqrt(2)));
            } else if (product->epilogue == GEMM_BIAS_GELU_TANH) {
                allowed = 1.13 * allowed + 3 * UNIT * fmax(1, fabs(want));
                want = want / 2 *
                       (1 + tanh(sqrt(2 / acos(-1)) * (want + 0.044715 * want * want * want)));
            } else if (product->epilogue == GEMM_BIAS_TANH) {
                allowed += 3 * UNIT;
                want = tanh(want);
            }
            const double got = product->y[r * out + o];
            CHECK_NEAR(got, want, allowed);
            worst[product->epilogue] = fmax(worst[product->epilogue], fabs(got - want) / allowed);
        }
    }
}

// Row `from` of the product's x goes to every position, alone among rows of infinities and NaNs and
// then among copies of itself: its result must be the same bits each time.
static void check_rows(const struct product *product) {
    const size_t rows = (size_t)product->n_rows;
    const size_t in = (size_t)product->n_in, out = (size_t)product->n_out;
    float *x = must_alloc(rows * in * sizeof(float)), *y = must_alloc(rows * out * sizeof(float));
    const size_t from = check_below(&random_state, (unsigned)rows);
    const float *want = product->y + from * out;
    for (size_t r = 0; r < rows; r++) {
        memcpy(x + r * in, product->x + from * in, in * sizeof(float));
    }
    product_run(product, x, y);
    for (size_t r = 0; r < rows; r++) CHECK(memcmp(y + r * out, want, out * sizeof(float)) == 0);

    for (int n = 0; n < 4; n++) {
        const size_t to = check_below(&random_state, (unsigned)rows);
        for (size_t i = 0; i < rows * in; i++) x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -1;
        memcpy(x + to * in, product->x + from * in, in * sizeof(float));
        product_run(product, x, y);
        CHECK(memcmp(y + to * out, want, out * sizeof(float)) == 0);
    }

    // The same rows in reverse, and once more as they were.
    for (size_t r = 0; r < rows; r++) {
        memcpy(x + r * in, product->x + (rows - 1 - r) * in, in * sizeof(float));
    }
    product_run(product, x, y);
    for (size_t r = 0; r < rows; r++) {
        CHECK(memcmp(y + r * out, product->y + (rows - 1 - r) * out, out * sizeof(float)) == 0);
    }
    product_run(product, product->x, y);
    CHECK(memcmp(y, product->y, rows * out * sizeof(float)) == 0);
    free(y);
    free(x);
}

// A row with a NaN in it has nothing but NaN for a result, which tells the title from others.
static void check_nan(const struct product *product) {
    const size_t rows = (size_t)product->n_rows;
    const size_t in = (size_t)product->n_in, out = (size_t)product->n_out;
    float *x = must_alloc(rows * in * sizeof(float)), *y = must_alloc(rows * out * sizeof(float));
    const size_t at = check_below(&random_state, (unsigned)rows);
    memcpy(x, product->x, rows * in * sizeof(float));
    x[at * in + check_below(&random_state, (unsigned)in)] = NAN;
    product_run(product, x, y);
    for (size_t o = 0; o < out; o++) CHECK(isnan(y[at * out + o]));
    free(y);
    free(x);
}

static void test_shape(int32_t n_rows, int32_t n_in, int32_t n_out, enum gemm_epilogue epilogue) {
    struct product product = product_make(n_rows, n_in, n_out, epilogue);
    const int failures = check_failures;
    product_run(&product, product.x, product.y);
    check_values(&product);
    check_nan(&product);
    if (n_rows % 16 == 0) check_rows(&product);  // gemm.h promises no more
    if (check_failures > failures) {
        fprintf(stderr, "  in [%d, %d] to [%d, %d], epilogue %d\n", n_rows, n_in, n_rows, n_out,
                (int)epilogue);
    }
    product_free(&product);
}

static int32_t random_size(void) {
    const unsigned size = check_below(&random_state, 74) + 1;
    return size <= 70 ? (int32_t)size : size <= 72 ? 96 : 384;
}

// ---- one plan, several threads

struct runner {
    const struct product *product;
    pthread_t thread;
    float *x, *y;  // [n_rows, n_in], [n_rows, n_out]
    int n_same;
    enum status status;
    struct error error;
};

enum { N_RUNS = 200 };

static void *run_many(void *argument) {
    struct runner *runner = argument;
    const struct product *product = runner->product;
    const size_t nbytes = (size_t)product->n_rows * (size_t)product->n_out * sizeof(float);
    float *y = must_alloc(nbytes);
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

static void test_threads(int32_t n_in, int32_t n_out, enum gemm_epilogue epilogue) {
    struct product product = product_make(TILE_ROWS, n_in, n_out, epilogue);
    struct runner runners[N_THREADS] = {0};
    for (int t = 0; t < N_THREADS; t++) {
        struct runner *runner = &runners[t];
        runner->product = &product;
        runner->x = must_alloc((size_t)TILE_ROWS * (size_t)n_in * sizeof(float));
        runner->y = must_alloc((size_t)TILE_ROWS * (size_t)n_out * sizeof(float));
        fill(runner->x, (size_t)TILE_ROWS * (size_t)n_in, 3);
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
    product_free(&product);
}

int main(int argc, char **argv) {
    static const int32_t row_counts[] = {1, 2, 7, 16, 33, 48, 64, 127, 129, 144, 256};
    struct error error;
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    must(gemm_engine_create(&engine, &error), &error);
    must(gemm_stream_create(engine, &stream, &error), &error);
    for (int32_t n = 1; n <= 72; n++) {
        const int32_t size = n == 71 ? 96 : n == 72 ? 384 : n;
        for (int e = 0; e < N_EPILOGUES; e++) {
            test_shape(TILE_ROWS, size, random_size(), (enum gemm_epilogue)e);
            test_shape(TILE_ROWS, random_size(), size, (enum gemm_epilogue)e);
        }
    }
    test_shape(TILE_ROWS, 1, 1, GEMM_BIAS);
    test_shape(TILE_ROWS, 384, 384, GEMM_BIAS_TANH);
    for (size_t i = 0; i < ARRAY_LEN(row_counts); i++) {
        for (int e = 0; e < N_EPILOGUES; e++) {
            test_shape(row_counts[i], random_size(), random_size(), (enum gemm_epilogue)e);
        }
    }
    test_threads(32, 96, GEMM_BIAS);
    test_threads(37, 51, GEMM_BIAS_GELU);
    test_threads(random_size(), random_size(), GEMM_BIAS_GELU_TANH);
    test_threads(random_size(), random_size(), GEMM_BIAS_TANH);
    gemm_stream_destroy(stream);
    gemm_engine_destroy(engine);
    printf(
        "at worst %.2f (bias), %.2f (GELU), %.2f (its tanh form), %.2f (tanh) of the roundings "
        "allowed\n",
        worst[GEMM_BIAS], worst[GEMM_BIAS_GELU], worst[GEMM_BIAS_GELU_TANH], worst[GEMM_BIAS_TANH]);
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// Operands, GELU, and what reads the sums of int8 products, in every kernel set that this processor
// can run, against the formulas in double and each other: test_kernel_operands [SEED]. Inputs are
// fresh in every run; the seed that is printed replays them.
#include <stdlib.h>
#include <time.h>

#include "host/base/base.h"
#include "host/encoder/kernels.h"
#include "tests/check.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

#define UNIT 0x1p-24  // half a step of fp32 beside 1: what one rounding may change

enum { MOST = 1000, GUARD = 0xa5 };

static struct check_random random_state;
static const struct kernels *sets[KERNELS_SETS_MAX];
static int n_sets;

static double uniform(void) {
    return (double)(check_next(&random_state) >> 11) * 0x1p-52 - 1.0;
}

static void fill(float *out, size_t n, double center, double spread) {
    for (size_t i = 0; i < n; i++) out[i] = (float)(center + spread * uniform());
}

// ---- a row as an operand
struct row_out {
    unsigned char bytes[4 * MOST + 64];  // of the row and, behind it, a guard
    struct row_scale scale;
};

static void row_clear(struct row_out *operand) {
    memset(operand, GUARD, sizeof *operand);
}

static void check_guard(const struct row_out *operand, size_t nbytes) {
    for (size_t i = nbytes; i < sizeof operand->bytes; i++) CHECK_INT(operand->bytes[i], GUARD);
}

// That bytes and scale are those of x: the ends of the range are met, and no value is further from
// its byte's than half a step and the roundings on the way.
static void check_u8(const struct row_out *operand, const float *x, size_t n) {
    double least = x[0], most = x[0];
    for (size_t i = 1; i < n; i++) {
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    const double step = operand->scale.step, size = fmax(fabs(least), fabs(most));
    CHECK(operand->scale.least == (float)least);
    CHECK_NEAR(step, (most - least) / 255, 3 * UNIT * (most - least) / 255 + 1e-44);
    for (size_t i = 0; i < n; i++) {
        const double stands_for = operand->scale.least + step * operand->bytes[i];
        CHECK_NEAR(stands_for, x[i], 0.5002 * step + 4 * UNIT * size + 2e-30);
    }
    check_guard(operand, n);
}

// Two sets agree, but for a value midway between two bytes: fused multiply-add rounds it once.
static void check_like(const struct row_out *operand, const struct row_out *first, size_t n) {
    CHECK(operand->scale.step == first->scale.step && operand->scale.least == first->scale.least);
    for (size_t i = 0; i < n; i++) CHECK(abs(operand->bytes[i] - first->bytes[i]) <= 1);
}
static void check_bf16(const struct row_out *operand, const float *x, size_t n) {
    uint16_t want[MOST];
    float_to_bf16(x, n, want);
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) memcpy(&want[i], operand->bytes + 2 * i, 2);
    }
    CHECK(memcmp(operand->bytes, want, 2 * n) == 0);
    check_guard(operand, 2 * n);
}

static void make(const struct kernels *set, enum operand kind, const float *x, int32_t n,
                 struct row_out *out) {
    row_clear(out);
    set->of[kind].make_operand(x, n, out->bytes, &out->scale);
}

static void test_operands(int32_t n) {
    static const double centers[] = {0, 0.5, -300, 0, 0, 0}, spreads[] = {1, 2, 1, 1e30, 1e-25, 0};
    float x[MOST];
    struct row_out operand, first;
    for (size_t k = 0; k < ARRAY_LEN(centers); k++) {
        fill(x, (size_t)n, centers[k], spreads[k]);
        for (int s = 0; s < n_sets; s++) {
            make(sets[s], OPERAND_BF16, x, n, &operand);
            check_bf16(&operand, x, (size_t)n);
            make(sets[s], OPERAND_U8, x, n, &operand);
            check_u8(&operand, x, (size_t)n);
            if (s == 0) first = operand;
            check_like(&operand, &first, (size_t)n);
        }
    }
    // One value that is none is enough, wherever it is.
    const float bad[] = {NAN, INFINITY, -INFINITY};
    fill(x, (size_t)n, 0, 1);
    x[check_below(&random_state, (unsigned)n)] = bad[check_below(&random_state, 3)];
    for (int s = 0; s < n_sets; s++) {
        make(sets[s], OPERAND_U8, x, n, &operand);
        CHECK(isnan(operand.scale.step));
        make(sets[s], OPERAND_BF16, x, n, &operand);
        check_bf16(&operand, x, (size_t)n);
        for (int32_t i = 0; i < n; i++) {
            float back;
            bf16_to_float(operand.bytes + 2 * i, 1, &back);
            CHECK(isnan(back) == isnan(x[i]));
        }
    }
}

// ---- a row of results

struct results {
    float values[MOST];  // what the sums stand for, as floats
    int32_t sums[MOST];
    float scales[MOST], totals[MOST], biases[MOST];
    struct row_scale scale;
    double exact[MOST], size[MOST];  // the same without rounding, and what its terms add up to
};

static void results_make(struct results *results, int32_t n) {
    fill(results->scales, (size_t)n, 0.002, 0.001);
    fill(results->totals, (size_t)n, 0, 2);
    fill(results->biases, (size_t)n, 0, 0.5);
    results->scale = (struct row_scale){(float)(0.02 + 0.01 * uniform()), (float)uniform()};
    for (int32_t i = 0; i < n; i++) {
        results->sums[i] = (int32_t)check_below(&random_state, 200001) - 100000;
        const double product = (double)results->scale.step * results->scales[i] * results->sums[i];
        const double shift = (double)results->scale.least * results->totals[i];
        results->exact[i] = product + shift + results->biases[i];
        results->size[i] = fabs(product) + fabs(shift) + fabs(results->biases[i]);
        results->values[i] = (float)results->exact[i];
    }
}

static struct channels channels_of(const struct results *results) {
    return (struct channels){results->scales, results->totals, results->biases};
}

// ---- GELU

static double gelu(enum gelu_form form, double x) {
    if (form == GELU_ERF) return x / 2 * erfc(-x / sqrt(2));
    return x / (1 + exp(-2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double worst_gelu[2][N_OPERANDS];

static void run_gelu(const struct kernels *set, enum operand kind, enum gelu_form form,
                     const void *result, const struct results *results, int32_t n,
                     struct row_out *out) {
    float copy[MOST];
    memcpy(copy, result, (size_t)n * sizeof *copy);
    row_clear(out);
    set->of[kind].gelu(&(struct gelu_row){
        .result = copy,
        .result_scale = results->scale,
        .channels = channels_of(results),
        .n = n,
        .form = form,
        .operand = out->bytes,
        .operand_scale = &out->scale,
    });
}

// The errors that kernels.h allows; operands of 8 bits add half their step.
static void check_gelu(const struct results *results, int32_t n, enum gelu_form form) {
    struct row_out out;
    for (int s = 0; s < n_sets; s++) {
        run_gelu(sets[s], OPERAND_F32, form, results->values, results, n, &out);
        check_guard(&out, 4 * (size_t)n);
        for (int32_t i = 0; i < n; i++) {
            float got;
            memcpy(&got, out.bytes + 4 * i, sizeof got);
            const double size = fmax(1, fabs(results->values[i]));
            const double apart = fabs(got - gelu(form, results->values[i])) / size;
            CHECK_NEAR(apart, 0, 3e-7);
            worst_gelu[form][OPERAND_F32] = fmax(worst_gelu[form][OPERAND_F32], apart);
        }
        run_gelu(sets[s], OPERAND_BF16, form, results->values, results, n, &out);
        check_guard(&out, 2 * (size_t)n);
        for (int32_t i = 0; i < n; i++) {
            float got;
            bf16_to_float(out.bytes + 2 * i, 1, &got);
            const double want = gelu(form, results->values[i]);
            const double apart = fabs(got - want) - 0x1p-8 * fabs(want);
            CHECK(apart <= 1e-4);
            worst_gelu[form][OPERAND_BF16] = fmax(worst_gelu[form][OPERAND_BF16], apart);
        }
        run_gelu(sets[s], OPERAND_U8, form, results->sums, results, n, &out);
        check_guard(&out, (size_t)n);
        for (int32_t i = 0; i < n; i++) {
            const double got = out.scale.least + (double)out.scale.step * out.bytes[i];
            const double apart = fabs(got - gelu(form, results->exact[i])) -
                                 0.5002 * out.scale.step - 6 * UNIT * results->size[i];
            CHECK(apart <= 1e-4);
            worst_gelu[form][OPERAND_U8] = fmax(worst_gelu[form][OPERAND_U8], apart);
        }
    }
}

static void test_gelu(int32_t n) {
    struct results results;
    for (int form = GELU_ERF; form <= GELU_TANH; form++) {
        results_make(&results, n);
        check_gelu(&results, n, (enum gelu_form)form);
        fill(results.values, (size_t)n, 0, n % 2 == 0 ? 8 : 1e-3);  // the sums stay
        check_gelu(&results, n, (enum gelu_form)form);
    }
}

// Far out, near 0, and where there is no number.
static void test_gelu_ends(void) {
    static const float x[] = {1e30F, -1e30F, 30, -30, 6, -6, 1e-30F, -1e-30F, 0, NAN, INFINITY};
    struct results results = {0};
    struct row_out out;
    for (int form = GELU_ERF; form <= GELU_TANH; form++) {
        for (int s = 0; s < n_sets; s++) {
            float got[ARRAY_LEN(x)];
            run_gelu(sets[s], OPERAND_F32, (enum gelu_form)form, x, &results, ARRAY_LEN(x), &out);
            memcpy(got, out.bytes, sizeof got);
            for (size_t i = 0; i + 2 < ARRAY_LEN(x); i++) {
                CHECK_NEAR(got[i], gelu((enum gelu_form)form, x[i]),
                           1e-7 * fmax(1e-20, fabs(x[i])));
            }
            CHECK(isnan(got[9]) && !isfinite(got[10]));
        }
    }
}

// ---- LayerNorm into operands

// Its float output is that of the float kernel on the same numbers, but for their last digits; the
// operand is made of that output.
static void test_norm(int32_t n) {
    struct results results;
    float residual[MOST], weight[MOST], bias[MOST], want[MOST], out[MOST];
    struct row_out operand;
    results_make(&results, n);
    fill(residual, (size_t)n, 0, 1);
    fill(weight, (size_t)n, 1, 0.5);
    fill(bias, (size_t)n, 0, 0.5);
    for (int s = 0; s < n_sets; s++) {
        struct norm_row row = {
            .result = results.values,
            .result_scale = results.scale,
            .channels = channels_of(&results),
            .residual = residual,
            .weight = weight,
            .bias = bias,
            .eps = 1e-12F,
            .hidden_size = n,
            .out = want,
            .operand = operand.bytes,
            .operand_scale = &operand.scale,
        };
        sets[s]->of[OPERAND_F32].add_layer_norm(&row);
        row_clear(&operand);
        row.out = out;
        sets[s]->of[OPERAND_BF16].add_layer_norm(&row);
        CHECK(memcmp(out, want, (size_t)n * sizeof *out) == 0);
        check_bf16(&operand, out, (size_t)n);
        row_clear(&operand);
        row.result = results.sums;
        sets[s]->of[OPERAND_U8].add_layer_norm(&row);
        double largest = 0;
        for (int32_t i = 0; i < n; i++) largest = fmax(largest, fabs(results.values[i]));
        for (int32_t i = 0; i < n && n > 8; i++) {  // a few values have no deviation to speak of
            CHECK_NEAR(out[i], want[i], 1e-5 * (1 + largest));
        }
        check_u8(&operand, out, (size_t)n);
    }
}

// ---- attention on the sums of int8 products

enum { N_KEYS_MAX = 40, HEAD_MAX = 70 };

static void test_attention(int32_t n_keys, int32_t head_size) {
    enum { QKV = 3 };
    static int32_t sums[N_KEYS_MAX * QKV * HEAD_MAX];
    static float values[N_KEYS_MAX * QKV * HEAD_MAX];
    float want[N_KEYS_MAX * HEAD_MAX], got[N_KEYS_MAX * HEAD_MAX];
    struct row_scale scales[N_KEYS_MAX];
    struct results columns;
    const int32_t width = QKV * head_size;
    results_make(&columns, width);
    for (int32_t r = 0; r < n_keys; r++) {
        scales[r] = (struct row_scale){(float)(0.02 + 0.01 * uniform()), (float)uniform()};
        for (int32_t c = 0; c < width; c++) {
            const int32_t at = r * width + c;
            sums[at] = (int32_t)check_below(&random_state, 60001) - 30000;
            values[at] = (float)((double)scales[r].step * columns.scales[c] * sums[at] +
                                 (double)scales[r].least * columns.totals[c] + columns.biases[c]);
        }
    }
    float *scratch = must_zeroed(attention_scratch_len(n_keys, head_size), sizeof *scratch);
    for (int s = 0; s < n_sets; s++) {
        struct attention_head head = {.out = want,
                                      .out_stride = (size_t)head_size,
                                      .n_queries = n_keys,
                                      .n_keys = n_keys,
                                      .head_size = head_size,
                                      .scale = 1.0F / sqrtf((float)head_size),
                                      .scratch = scratch};
        struct result_rows *rows[QKV] = {&head.query, &head.key, &head.value};
        for (int32_t i = 0; i < QKV; i++) {
            const int32_t at = i * head_size;
            *rows[i] = (struct result_rows){
                .rows = values + at,
                .stride = (size_t)width,
                .scales = scales,
                .channels = {columns.scales + at, columns.totals + at, columns.biases + at}};
        }
        sets[s]->of[OPERAND_F32].attention(&head);
        head.out = got;
        for (int32_t i = 0; i < QKV; i++) rows[i]->rows = sums + i * head_size;
        sets[s]->of[OPERAND_U8].attention(&head);
        for (int32_t i = 0; i < n_keys * head_size; i++) CHECK_NEAR(got[i], want[i], 2e-5);
        head.n_queries = 1;  // [CLS] alone: the same bits
        head.out = want;
        sets[s]->of[OPERAND_U8].attention(&head);
        CHECK(memcmp(want, got, (size_t)head_size * sizeof *got) == 0);
    }
    free(scratch);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    n_sets = kernels_list(sets);
    CHECK_INT(operand_size(OPERAND_F32), 4);
    CHECK_INT(operand_size(OPERAND_BF16), 2);
    CHECK_INT(operand_size(OPERAND_U8), 1);
    for (int32_t n = 1; n <= 100; n++) {
        const int32_t size = n <= 96 ? n : n == 97 ? 384 : n == 98 ? 768 : n == 99 ? 777 : MOST;
        test_operands(size);
        test_gelu(size);
        test_norm(size);
    }
    test_gelu_ends();
    for (int32_t n_keys = 1; n_keys <= N_KEYS_MAX; n_keys++) {
        for (int32_t head_size = 1; head_size <= HEAD_MAX; head_size += 1 + head_size / 4) {
            test_attention(n_keys, head_size);
        }
        test_attention(n_keys, 64);
    }
    for (int s = 0; s < n_sets; s++) printf("%s%s", s > 0 ? ", " : "", sets[s]->name);
    printf(
        ": GELU at worst off by %.1e of its argument, %.1e and %.1e before rounding to bf16 and "
        "bytes; its tanh form by %.1e, %.1e, %.1e\n",
        worst_gelu[0][0], worst_gelu[0][1], worst_gelu[0][2], worst_gelu[1][0], worst_gelu[1][1],
        worst_gelu[1][2]);
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// LayerNorm and attention on floats, in every kernel set that this processor can run, against the
// formulas in double: test_kernels [SEED]. Inputs are fresh in every run; the seed that is printed
// replays them. Other operands, and GELU: test_kernel_operands.c.
#include <time.h>

#include "host/base/base.h"
#include "host/encoder/kernels.h"
#include "tests/check.h"

#define UNIT 0x1p-24  // half a step of fp32 beside 1: what one rounding may change

#define SAME_BITS(a, b, n) (memcmp(a, b, (n) * sizeof(float)) == 0)

enum { N_GUARD = 32, MOST_KEYS = 512, MOST_HEAD = 128, MOST_HIDDEN = 1024 };

static struct check_random random_state;
static const struct kernels *sets[KERNELS_SETS_MAX];
static int n_sets;
static double worst_norm, worst_attention;  // of what the bounds below allow
static double worst_weight;                 // in roundings

static void *must_alloc(size_t nbytes) {
    void *memory = malloc(nbytes);
    if (memory == NULL) abort();
    return memory;
}

static double uniform(void) {
    return (double)(check_next(&random_state) >> 11) * 0x1p-52 - 1.0;
}

static void fill(float *out, size_t n, double center, double spread) {
    for (size_t i = 0; i < n; i++) out[i] = (float)(center + spread * uniform());
}

// `n` floats between two guards, all of them NaN.
static float *guarded(size_t n) {
    float *block = must_alloc((n + 2 * N_GUARD) * sizeof(float));
    fill(block, n + 2 * N_GUARD, NAN, 0);
    return block + N_GUARD;
}

static bool all_nan(const float *at, size_t n) {
    while (n > 0 && isnan(at[n - 1])) n--;
    return n == 0;
}

static void guarded_free(float *at, size_t n) {
    CHECK(all_nan(at - N_GUARD, N_GUARD) && all_nan(at + n, N_GUARD));
    free(at - N_GUARD);
}

// ---- a + b, normalized

struct norm_case {
    float a[MOST_HIDDEN], b[MOST_HIDDEN], weight[MOST_HIDDEN], bias[MOST_HIDDEN];
    float eps;
    int32_t n;
    double want[MOST_HIDDEN], allowed[MOST_HIDDEN];
};

// An fp32 value in the middle of a sum of n/16 + 5 terms is off by some sqrt(n/16 + 5) roundings of
// the largest term. Each x is rounded once, the mean is off by such a sum, so x - mean is off by
// UNIT * largest * (1 + that), which dividing by the deviation magnifies; the deviation is off by
// half a sum of squares and by how far x - mean is; and four roundings follow. An fp32 result
// cannot do better than that where the values are large beside their deviation.
static void expect_norm(struct norm_case *item) {
    double mean = 0, variance = 0, largest = 0;
    for (int32_t i = 0; i < item->n; i++) {
        mean += ((double)item->a[i] + item->b[i]) / item->n;
        largest = fmax(largest, fabs((double)item->a[i] + item->b[i]));
    }
    for (int32_t i = 0; i < item->n; i++) {
        variance += pow((double)item->a[i] + item->b[i] - mean, 2) / item->n;
    }
    const double deviation = sqrt(variance + item->eps);
    const double sum = sqrt(item->n / 16.0 + 5);
    const double shift = UNIT * largest * (1 + sum) / deviation;
    for (int32_t i = 0; i < item->n; i++) {
        const double z = ((double)item->a[i] + item->b[i] - mean) / deviation;
        const double product = z * item->weight[i];
        item->want[i] = product + item->bias[i];
        item->allowed[i] = fabs(item->weight[i]) * shift * (1 + fabs(z)) +
                           UNIT * (fabs(product) * (5 + sum / 2) + 1.5 * fabs(item->want[i])) +
                           1e-37;
    }
}

static void add_layer_norm(const struct kernels *set, const struct norm_case *item, const float *a,
                           const float *b, float *out) {
    set->of[OPERAND_F32].add_layer_norm(&(struct norm_row){
        .result = a,
        .residual = b,
        .weight = item->weight,
        .bias = item->bias,
        .eps = item->eps,
        .hidden_size = item->n,
        .out = out,
    });
}

static void check_norm(const struct norm_case *item) {
    const size_t n = (size_t)item->n, nbytes = n * sizeof(float);
    float *a = must_alloc(nbytes), *b = must_alloc(nbytes);  // exact, for AddressSanitizer
    for (int s = 0; s < n_sets; s++) {
        float *out = guarded(n);
        memcpy(a, item->a, nbytes);
        memcpy(b, item->b, nbytes);
        add_layer_norm(sets[s], item, a, b, out);
        CHECK(SAME_BITS(a, item->a, n) && SAME_BITS(b, item->b, n));
        for (size_t i = 0; i < n; i++) {
            CHECK_NEAR(out[i], item->want[i], item->allowed[i]);
            worst_norm = fmax(worst_norm, fabs(out[i] - item->want[i]) / item->allowed[i]);
        }
        add_layer_norm(sets[s], item, a, b, a);
        CHECK(SAME_BITS(a, out, n));
        memcpy(a, item->a, nbytes);
        add_layer_norm(sets[s], item, a, b, b);
        CHECK(SAME_BITS(b, out, n));
        guarded_free(out, n);
    }
    free(a);
    free(b);
}

// The kinds of rows: usual ones; far from 0; huge; tiny beside eps; one value above all others.
static void test_norm(int32_t n, struct norm_case *item) {
    static const struct {
        double center, spread, eps;
    } kinds[] = {{0, 2, 1e-12},     {0.5, 1, 1e-5},     {300, 1, 1e-12F}, {0, 1e15, 1e-12F},
                 {-1e6, 1, 1e-12F}, {0, 1e-20, 1e-12F}, {0, 1e-3, 0.1F},  {0, 1, 1e-12F}};
    item->n = n;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        item->eps = (float)kinds[k].eps;
        fill(item->a, (size_t)n, kinds[k].center, kinds[k].spread);
        fill(item->b, (size_t)n, 0, kinds[k].spread);
        fill(item->weight, (size_t)n, 1, 2);
        fill(item->bias, (size_t)n, 0, 1);
        if (k == ARRAY_LEN(kinds) - 1) item->a[check_below(&random_state, (unsigned)n)] = 1e6F;
        expect_norm(item);
        // Where the deviation is lost in the roundings of x, |z| <= sqrt(H) is all that is known.
        for (int32_t i = 0; i < n; i++) {
            const double most = fabs(item->weight[i]) * 2 * sqrt(n) + 1e-5;
            item->allowed[i] = fmin(item->allowed[i], most);
        }
        check_norm(item);
    }
}

// Variance 0: sums of small integers are exact, so is the mean, and the bias alone is left. Rows of
// any other constant may end within a rounding of it.
static void test_norm_constant(int32_t n, struct norm_case *item) {
    const float constant = (float)check_below(&random_state, 64);
    item->n = n;
    item->eps = 1e-12F;
    fill(item->weight, (size_t)n, 1, 2);
    fill(item->bias, (size_t)n, 0, 1);
    for (int32_t i = 0; i < n; i++) {
        item->a[i] = constant;
        item->b[i] = 1;
        item->want[i] = item->bias[i];
        item->allowed[i] = 1e-37;
    }
    check_norm(item);
    fill(item->b, 1, 0, 100);
    for (int32_t i = 0; i < n; i++) {
        item->b[i] = item->b[0];
        item->allowed[i] = fabs(item->weight[i]) * 1.1 + 1e-6;  // |x - mean| <= its deviation
    }
    check_norm(item);
}

// ---- attention

enum { QUERY, KEY, VALUE, OUT };

struct attention_case {
    size_t strides[4];
    int32_t n_keys, head_size;
    // Tight rows: [n_keys, head_size].
    float query[MOST_KEYS * MOST_HEAD], key[MOST_KEYS * MOST_HEAD], value[MOST_KEYS * MOST_HEAD];
    double want[MOST_KEYS * MOST_HEAD], allowed[MOST_KEYS];
};

// The terms of an fp32 score add up to S in size, so it is off by half of sqrt(d) + 1 roundings of
// S; twice that, for a score and the maximum, is a weight's relative error. A weighted sum of
// values and the sum of the weights add half of sqrt(n_keys) roundings of the largest value each;
// exp, the division and the products with it are the five beside them.
static void expect_attention(struct attention_case *item, float scale) {
    const int32_t n = item->n_keys, d = item->head_size;
    double *weights = must_alloc((size_t)n * sizeof *weights), most = 0;
    for (int32_t i = 0; i < n * d; i++) most = fmax(most, fabs(item->value[i]));
    for (int32_t i = 0; i < n; i++) {
        double max = -INFINITY, total = 0, terms = 0;
        for (int32_t j = 0; j < n; j++) {
            double sum = 0, sizes = 0;
            for (int32_t c = 0; c < d; c++) {
                const double term = (double)item->query[i * d + c] * item->key[j * d + c];
                sum += term;
                sizes += fabs(term);
            }
            weights[j] = sum * scale;
            max = fmax(max, weights[j]);
            terms = fmax(terms, sizes * scale);
        }
        for (int32_t j = 0; j < n; j++) total += weights[j] = exp(weights[j] - max);
        double *want = item->want + (size_t)i * (size_t)d;
        for (int32_t c = 0; c < d; c++) want[c] = 0;
        for (int32_t j = 0; j < n; j++) {
            for (int32_t c = 0; c < d; c++) want[c] += weights[j] / total * item->value[j * d + c];
        }
        const double score = n > 1 ? terms * (1 + sqrt(d)) : 0;
        item->allowed[i] = UNIT * most * (score + sqrt(n) + 5) + 1e-37;
    }
    free(weights);
}

// The rows of `tight` with `stride` between them, in an exact block with NaN in the gaps.
static float *spread(const float *tight, size_t n_rows, size_t width, size_t stride) {
    const size_t n = (n_rows - 1) * stride + width;
    float *out = must_alloc(n * sizeof(float));
    fill(out, n, NAN, 0);
    for (size_t r = 0; r < n_rows; r++) {
        memcpy(out + r * stride, tight + r * width, width * sizeof(float));
    }
    return out;
}

// Runs one set with the strides of `item`; `got` receives tight rows. Scratch is an exact block
// that begins with `rubbish` in it.
static void run_attention(const struct kernels *set, const struct attention_case *item,
                          int32_t n_queries, float rubbish, float *got) {
    const size_t n = (size_t)item->n_keys, d = (size_t)item->head_size, q = (size_t)n_queries;
    const size_t n_scratch = attention_scratch_len(item->n_keys, item->head_size);
    const size_t stride = item->strides[OUT], n_out = (q - 1) * stride + d;
    float *query = spread(item->query, q, d, item->strides[QUERY]);
    float *key = spread(item->key, n, d, item->strides[KEY]);
    float *value = spread(item->value, n, d, item->strides[VALUE]);
    float *exact = must_alloc(n_scratch * sizeof(float)), *scratch = guarded(n_scratch);
    float *out = guarded(n_out);
    for (size_t i = 0; i < n_scratch; i++) exact[i] = scratch[i] = rubbish;
    const struct attention_head head = {
        .query = {.rows = query, .stride = item->strides[QUERY]},
        .key = {.rows = key, .stride = item->strides[KEY]},
        .value = {.rows = value, .stride = item->strides[VALUE]},
        .out = out,
        .out_stride = stride,
        .n_queries = n_queries,
        .n_keys = item->n_keys,
        .head_size = item->head_size,
        .scale = 1.0F / sqrtf((float)item->head_size),
        .scratch = isnan(rubbish) ? exact : scratch,
    };
    set->of[OPERAND_F32].attention(&head);
    for (size_t r = 0; r < q; r++) {
        memcpy(got + r * d, out + r * stride, d * sizeof(float));
        if (r + 1 < q) CHECK(all_nan(out + r * stride + d, stride - d));
    }
    guarded_free(out, n_out);
    guarded_free(scratch, n_scratch);
    free(exact);
    free(value);
    free(key);
    free(query);
}

static void check_attention(struct attention_case *item) {
    const size_t n = (size_t)item->n_keys, d = (size_t)item->head_size;
    float *got = must_alloc(n * d * sizeof(float)), *again = must_alloc(n * d * sizeof(float));
    expect_attention(item, 1.0F / sqrtf((float)d));
    for (int s = 0; s < n_sets; s++) {
        for (int i = 0; i < 4; i++) item->strides[i] = d;
        run_attention(sets[s], item, item->n_keys, NAN, got);
        for (size_t i = 0; i < n * d; i++) {
            const double allowed = item->allowed[i / d];
            CHECK_NEAR(got[i], item->want[i], allowed);
            worst_attention = fmax(worst_attention, fabs(got[i] - item->want[i]) / allowed);
        }
        // The same title between others, in used scratch, whole and [CLS] alone: the same bits.
        for (int i = 0; i < 4; i++) item->strides[i] = d + check_below(&random_state, 50) / 2;
        run_attention(sets[s], item, item->n_keys, 1e30F, again);
        CHECK(SAME_BITS(got, again, n * d));
        run_attention(sets[s], item, 1, -INFINITY, again);
        CHECK(SAME_BITS(got, again, d));
    }
    free(again);
    free(got);
}

// Usual logits; large ones (+-1e4 at the head sizes of BERT); all keys alike.
static void test_attention(struct attention_case *item, int32_t n_keys, int32_t head_size) {
    const size_t n = (size_t)n_keys * (size_t)head_size;
    const unsigned kind = check_below(&random_state, 4);
    const double size = kind == 0 ? sqrt(3e4) : kind == 1 ? 0.3 : 3;
    item->n_keys = n_keys;
    item->head_size = head_size;
    fill(item->query, n, 0, size);
    fill(item->key, n, 0, size);
    fill(item->value, n, check_below(&random_state, 3), 2);
    for (size_t i = (size_t)head_size; kind == 2 && i < n; i++) {
        item->key[i] = item->key[i - (size_t)head_size];
    }
    check_attention(item);
}

// Two keys whose scores are exactly 0 and x <= 0: the second one's value comes out as
// exp(x) / (1 + exp(x)), of which every digit counts, however small it is.
static void test_small_weights(struct attention_case *item) {
    for (int i = 0; i < 4; i++) item->strides[i] = 1;
    item->n_keys = 2;
    item->head_size = 1;
    item->query[0] = item->value[1] = 1;
    item->key[0] = item->value[0] = 0;
    for (int n = 0; n < 100000; n++) {
        float got;
        item->key[1] = (float)(n % 2 == 0 ? 43.5 * (uniform() - 1) : uniform() / 2 - 0.5);
        const double weight = exp(item->key[1]), want = weight / (1 + weight);
        for (int s = 0; s < n_sets; s++) {
            run_attention(sets[s], item, 1, NAN, &got);
            CHECK_NEAR(got, want, 4 * UNIT * want);
            worst_weight = fmax(worst_weight, fabs(got - want) / want / UNIT);
        }
    }
}

static void test_all_attention(void) {
    struct attention_case *item = must_alloc(sizeof *item);
    for (int32_t d = 1; d <= 42; d++) {
        const int32_t head_size = d == 41 ? 64 : d == 42 ? MOST_HEAD : d;
        for (int32_t keys = 1; keys <= 70; keys++) test_attention(item, keys, head_size);
        test_attention(item, 128, head_size);
        if (d % 8 == 0 || d > 40) test_attention(item, MOST_KEYS, head_size);
    }
    test_small_weights(item);
    free(item);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    n_sets = kernels_list(sets);
    CHECK(kernels_choose() == sets[0]);
    struct norm_case *item = must_alloc(sizeof *item);
    for (int32_t n = 1; n <= 73; n++) {
        const int32_t hidden_size = n == 71 ? 384 : n == 72 ? 768 : n == 73 ? MOST_HIDDEN : n;
        test_norm(hidden_size, item);
        test_norm_constant(hidden_size, item);
    }
    free(item);
    test_all_attention();
    for (int s = 0; s < n_sets; s++) printf("%s%s", s > 0 ? ", " : "", sets[s]->name);
    printf(
        ": at worst %.2f (norm) and %.2f (attention) of the roundings allowed; "
        "a small weight is off by %.2f roundings\n",
        worst_norm, worst_attention, worst_weight);
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/kernel_ref.h"

#include <math.h>
#include <stdlib.h>

#define UNIT   0x1p-24   // half a step of fp32 beside 1
#define NORMAL 0x1p-126  // the smallest normal number of fp32

// ---- formats

struct format {
    int n_digits, exponent_min, exponent_max;
};

static struct format format_of(enum dtype dtype) {
    switch (dtype) {
        case DTYPE_F32:
            return (struct format){24, -126, 127};
        case DTYPE_F16:
            return (struct format){11, -14, 15};
        default:
            return (struct format){8, -126, 127};
    }
}

double ref_spacing(enum dtype dtype, double x) {
    const struct format format = format_of(dtype);
    int exponent;  // of a fraction from 1/2 to 1
    frexp(x, &exponent);
    const int leading =
        x == 0 || exponent - 1 < format.exponent_min ? format.exponent_min : exponent - 1;
    return ldexp(1, leading - format.n_digits + 1);
}

double ref_round(enum dtype dtype, double x) {
    if (!isfinite(x)) return x;
    const double spacing = ref_spacing(dtype, x), rounded = nearbyint(x / spacing) * spacing;
    if (fabs(rounded) < ldexp(1, format_of(dtype).exponent_max + 1)) return rounded;
    return copysign(INFINITY, x);
}

// ---- LayerNorm

// s = x + x_bias + residual, which errs by ds: one rounding an addition, of what the terms add up
// to at most. The sum's error is that of the terms, of REF_ADDITIONS roundings and of the division.
struct row_sum {
    double mean, d_mean;
    double variance, d_variance;
};

static double term(const struct ref_norm *row, int32_t i, double *error) {
    const double x = row->x[i], r = row->residual[i];
    const double b = row->x_bias != NULL ? row->x_bias[i] : 0;
    *error = UNIT * (row->x_bias != NULL ? 2 * (fabs(x) + fabs(b) + fabs(r)) : fabs(x + r));
    return x + b + r;
}

// With c = s - mean, whose sum is 0, an error of the mean enters the sum of squares in the second
// order alone; those of the terms enter as 2 c ds.
static struct row_sum sum_row(const struct ref_norm *row) {
    const double n = row->n, n_additions = REF_ADDITIONS(row->n);
    struct row_sum sum = {0};
    double sizes = 0, ds;
    for (int32_t i = 0; i < row->n; i++) {
        const double s = term(row, i, &ds);
        sum.mean += s / n;
        sizes += fabs(s) / n;
        sum.d_mean += ds / n;
    }
    sum.d_mean += UNIT * (n_additions * sizes + 2 * fabs(sum.mean));
    for (int32_t i = 0; i < row->n; i++) {
        const double c = term(row, i, &ds) - sum.mean;
        sum.variance += c * c / n;
        sum.d_variance += (2 * fabs(c) * ds + pow(ds + sum.d_mean, 2)) / n;
    }
    sum.d_variance += UNIT * (n_additions + 6) * sum.variance + NORMAL;
    return sum;
}

// Whatever the deviation's error, no |c| / deviation exceeds the root of n: the last bound.
void ref_layer_norm(const struct ref_norm *row, double *want, double *allowed) {
    const struct row_sum sum = sum_row(row);
    const double scale = 1 / sqrt(sum.variance + row->eps);
    const double scale_low = 1 / sqrt(sum.variance + sum.d_variance + row->eps);
    const double scale_high = 1 / sqrt(fmax(sum.variance - sum.d_variance, 0) + row->eps);
    const double d_scale = fmax(scale_high - scale, scale - scale_low) + 4 * UNIT * scale_high;
    for (int32_t i = 0; i < row->n; i++) {
        const double weight = row->weight[i], bias = row->bias[i];
        double ds;
        const double c = term(row, i, &ds) - sum.mean;
        const double dc = ds + sum.d_mean + UNIT * fabs(c);
        const double dz = fmin(fabs(c) * d_scale + dc * scale_high, 2.001 * sqrt(row->n));
        const double product = c * scale * weight;
        want[i] = product + bias;
        allowed[i] =
            fabs(weight) * dz + UNIT * (2 * fabs(product) + fabs(product) + fabs(bias)) + NORMAL;
    }
}

// ---- GELU

// The slope of GELU is below 1.13, which the error of x + bias is multiplied by. Of 1 + erf(y), erf
// errs by 2 steps (2 UNIT below 1), y by two roundings times y erf'(y), below 0.5; the sum and the
// products round. 1 + tanh(y) likewise: tanh errs by 2 UNIT, y by 7 roundings times y tanh'(y),
// below 0.45. Half of each is multiplied by x.
void ref_gelu(enum gelu_form form, float x, float bias, double *want, double *allowed) {
    const double sum = (double)x + bias;
    const double rounding = 1.13 * UNIT * fabs(sum);
    if (form == GELU_ERF) {
        *want = 0.5 * sum * erfc(-sum / sqrt(2));
        *allowed = rounding + UNIT * (0.5 * fabs(sum) * (2 + 2 * 0.5 + 2) + 2 * fabs(*want));
    } else {
        const double y = sqrt(2 / acos(-1)) * (sum + 0.044715 * sum * sum * sum);
        *want = sum / (1 + exp(-2 * y));
        *allowed = rounding + UNIT * (0.5 * fabs(sum) * (2 + 7 * 0.45 + 2) + 2 * fabs(*want));
    }
    *allowed += NORMAL;
}

// ---- attention

// Of one query.
struct scores {
    double *probability;  // [n_keys]
    double *d_relative;   // [n_keys] of the probability before it is rounded, its norm aside
    double *d_rounding;   // [n_keys] of its rounding to the format
    double least_factor;  // by which d_relative may shrink the sum of the probabilities
};

static double dot(const struct ref_attention *head, const float *query, int32_t j, double *sizes) {
    const float *key = head->key + (size_t)j * head->key_stride;
    double sum = 0;
    *sizes = 0;
    for (int32_t i = 0; i < head->head_size; i++) {
        const double product = (double)query[i] * key[i];
        sum += product;
        *sizes += fabs(product);
    }
    return sum;
}

// A probability as the second product takes it, rounded to the format. Whether e^(score - most) or
// the quotient is rounded is left open: its error is relative but for subnormal numbers of F16,
// where it is half of their distance at most, and never more than the number itself.
static double probability_rounding(enum dtype dtype, double probability) {
    if (dtype == DTYPE_F32) return 0;
    const double half_spacing = dtype == DTYPE_F16 ? 0x1p-11 : 0x1p-8;  // beside 1
    return fmax(half_spacing * probability, dtype == DTYPE_F16 ? fmin(probability, 0x1p-25) : 0);
}

// A score errs by D + 4 roundings of what its terms add up to. Less the largest one it is x <= 0,
// which rounds, as does its product with log2 e; e^x errs by 2 + 1.16 |x| steps.
static void expect_scores(const struct ref_attention *head, int32_t i, struct scores *out) {
    const float *query = head->query + (size_t)i * head->query_stride;
    const double unit = head->dtype == DTYPE_F32 ? UNIT : 2 * UNIT;
    const double scale = fabs((double)head->scale);
    double most = -INFINITY, total = 0, sizes;
    for (int32_t j = 0; j < head->n_keys; j++) {
        const double score = dot(head, query, j, &sizes) * head->scale;
        out->probability[j] = score;
        out->d_relative[j] = unit * (head->head_size + 4) * sizes * scale;
        most = fmax(most, score);
    }
    for (int32_t j = 0; j < head->n_keys; j++) {
        const double x = out->probability[j] - most;
        out->d_relative[j] = expm1(out->d_relative[j] + UNIT * (6 + 6 * fabs(x)));
        total += out->probability[j] = exp(x);
    }
    out->least_factor = 0;
    for (int32_t j = 0; j < head->n_keys; j++) {
        const double probability = out->probability[j] /= total;
        out->d_rounding[j] = probability_rounding(head->dtype, probability);
        if (probability == 0) out->d_relative[j] = 0;
        out->least_factor += probability / (1 + out->d_relative[j]);
    }
}

enum { HEAD_SIZE_MAX = 64 };

// Errors of the probabilities f_j move the context by sum p_j f_j (v_j - context), over the sum of
// their factors. Roundings to the format do too, or, where the norm is that of the numbers before,
// by sum r_j v_j. Roundings of irregular scores are independent, each spread evenly over +-r_j at
// most: their sum then exceeds 4 times the root of the squares' sum less than once in 1e10.
static void expect_context(const struct ref_attention *head, const struct scores *scores,
                           double *want, double *allowed) {
    const int32_t size = head->head_size;
    double drift[HEAD_SIZE_MAX] = {0}, sizes[HEAD_SIZE_MAX] = {0};
    double worst[2][HEAD_SIZE_MAX] = {{0}}, squares[2][HEAD_SIZE_MAX] = {{0}};
    for (int32_t c = 0; c < size; c++) want[c] = 0;
    for (int32_t j = 0; j < head->n_keys; j++) {
        const float *value = head->value + (size_t)j * head->key_stride;
        for (int32_t c = 0; c < size; c++) want[c] += scores->probability[j] * value[c];
    }
    for (int32_t j = 0; j < head->n_keys; j++) {
        const double p = scores->probability[j], r = scores->d_rounding[j];
        const float *value = head->value + (size_t)j * head->key_stride;
        const double d_relative = p * scores->d_relative[j];
        for (int32_t c = 0; c < size; c++) {
            const double full = fabs((double)value[c]), rest = fabs(value[c] - want[c]);
            drift[c] += d_relative * rest;
            sizes[c] += p * full;
            worst[0][c] += r * full;
            worst[1][c] += r * rest;
            squares[0][c] += r * full * r * full;
            squares[1][c] += r * rest * r * rest;
        }
    }
    const double unit = head->dtype == DTYPE_F32 ? UNIT : 2 * UNIT;
    for (int32_t c = 0; c < size; c++) {
        double rounding = fmax(worst[0][c], worst[1][c]);
        if (!head->is_regular) {
            rounding = fmin(rounding, 4 * sqrt(fmax(squares[0][c], squares[1][c])));
        }
        // Both sums run over the keys, a general kernel rescales them now and then.
        allowed[c] = drift[c] / scores->least_factor + rounding +
                     unit * (head->n_keys + 16) * sizes[c] +
                     UNIT * (head->n_keys + 16) * fabs(want[c]) + NORMAL;
    }
}

void ref_attention(const struct ref_attention *head, size_t stride, double *want, double *allowed) {
    const size_t n = (size_t)head->n_keys;
    double *memory = malloc(3 * n * sizeof *memory);
    if (memory == NULL) abort();
    struct scores scores = {memory, memory + n, memory + 2 * n, 0};
    for (int32_t i = 0; i < head->n_queries; i++) {
        expect_scores(head, i, &scores);
        expect_context(head, &scores, want + (size_t)i * stride, allowed + (size_t)i * stride);
    }
    free(memory);
}

// ---- the head

// tanh errs by 2 UNIT relative, and by the rounding of its argument times its slope; relu by the
// latter alone, for a sum of two keeps its sign when it is rounded.
void ref_logits(const struct ref_head *head, double *want, double *allowed) {
    for (int32_t k = 0; k < head->n_labels; k++) {
        const float *weight = head->weight + (size_t)k * (size_t)head->n_hidden;
        double sum = 0, sizes = 0, d_terms = 0;
        for (int32_t i = 0; i < head->n_hidden; i++) {
            const double x = (double)head->x[i] + head->x_bias[i];
            const bool is_relu = head->activation == HEAD_RELU;
            const double t = is_relu ? fmax(x, 0) : tanh(x);
            const double d_t = is_relu ? t : 2 * fabs(t) + fabs(x) * (1 - t * t);
            sum += weight[i] * t;
            sizes += fabs(weight[i] * t);
            d_terms += UNIT * fabs(weight[i]) * d_t;
        }
        want[k] = sum + head->bias[k];
        allowed[k] = d_terms + UNIT * (REF_ADDITIONS(head->n_hidden) + 1) * sizes +
                     UNIT * fabs(want[k]) + NORMAL;
    }
}

// As in attention: x rounds, as does its product with log2 e, and e^x errs by 2 + 1.16 |x| steps. A
// kernel that has not seen the largest logit yet may rescale its sum with each one: four roundings.
void ref_softmax(const float *logits, int32_t n, double *want, double *allowed) {
    double most = -INFINITY, total = 0, d_total = 0;
    for (int32_t k = 0; k < n; k++) most = fmax(most, logits[k]);
    for (int32_t k = 0; k < n; k++) {
        const double x = logits[k] - most;
        want[k] = exp(x);
        allowed[k] = UNIT * (6 + 6 * fabs(x)) * want[k];
        total += want[k];
        d_total += allowed[k];
    }
    for (int32_t k = 0; k < n; k++) {
        want[k] /= total;
        allowed[k] = allowed[k] / total + want[k] * (d_total / total + UNIT * (4 * n + 2)) + NORMAL;
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The kernels that take one row: LayerNorm, GELU, operands. Each is written once for all operands,
// with `operand` a constant wherever it is inlined.
#include <math.h>

#include "host/encoder/kernels_lanes.h"
#include "host/encoder/kernels_sets.h"

// ---- operands

// To bfloat16, to nearest even (weights/dtype.h): NaN stays NaN.
INLINE half_lanes round_to_bf16(lanes x) {
    const bit_lanes bits = (bit_lanes)x;
    const bit_lanes rounded = (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
    const bit_lanes nan = (bit_lanes)(x != x);
    return low_halves((rounded & ~nan) | (nan & 0x7fc0U));
}

INLINE void store_bf16(const float *x, int32_t n, uint16_t *out) {
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const half_lanes half = round_to_bf16(LOAD(x + i));
        memcpy(out + i, &half, sizeof half);
    }
    if (i < n) {
        const half_lanes half = round_to_bf16(load_part(x + i, n - i));
        memcpy(out + i, &half, (size_t)(n - i) * sizeof *out);
    }
}

// What a row's scale is made of, gathered while the row is.
struct range {
    lanes least, most;
    lanes poison;  // 0, or NaN once a value was infinite or NaN
};

INLINE struct range range_of(lanes first) {
    return (struct range){first, first, first * 0.0F};
}

INLINE void range_add(struct range *range, lanes x) {
    range->least = lanes_min(x, range->least);
    range->most = lanes_max(x, range->most);
    range->poison += x * 0.0F;
}

// The bytes of a row whose range is known.
INLINE void store_u8(const float *x, int32_t n, const struct range *range, uint8_t *out,
                     struct row_scale *scale) {
    const float least = fold_min(range->least), width = fold_max(range->most) - least;
    const float per_step = width > 1e-30F ? 255.0F / width : 0.0F;
    *scale = (struct row_scale){width * (1.0F / 255.0F) + fold_sum(range->poison), least};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const bit_lanes bits = (bit_lanes)((LOAD(x + i) - least) * per_step + ROUNDER);
        const byte_lanes bytes = low_bytes(bits);
        memcpy(out + i, &bytes, sizeof bytes);
    }
    if (i < n) {
        const bit_lanes bits = (bit_lanes)((load_part(x + i, n - i) - least) * per_step + ROUNDER);
        const byte_lanes bytes = low_bytes(bits);
        memcpy(out + i, &bytes, (size_t)(n - i));
    }
}

INLINE void add_part(struct range *range, const float *x, int32_t n) {
    float part[LANES];
    for (int32_t i = 0; i < LANES; i++) part[i] = x[i < n ? i : 0];
    range_add(range, LOAD(part));
}

void KERNEL(operand_bf16)(const float *x, int32_t n, void *operand, struct row_scale *scale) {
    (void)scale;
    store_bf16(x, n, operand);
}

void KERNEL(operand_u8)(const float *x, int32_t n, void *operand, struct row_scale *scale) {
    const lanes zero = {0};
    struct range range = range_of(zero + x[0]);
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) range_add(&range, LOAD(x + i));
    if (i < n) add_part(&range, x + i, n - i);
    store_u8(x, n, &range, operand, scale);
}

// ---- LayerNorm

enum { UNROLL = 4 };  // independent sums, so that additions need not wait for each other

INLINE float fold_sums(const lanes sums[UNROLL]) {
    return fold_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// The first n lanes of x, and zeros.
INLINE lanes first_lanes(lanes x, int32_t n) {
    float part[LANES];
    STORE(part, x);
    return load_part(part, n);
}

// out = result + residual; returns the mean.
INLINE float add_rows(enum operand operand, const struct norm_row *row) {
    const int32_t n = row->hidden_size;
    lanes sums[UNROLL] = {{0}};
    int32_t i = 0;
    for (; i + UNROLL * LANES <= n; i += UNROLL * LANES) {
        for (int32_t u = 0; u < UNROLL; u++) {
            const int32_t at = i + u * LANES;
            const lanes x =
                result_lanes(operand, row->result, row->result_scale, &row->channels, at, LANES) +
                LOAD(row->residual + at);
            STORE(row->out + at, x);
            sums[u] += x;
        }
    }
    for (; i < n; i += LANES) {
        const int32_t left = n - i < LANES ? n - i : LANES;
        const lanes x =
            result_lanes(operand, row->result, row->result_scale, &row->channels, i, left) +
            load_part(row->residual + i, left);
        store_part(row->out + i, left, x);
        sums[0] += first_lanes(x, left);
    }
    return fold_sums(sums) / (float)n;
}

INLINE float inverse_deviation(const float *x, int32_t n, float mean, float eps) {
    lanes sums[UNROLL] = {{0}};
    int32_t i = 0;
    for (; i + UNROLL * LANES <= n; i += UNROLL * LANES) {
        for (int32_t u = 0; u < UNROLL; u++) {
            const lanes apart = LOAD(x + i + u * LANES) - mean;
            sums[u] += apart * apart;
        }
    }
    for (; i < n; i += LANES) {
        const int32_t left = n - i < LANES ? n - i : LANES;
        const lanes apart = first_lanes(load_part(x + i, left) - mean, left);
        sums[0] += apart * apart;
    }
    return 1.0F / sqrtf(fold_sums(sums) / (float)n + eps);
}

INLINE void add_layer_norm(enum operand operand, const struct norm_row *row) {
    const int32_t n = row->hidden_size;
    const float mean = add_rows(operand, row);
    const float factor = inverse_deviation(row->out, n, mean, row->eps);
    struct range range;
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const lanes y =
            (LOAD(row->out + i) - mean) * factor * LOAD(row->weight + i) + LOAD(row->bias + i);
        STORE(row->out + i, y);
        if (operand == OPERAND_BF16) {
            const half_lanes half = round_to_bf16(y);
            memcpy((uint16_t *)row->operand + i, &half, sizeof half);
        } else if (operand == OPERAND_U8) {
            if (i == 0) range = range_of(y);
            range_add(&range, y);
        }
    }
    if (i < n) {
        const int32_t left = n - i;
        const lanes y =
            (load_part(row->out + i, left) - mean) * factor * load_part(row->weight + i, left) +
            load_part(row->bias + i, left);
        store_part(row->out + i, left, y);
        if (operand == OPERAND_BF16) store_bf16(row->out + i, left, (uint16_t *)row->operand + i);
        if (operand == OPERAND_U8) {
            const lanes zero = {0};
            if (i == 0) range = range_of(zero + row->out[0]);
            add_part(&range, row->out + i, left);
        }
    }
    if (operand == OPERAND_U8) store_u8(row->out, n, &range, row->operand, row->operand_scale);
}

void KERNEL(add_layer_norm_f32)(const struct norm_row *row) {
    add_layer_norm(OPERAND_F32, row);
}

void KERNEL(add_layer_norm_bf16)(const struct norm_row *row) {
    add_layer_norm(OPERAND_BF16, row);
}

void KERNEL(add_layer_norm_u8)(const struct norm_row *row) {
    add_layer_norm(OPERAND_U8, row);
}

// ---- GELU

// GELU(x) = max(x, 0) - |x| h(|x|), where h is how far the gate (the normal distribution's
// function, or its tanh form) is from 1: h(a) = 2^q(a) with q a polynomial, fitted by weighted
// least squares (Lawson's method) so that the largest error of a h(a) over [0, 6] is least. Beyond
// 6, h(6) < 1e-9 stands for it. 2^q = 2^k 2^r with k an integer and |r| <= 1/2, 2^r by a polynomial
// as well.
enum { GATE_LEN = 10, SHORT_GATE_LEN = 5, POWER_LEN = 6, SHORT_POWER_LEN = 4 };

static const float gate[2][GATE_LEN] = {
    [GELU_ERF] = {-0.999999772F, -1.15110838F, -0.459197218F, -0.0525015736F, 0.00703106618F,
                  -7.19382584e-05F, -0.000239383228F, 6.14130012e-05F, -7.36897702e-06F,
                  3.66887107e-07F},
    [GELU_TANH] = {-1.00000715F, -1.15097006F, -0.460059704F, -0.0490117693F, 0.00374683382F,
                   0.00349777174F, -0.00214890504F, 0.000308110741F, 2.69442386e-06F,
                   -2.51498189e-06F},
};
static const float power[POWER_LEN] = {1.00000007F,   0.693146967F,   0.240221197F,
                                       0.0555071328F, 0.00967554157F, 0.00132764714F};

// The same, good to 4e-5, for results that are rounded to 8 bits.
static const float short_gate[2][SHORT_GATE_LEN] = {
    [GELU_ERF] = {-1.00047958F, -1.14737252F, -0.468014471F, -0.044079468F, 0.003866299F},
    [GELU_TANH] = {-1.00200003F, -1.13540547F, -0.496300442F, -0.0167809207F, -0.00433464504F},
};
static const float short_power[SHORT_POWER_LEN] = {0.999928073F, 0.693260988F, 0.242611137F,
                                                   0.0551716639F};

// n is a constant.
INLINE lanes polynomial(const float *coefficients, int n, lanes x) {
    lanes y = x * coefficients[n - 1] + coefficients[n - 2];
    for (int i = n - 3; i >= 0; i--) y = y * x + coefficients[i];
    return y;
}

INLINE lanes gelu_lanes(lanes x, const float *q, int n_q, const float *p, int n_p) {
    const lanes zero = {0}, size = lanes_abs(x);
    const lanes exponent = polynomial(q, n_q, lanes_min(size, zero + 6.0F));
    const lanes shifted = exponent + ROUNDER;  // its low bits hold k
    const lanes mantissa = polynomial(p, n_p, exponent - (shifted - ROUNDER));
    const lanes h = (lanes)((bit_lanes)mantissa + ((bit_lanes)shifted << 23));
    return lanes_max(x, zero) - size * h;
}

INLINE lanes gelu_of(enum operand operand, enum gelu_form form, lanes x) {
    if (operand == OPERAND_F32) return gelu_lanes(x, gate[form], GATE_LEN, power, POWER_LEN);
    return gelu_lanes(x, short_gate[form], SHORT_GATE_LEN, short_power, SHORT_POWER_LEN);
}

INLINE void gelu(enum operand operand, const struct gelu_row *row) {
    const int32_t n = row->n;
    float *floats = operand == OPERAND_F32 ? row->operand : row->result;
    struct range range;
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const lanes x =
            result_lanes(operand, row->result, row->result_scale, &row->channels, i, LANES);
        const lanes y = gelu_of(operand, row->form, x);
        if (operand == OPERAND_BF16) {
            const half_lanes half = round_to_bf16(y);
            memcpy((uint16_t *)row->operand + i, &half, sizeof half);
            continue;
        }
        STORE(floats + i, y);
        if (operand == OPERAND_F32) continue;
        if (i == 0) range = range_of(y);
        range_add(&range, y);
    }
    if (i < n) {
        const int32_t left = n - i;
        const lanes y =
            gelu_of(operand, row->form,
                    result_lanes(operand, row->result, row->result_scale, &row->channels, i, left));
        if (operand == OPERAND_BF16) {
            float part[LANES];
            STORE(part, y);
            store_bf16(part, left, (uint16_t *)row->operand + i);
        } else {
            store_part(floats + i, left, y);
        }
        if (operand == OPERAND_U8) {
            const lanes zero = {0};
            if (i == 0) range = range_of(zero + floats[0]);
            add_part(&range, floats + i, left);
        }
    }
    if (operand == OPERAND_U8) store_u8(floats, n, &range, row->operand, row->operand_scale);
}

void KERNEL(gelu_f32)(const struct gelu_row *row) {
    gelu(OPERAND_F32, row);
}

void KERNEL(gelu_bf16)(const struct gelu_row *row) {
    gelu(OPERAND_BF16, row);
}

void KERNEL(gelu_u8)(const struct gelu_row *row) {
    gelu(OPERAND_U8, row);
}

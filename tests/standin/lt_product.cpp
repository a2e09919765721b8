// SPDX-License-Identifier: Apache-2.0
//
// A row's sums depend on nothing but the row, the weights and the order: tiles of rows and columns
// share loads, never a sum. Compiled without contraction to fused operations, so that vectors of
// any width give the same bits.
#include "tests/standin/lt_product.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/simt/emulator/emulator.h"

enum : size_t { LANES = 8, TILE_ROWS = 4 };

size_t lt_type_nbytes(lt_type type) {
    return type == lt_type::f32 ? 4 : type == lt_type::e4m3 ? 1 : 2;
}

// ---- formats

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// The exponent is set right by a product, which is exact and takes subnormals along; that of
// infinity and NaN is all ones in both formats.
static float from_f16(uint16_t half) {
    const uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    const uint32_t is_special = (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
    const float value = float_of(magnitude) * 0x1p112f;
    return float_of((bits_of(value) | is_special) | (uint32_t)(half & 0x8000) << 16);
}

// To the nearest, ties to even. A sum with a power of two whose last bit is worth a subnormal's
// last bit rounds where the format ends.
static uint16_t to_f16(float value) {
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // 65520 and more
    if (magnitude < 0x38800000) {                                   // below 2^-14
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    }
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((rounded >> 13) - (112u << 10)));
}

static uint16_t to_bf16(float value) {
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// 1 sign, 4 exponent, 3 fraction. The exponent is set right by a product, as above.
static float from_e4m3(uint8_t byte) {
    const uint32_t magnitude = (uint32_t)(byte & 0x7f) << 20;
    if ((byte & 0x7f) == 0x7f) return NAN;
    return float_of(bits_of(float_of(magnitude) * 0x1p120f) | (uint32_t)(byte & 0x80) << 24);
}

static void to_floats(const void *from, lt_type type, size_t n, float *to) {
    const uint16_t *halves = static_cast<const uint16_t *>(from);
    if (type == lt_type::f32) memcpy(to, from, n * sizeof *to);
    if (type == lt_type::f16) {
        for (size_t i = 0; i < n; i++) to[i] = from_f16(halves[i]);
    }
    if (type == lt_type::bf16) {
        for (size_t i = 0; i < n; i++) to[i] = float_of((uint32_t)halves[i] << 16);
    }
    if (type == lt_type::e4m3) {
        for (size_t i = 0; i < n; i++) to[i] = from_e4m3(static_cast<const uint8_t *>(from)[i]);
    }
}

static void from_floats(const float *from, lt_type type, size_t n, void *to) {
    uint16_t *halves = static_cast<uint16_t *>(to);
    if (type == lt_type::f32) memcpy(to, from, n * sizeof *from);
    if (type == lt_type::f16) {
        for (size_t i = 0; i < n; i++) halves[i] = to_f16(from[i]);
    }
    if (type == lt_type::bf16) {
        for (size_t i = 0; i < n; i++) halves[i] = to_bf16(from[i]);
    }
}

// ---- sums

// `n` terms from `first` on, `step` apart: into sums[TILE_ROWS][LANES]. `panel` is [in][LANES].
struct terms {
    ptrdiff_t first, n, step;
};

__attribute__((target_clones("default", "avx2"))) static void sum_terms(
    const float *const x[TILE_ROWS], const float *panel, struct terms terms,
    float sums[TILE_ROWS * LANES]) {
    typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
    lanes sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};
    for (ptrdiff_t i = 0, k = terms.first; i < terms.n; i++, k += terms.step) {
        const lanes w = *reinterpret_cast<const lanes *>(panel + k * (ptrdiff_t)LANES);
        sum0 += w * x[0][k];
        sum1 += w * x[1][k];
        sum2 += w * x[2][k];
        sum3 += w * x[3][k];
    }
    memcpy(sums, &sum0, sizeof sum0);
    memcpy(sums + LANES, &sum1, sizeof sum1);
    memcpy(sums + 2 * LANES, &sum2, sizeof sum2);
    memcpy(sums + 3 * LANES, &sum3, sizeof sum3);
}

struct tile {
    const float *x[TILE_ROWS];
    const float *panel;
    float sums[TILE_ROWS * LANES];
};

static void sum_pieces(struct tile *tile, ptrdiff_t n, ptrdiff_t piece) {
    sum_terms(tile->x, tile->panel, {0, piece < n ? piece : n, 1}, tile->sums);
    for (ptrdiff_t k = piece; k < n; k += piece) {
        float more[TILE_ROWS * LANES];
        sum_terms(tile->x, tile->panel, {k, piece < n - k ? piece : n - k, 1}, more);
        for (size_t i = 0; i < TILE_ROWS * LANES; i++) tile->sums[i] += more[i];
    }
}

static void sum_interleaved(struct tile *tile, ptrdiff_t n) {
    float parts[4][TILE_ROWS * LANES];
    for (ptrdiff_t p = 0; p < 4; p++) {
        sum_terms(tile->x, tile->panel, {p, (n - p + 3) / 4, 4}, parts[p]);
    }
    for (size_t i = 0; i < TILE_ROWS * LANES; i++) {
        tile->sums[i] = (parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i]);
    }
}

static void sum_tile(const struct lt_product *product, struct tile *tile) {
    const ptrdiff_t n = (ptrdiff_t)product->n_in;
    switch (product->order) {
        case lt_order::forward:
            return sum_terms(tile->x, tile->panel, {0, n, 1}, tile->sums);
        case lt_order::backward:
            return sum_terms(tile->x, tile->panel, {n - 1, n, -1}, tile->sums);
        case lt_order::interleaved:
            return sum_interleaved(tile, n);
        case lt_order::blocks:
            return sum_pieces(tile, n, 32);
        case lt_order::wide_blocks:
            return sum_pieces(tile, n, 96);
        case lt_order::by_rows:
            return sum_pieces(tile, n, 1 + n / (ptrdiff_t)(2 + product->n_rows % 3));
    }
}

// ---- the product

static float gelu(float x) {
    return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

// Finishes LANES columns of a row, from column `first` on, and writes them.
static void finish(const struct lt_product *product, const float *sums, const float *bias,
                   size_t row, size_t first) {
    float values[LANES];
    for (size_t i = 0; i < LANES; i++) {
        values[i] = sums[i];
        if (product->epilogue != lt_epilogue::plain) values[i] += bias[first + i];
        if (product->epilogue == lt_epilogue::gelu_bias) values[i] = gelu(values[i]);
    }
    from_floats(values, product->out, LANES,
                static_cast<char *>(product->y) +
                    (row * product->n_out + first) * lt_type_nbytes(product->out));
}

// A panel is LANES columns of W^T, [in][LANES].
static void make_panel(const struct lt_product *product, size_t first, std::vector<float> *rows,
                       std::vector<float> *panel) {
    const size_t n_in = product->n_in;
    to_floats(
        static_cast<const char *>(product->weight) + first * n_in * lt_type_nbytes(product->in),
        product->in, LANES * n_in, rows->data());
    for (size_t k = 0; k < n_in; k++) {
        for (size_t i = 0; i < LANES; i++) (*panel)[k * LANES + i] = (*rows)[i * n_in + k];
    }
}

// As an algorithm leaves it: whoever reads it, or writes to it meanwhile, computes nonsense.
static void spoil(void *workspace, size_t nbytes) {
    if (nbytes == 0) return;
    memset(workspace, 0xff, nbytes);
    simt::mark_written(workspace, nbytes);
}

void lt_product_run(const void *closure) {
    const struct lt_product *product = static_cast<const struct lt_product *>(closure);
    const size_t n_rows = product->n_rows, n_in = product->n_in, n_out = product->n_out;
    std::vector<float> x(n_rows * n_in), rows(LANES * n_in), panel(LANES * n_in), bias;
    to_floats(product->x, product->in, x.size(), x.data());
    if (product->epilogue != lt_epilogue::plain) {
        bias.resize(n_out);
        to_floats(product->bias, product->out, n_out, bias.data());
    }
    spoil(product->workspace, product->workspace_nbytes);
    for (size_t first = 0; first < n_out; first += LANES) {
        make_panel(product, first, &rows, &panel);
        for (size_t row = 0; row < n_rows; row += TILE_ROWS) {
            struct tile tile;
            tile.panel = panel.data();
            for (size_t r = 0; r < TILE_ROWS; r++) {  // the last rows are computed again
                tile.x[r] = x.data() + (row + r < n_rows ? row + r : n_rows - 1) * n_in;
            }
            sum_tile(product, &tile);
            for (size_t r = 0; r < TILE_ROWS && row + r < n_rows; r++) {
                finish(product, tile.sums + r * LANES, bias.data(), row + r, first);
            }
        }
    }
    simt::mark_written(product->y, n_rows * n_out * lt_type_nbytes(product->out));
}

// SPDX-License-Identifier: Apache-2.0
//
// Attention of one head in one title. Titles are short, so all keys of one are at hand at once:
// scores of some queries beside each other, so that each load of a key serves them all. A score is
// one chain of additions over the head's columns, an output one over the keys, however many queries
// go together.
#include <math.h>

#include "host/encoder/kernels_sets.h"

// Queries that go together with so many vectors of keys or columns, as there are registers for.
// With one vector of keys, which is what most titles have, twice as many, so that no addition waits
// for the one before it.
#if defined(__AVX512F__)
enum { BLOCK = 4, VECTORS = 2, COLUMNS = 4 };
#else
enum { BLOCK = 2, VECTORS = 1, COLUMNS = 1 };
#endif
enum { BLOCK_MAX = 2 * BLOCK };
_Static_assert((int)BLOCK_MAX <= (int)ATTENTION_QUERIES, "attention_scratch_len counts that many");

// In place: row[i] = exp(row[i]) for `n` values, a multiple of LANES, each at most 0 or -infinity.
// exp(x) = 2^k exp(r) with x = k ln 2 + r, |r| <= ln 2 / 2, exp(r) by its Taylor polynomial to r^7
// (its remainder, below 6e-9, is a tenth of an fp32 rounding). Below -87 the result is 0. Returns
// the sum.
INLINE float exp_row(float *row, int32_t n) {
    lanes sum = {0};
    for (int32_t i = 0; i < n; i += LANES) {
        lanes x = LOAD(row + i);
        const int_lanes tiny = x < -87.0f;
        x = (lanes)((int_lanes)x & ~tiny);  // 0 where the result will be 0: no overflow below
        const lanes shifted = x * 1.44269504f + ROUNDER;  // its low bits hold k
        const lanes k = shifted - ROUNDER;
        const lanes r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
        lanes p = r * (1.0f / 5040.0f) + (1.0f / 720.0f);
        p = p * r + (1.0f / 120.0f);
        p = p * r + (1.0f / 24.0f);
        p = p * r + (1.0f / 6.0f);
        p = p * r + 0.5f;
        p = p * r + 1.0f;
        p = p * r + 1.0f;
        const bit_lanes bits = (bit_lanes)p + ((bit_lanes)shifted << 23);
        const lanes result = (lanes)((int_lanes)bits & ~tiny);
        STORE(row + i, result);
        sum += result;
    }
    return fold_sum(sum);
}

INLINE int32_t padded(int32_t n) {
    return (n + LANES - 1) / LANES * LANES;
}

// What the core below works on: floats.
struct head {
    const float *query, *key, *value;
    size_t query_stride, key_stride, value_stride;
    const struct attention_head *of;
    float *keys_t;  // [head_size, width], scores of 16 keys are one vector; columns past n_keys: 0
    float *scores;  // [BLOCK_MAX, width]
    int32_t width;  // n_keys, padded
};

// keys_t[c][j] = key[j][c] for c from `first` on.
static void transpose_rest(const struct head *head, int32_t first) {
    const int32_t width = head->width, n_keys = head->of->n_keys;
    for (int32_t c = first; c < head->of->head_size; c++) {
        float *row = head->keys_t + (size_t)c * (size_t)width;
        const float *key = head->key + c;
        for (int32_t j = 0; j < n_keys; j++, key += head->key_stride) row[j] = *key;
        for (int32_t j = n_keys; j < width; j++) row[j] = 0;
    }
}

#if defined(__AVX512F__)
// Columns [c, c + 16) of keys [j, j + 16), those past n_keys being 0: 4 by 4 in each quarter of the
// registers, then the quarters.
static void transpose_block(const struct head *head, int32_t c, int32_t j) {
    __m512 a[LANES], b[LANES];
    for (int32_t r = 0; r < LANES; r++) {
        const float *key = head->key + (size_t)(j + r) * head->key_stride + c;
        a[r] = j + r < head->of->n_keys ? _mm512_loadu_ps(key) : _mm512_setzero_ps();
    }
    for (int r = 0; r < LANES; r += 4) {
        const __m512d low0 = _mm512_castps_pd(_mm512_unpacklo_ps(a[r], a[r + 1]));
        const __m512d high0 = _mm512_castps_pd(_mm512_unpackhi_ps(a[r], a[r + 1]));
        const __m512d low2 = _mm512_castps_pd(_mm512_unpacklo_ps(a[r + 2], a[r + 3]));
        const __m512d high2 = _mm512_castps_pd(_mm512_unpackhi_ps(a[r + 2], a[r + 3]));
        b[r] = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low2));
        b[r + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low2));
        b[r + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high2));
        b[r + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high2));
    }
    float *out = head->keys_t + (size_t)c * (size_t)head->width + j;
    for (int r = 0; r < 4; r++) {
        const __m512 first0 = _mm512_shuffle_f32x4(b[r], b[r + 4], 0x88);
        const __m512 first1 = _mm512_shuffle_f32x4(b[r + 8], b[r + 12], 0x88);
        const __m512 second0 = _mm512_shuffle_f32x4(b[r], b[r + 4], 0xdd);
        const __m512 second1 = _mm512_shuffle_f32x4(b[r + 8], b[r + 12], 0xdd);
        const size_t row = (size_t)head->width;
        _mm512_storeu_ps(out + (size_t)r * row, _mm512_shuffle_f32x4(first0, first1, 0x88));
        _mm512_storeu_ps(out + (size_t)(r + 4) * row, _mm512_shuffle_f32x4(second0, second1, 0x88));
        _mm512_storeu_ps(out + (size_t)(r + 8) * row, _mm512_shuffle_f32x4(first0, first1, 0xdd));
        _mm512_storeu_ps(out + (size_t)(r + 12) * row,
                         _mm512_shuffle_f32x4(second0, second1, 0xdd));
    }
}

static void transpose_keys(const struct head *head) {
    int32_t c = 0;
    for (; c + LANES <= head->of->head_size; c += LANES) {
        for (int32_t j = 0; j < head->width; j += LANES) transpose_block(head, c, j);
    }
    transpose_rest(head, c);
}
#else
static void transpose_keys(const struct head *head) {
    transpose_rest(head, 0);
}
#endif

// Scores of n_queries (a constant) with n_vectors (likewise) of keys, from key j on.
INLINE void score_block(const struct head *head, const float *query, int n_queries, int32_t j,
                        int n_vectors) {
    const size_t width = (size_t)head->width;
    const float *keys = head->keys_t + j;
    lanes sums[BLOCK_MAX][VECTORS] = {{{0}}};
    for (int32_t c = 0; c < head->of->head_size; c++, keys += width) {
        for (int q = 0; q < n_queries; q++) {
            for (int v = 0; v < n_vectors; v++) {
                sums[q][v] +=
                    query[(size_t)q * head->query_stride + (size_t)c] * LOAD(keys + v * LANES);
            }
        }
    }
    for (int q = 0; q < n_queries; q++) {
        for (int v = 0; v < n_vectors; v++) {
            STORE(head->scores + (size_t)q * width + j + v * LANES, sums[q][v] * head->of->scale);
        }
    }
}

// scores[j] = exp(score_j - max), 0 for the padding; returns their sum.
INLINE float soften(const struct head *head, float *scores) {
    const int32_t n_keys = head->of->n_keys, width = head->width;
    for (int32_t j = n_keys; j < width; j++) scores[j] = -INFINITY;
    lanes most = LOAD(scores);
    for (int32_t j = LANES; j < width; j += LANES) most = lanes_max(LOAD(scores + j), most);
    const float max = fold_max(most);
    for (int32_t j = 0; j < width; j += LANES) STORE(scores + j, LOAD(scores + j) - max);
    return exp_row(scores, width);
}

// Columns from c on, n_columns (a constant) vectors of them.
INLINE void mix_block(const struct head *head, const float *scores, float *out, int n_queries,
                      const float *factors, int32_t c, int n_columns) {
    lanes sums[BLOCK][COLUMNS] = {{{0}}};
    const float *value = head->value + c;
    for (int32_t j = 0; j < head->of->n_keys; j++, value += head->value_stride) {
        for (int q = 0; q < n_queries; q++) {
            for (int v = 0; v < n_columns; v++) {
                sums[q][v] += scores[q * head->width + j] * LOAD(value + v * LANES);
            }
        }
    }
    for (int q = 0; q < n_queries; q++) {
        float *row = out + (size_t)q * head->of->out_stride + c;
        for (int v = 0; v < n_columns; v++) STORE(row + v * LANES, sums[q][v] * factors[q]);
    }
}

// The last columns, fewer than a vector. Vectors all the same: scalar sums may be fused into
// multiply-adds here and not there, as the compiler likes.
INLINE void mix_rest(const struct head *head, const float *scores, float *out, int n_queries,
                     const float *factors, int32_t c) {
    const int32_t left = head->of->head_size - c;
    lanes sums[BLOCK] = {{0}};
    const float *value = head->value + c;
    for (int32_t j = 0; j < head->of->n_keys; j++, value += head->value_stride) {
        const lanes part = load_part(value, left);
        for (int q = 0; q < n_queries; q++) sums[q] += scores[q * head->width + j] * part;
    }
    for (int q = 0; q < n_queries; q++) {
        store_part(out + (size_t)q * head->of->out_stride + c, left, sums[q] * factors[q]);
    }
}

// Outputs of n_queries <= BLOCK (a constant) whose scores are there.
INLINE void mix(const struct head *head, float *scores, float *out, int n_queries) {
    const int32_t d = head->of->head_size;
    float factors[BLOCK];
    int32_t c = 0;
    for (int q = 0; q < n_queries; q++) {
        factors[q] = 1.0f / soften(head, scores + (size_t)q * (size_t)head->width);
    }
    for (; c + COLUMNS * LANES <= d; c += COLUMNS * LANES) {
        mix_block(head, scores, out, n_queries, factors, c, COLUMNS);
    }
    for (; c + LANES <= d; c += LANES) mix_block(head, scores, out, n_queries, factors, c, 1);
    if (c < d) mix_rest(head, scores, out, n_queries, factors, c);
}

// Queries from `first` on, n_queries (a constant) of them.
INLINE void attend_block(const struct head *head, int32_t first, int n_queries) {
    const float *query = head->query + (size_t)first * head->query_stride;
    const size_t width = (size_t)head->width, stride = head->of->out_stride;
    float *out = head->of->out + (size_t)first * stride;
    int32_t j = 0;
    for (; n_queries <= BLOCK && j + VECTORS * LANES <= head->width; j += VECTORS * LANES) {
        score_block(head, query, n_queries, j, VECTORS);
    }
    for (; j < head->width; j += LANES) score_block(head, query, n_queries, j, 1);
    for (int q = 0; q < n_queries; q += BLOCK) {
        const int n = n_queries - q < BLOCK ? n_queries - q : BLOCK;
        mix(head, head->scores + (size_t)q * width, out + (size_t)q * stride, n);
    }
}

// All queries in blocks of n_block (a constant), of which there are that many at least: the last
// block may do some of the one before it again.
INLINE void attend_blocks(const struct head *head, int n_block) {
    const int32_t n = head->of->n_queries;
    int32_t i = 0;
    for (; i + n_block <= n; i += n_block) attend_block(head, i, n_block);
    if (i < n) attend_block(head, n - n_block, n_block);
}

static void attend(struct head *head) {
    const int32_t n_queries = head->of->n_queries;
    head->width = padded(head->of->n_keys);
    head->scores = head->keys_t + (size_t)head->width * (size_t)head->of->head_size;
    transpose_keys(head);
    if (head->width == LANES && n_queries >= BLOCK_MAX) {
        attend_blocks(head, BLOCK_MAX);
    } else if (n_queries >= BLOCK) {
        attend_blocks(head, BLOCK);
    } else {
        attend_blocks(head, 1);
    }
}

// The same columns of the next head, so that they are near when their turn comes: rows lie far
// apart in memory.
INLINE void fetch_next(const struct result_rows *from, int32_t n_rows, int32_t head_size) {
    for (int32_t r = 0; r < n_rows; r++) {
        const float *next = (const float *)from->rows + (size_t)r * from->stride + head_size;
        for (int32_t c = 0; c < head_size; c += LANES) __builtin_prefetch(next + c);
    }
}

void KERNEL(attention_f32)(const struct attention_head *of) {
    struct head head = {
        .query = of->query.rows,
        .key = of->key.rows,
        .value = of->value.rows,
        .query_stride = of->query.stride,
        .key_stride = of->key.stride,
        .value_stride = of->value.stride,
        .of = of,
        .keys_t = of->scratch,
    };
    fetch_next(&of->query, of->n_queries, of->head_size);
    fetch_next(&of->key, of->n_keys, of->head_size);
    fetch_next(&of->value, of->n_keys, of->head_size);
    attend(&head);
}

// Rows of a head's columns as floats, one after the other. Returns the end of them.
INLINE float *unpack(const struct result_rows *from, int32_t n_rows, int32_t head_size, float *to) {
    for (int32_t r = 0; r < n_rows; r++, to += head_size) {
        const int32_t *row = (const int32_t *)from->rows + (size_t)r * from->stride;
        int32_t c = 0;
        for (; c + LANES <= head_size; c += LANES) {
            STORE(to + c,
                  result_lanes(OPERAND_U8, row, from->scales[r], &from->channels, c, LANES));
        }
        if (c < head_size) {
            const int32_t left = head_size - c;
            store_part(to + c, left,
                       result_lanes(OPERAND_U8, row, from->scales[r], &from->channels, c, left));
        }
    }
    return to;
}

void KERNEL(attention_u8)(const struct attention_head *of) {
    const int32_t d = of->head_size;
    float *query = of->scratch, *key = unpack(&of->query, of->n_queries, d, query);
    float *value = unpack(&of->key, of->n_keys, d, key);
    struct head head = {
        .query = query,
        .key = key,
        .value = value,
        .query_stride = (size_t)d,
        .key_stride = (size_t)d,
        .value_stride = (size_t)d,
        .of = of,
        .keys_t = unpack(&of->value, of->n_keys, d, value),
    };
    fetch_next(&of->query, of->n_queries, d);
    fetch_next(&of->key, of->n_keys, d);
    fetch_next(&of->value, of->n_keys, d);
    attend(&head);
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/titles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct title_batch title_batch(const int32_t *lengths, int32_t n_titles, int32_t n_dummies) {
    struct title_batch batch = {.n_titles = n_titles};
    batch.cu_seqlens = rig_alloc((size_t)n_titles + 1, sizeof *batch.cu_seqlens);
    for (int32_t i = 0; i < n_titles; i++) {
        batch.cu_seqlens[i + 1] = batch.cu_seqlens[i] + lengths[i];
    }
    batch.n_rows = batch.cu_seqlens[n_titles] + n_dummies;
    return batch;
}

int32_t *title_batch_send(const struct title_batch *batch, int32_t first_row) {
    const size_t n = (size_t)batch->n_titles + 1;
    int32_t *moved = rig_alloc(n, sizeof *moved);
    for (size_t i = 0; i < n; i++) moved[i] = batch->cu_seqlens[i] + first_row;
    int32_t *sent = rig_int32(moved, n);
    free(moved);
    return sent;
}

void title_batch_free(struct title_batch *batch) {
    free(batch->cu_seqlens);
}

bool title_is_regular(enum title_kind kind) {
    return kind == TITLE_ONE_KEY || kind == TITLE_SAME_KEYS || kind == TITLE_NO_QUERY ||
           kind == TITLE_RISING || kind == TITLE_FALLING;
}

static float *query_row(const struct title_head *head, int32_t i) {
    return head->query + (size_t)i * head->query_stride;
}

static float *key_row(const struct title_head *head, int32_t j) {
    return head->key + (size_t)j * head->key_stride;
}

static float *value_row(const struct title_head *head, int32_t j) {
    return head->value + (size_t)j * head->key_stride;
}

// Components between +-`spread`, so that scores spread by a third of its square: 1, 8, 1200.
static void fill_random(const struct title_head *head, double spread) {
    const size_t n = (size_t)head->head_size;
    const double size = spread / sqrt(head->head_size) / head->scale, offset = rig_uniform(-1, 1);
    for (int32_t i = 0; i < head->n_queries; i++) rig_fill(query_row(head, i), n, -size, size);
    for (int32_t j = 0; j < head->n_keys; j++) {
        rig_fill(key_row(head, j), n, -spread, spread);
        rig_fill(value_row(head, j), n, offset - 2, offset + 2);
    }
}

// Keys are words of +-1, a query is a key times so much that the next best one is far behind.
static void fill_one_key(const struct title_head *head) {
    const int32_t n = head->head_size;
    const double size = 64 / sqrt(n) / head->scale;
    for (int32_t j = 0; j < head->n_keys; j++) {
        for (int32_t c = 0; c < n; c++) key_row(head, j)[c] = rig_one_in(2) ? 1 : -1;
    }
    for (int32_t i = 0; i < head->n_queries; i++) {
        const float *key = key_row(head, rig_below(head->n_keys));
        for (int32_t c = 0; c < n; c++) query_row(head, i)[c] = (float)size * key[c];
    }
}

// Scores of about `first` to `last`, with a jump of the same size from each key to the next.
static void fill_scores(const struct title_head *head, double first, double last) {
    const size_t n = (size_t)head->head_size;
    const double size = 1 / sqrt(head->head_size) / head->scale;
    for (int32_t i = 0; i < head->n_queries; i++) {
        rig_fill(query_row(head, i), n, size / 2, size);
    }
    for (int32_t j = 0; j < head->n_keys; j++) {
        const double score = first + (last - first) * j / head->n_keys;
        const double key = score / (0.75 * sqrt(head->head_size));
        rig_fill(key_row(head, j), n, 0.99 * key, 1.01 * key);
    }
}

static void fill_values(const struct title_head *head, double low, double high) {
    for (int32_t j = 0; j < head->n_keys; j++) {
        float *value = value_row(head, j);
        for (int32_t c = 0; c < head->head_size; c++) {
            const double size = rig_uniform(low, high);
            value[c] = (float)(rig_one_in(2) ? size : -size);
        }
    }
}

static void break_one(const struct title_head *head) {
    float *row = rig_one_in(3)   ? query_row(head, rig_below(head->n_queries))
                 : rig_one_in(2) ? key_row(head, rig_below(head->n_keys))
                                 : value_row(head, rig_below(head->n_keys));
    row[rig_below(head->head_size)] = NAN;
}

void title_fill(const struct title_head *head, enum title_kind kind) {
    const size_t row_nbytes = (size_t)head->head_size * sizeof(float);
    const double sharp = rig_one_in(2) ? 5 : 60;
    fill_random(head, kind == TITLE_SHARP ? sharp : 1.7);
    if (kind == TITLE_ONE_KEY) fill_one_key(head);
    const double low = rig_one_in(2) ? -2000 : -20000;
    if (kind == TITLE_NEGATIVE) fill_scores(head, low, low);
    if (kind == TITLE_RISING) fill_scores(head, 0, rig_uniform(5, 60));
    if (kind == TITLE_FALLING) fill_scores(head, rig_uniform(5, 60), 0);
    if (kind == TITLE_LARGE && head->dtype == DTYPE_F16) fill_values(head, 60000, 65504);
    if (kind == TITLE_LARGE && head->dtype != DTYPE_F16) fill_values(head, 1e29, 1e30);
    if (kind == TITLE_SUBNORMAL)
        fill_values(head, 0, head->dtype == DTYPE_F16 ? 0x1p-15 : 0x1p-127);
    for (int32_t j = 1; kind == TITLE_SAME_KEYS && j < head->n_keys; j++) {
        memcpy(key_row(head, j), key_row(head, 0), row_nbytes);
    }
    for (int32_t i = 0; kind == TITLE_NO_QUERY && i < head->n_queries; i++) {
        for (int32_t c = 0; c < head->head_size; c++) {
            query_row(head, i)[c] = rig_one_in(2) ? 0.0F : -0.0F;
        }
    }
    if (kind == TITLE_NAN) break_one(head);
}

// SPDX-License-Identifier: Apache-2.0
//
// Titles for the tests of attention: packed batches, and queries, keys and values of many kinds.
#ifndef WADER_TESTS_SIMT_TITLES_H
#define WADER_TESTS_SIMT_TITLES_H

#include "tests/simt/rig.h"

// Title i is rows [cu_seqlens[i], cu_seqlens[i + 1]); rows from the last title's end to n_rows are
// dummies.
struct title_batch {
    int32_t n_titles, n_rows;
    int32_t *cu_seqlens;  // [n_titles + 1]
};
struct title_batch title_batch(const int32_t *lengths, int32_t n_titles, int32_t n_dummies);
// A device copy of cu_seqlens with `first_row` added; device_free() it.
int32_t *title_batch_send(const struct title_batch *batch, int32_t first_row);
void title_batch_free(struct title_batch *batch);
static inline int32_t title_length(const struct title_batch *batch, int32_t i) {
    return batch->cu_seqlens[i + 1] - batch->cu_seqlens[i];
}

enum title_kind {
    TITLE_USUAL,
    TITLE_SHARP,      // few keys matter, or one: large scores
    TITLE_ONE_KEY,    // each query takes one key alone, another one each: the value shows which
    TITLE_SAME_KEYS,  // equal scores
    TITLE_NO_QUERY,   // zeros of both signs: scores of 0
    TITLE_NEGATIVE,   // all scores far below 0
    TITLE_RISING,     // the largest score is always the next one
    TITLE_FALLING,
    TITLE_LARGE,      // values near the largest of F16, else some 1e30
    TITLE_SUBNORMAL,  // values
    TITLE_NAN,        // one, in a query, a key or a value
    TITLE_KINDS
};

// That scores of this kind are equal or follow a rule (kernel_ref.h).
bool title_is_regular(enum title_kind kind);

// One head's view of one title. Strides are in elements.
struct title_head {
    enum dtype dtype;
    int32_t n_queries, n_keys, head_size;
    float scale;  // queries are so large that scores do not depend on it
    float *query, *key, *value;
    size_t query_stride, key_stride;  // the values' stride is the keys'
};
void title_fill(const struct title_head *head, enum title_kind kind);

#endif

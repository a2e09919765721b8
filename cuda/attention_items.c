// SPDX-License-Identifier: Apache-2.0
#include "cuda/attention_items.h"

#include <assert.h>

#include "host/base/base.h"

struct bucket {
    int32_t n_keys_max;  // of its titles
    int32_t n_queries;   // of an item
};

#define BUCKET(keys, queries) {keys, queries},
static const struct bucket buckets[] = {ATTENTION_BUCKET_LIST(BUCKET)};
#undef BUCKET

_Static_assert(ARRAY_LEN(buckets) == ATTENTION_BUCKETS, "one entry for each bucket");

enum { QUERIES_LEAST = 16 };  // of an item, but for the last one of a title

// The bucket of a title of n_keys tokens, at least 1.
static int bucket_of(int32_t n_keys) {
    int bucket = 0;
    while (n_keys > buckets[bucket].n_keys_max) bucket++;
    return bucket;
}

static int32_t n_items_of(int32_t n_keys, int bucket) {
    return (n_keys - 1) / buckets[bucket].n_queries + 1;
}

// A title of n tokens has at most 1 + (n - 1) / 16 items. Over t titles that have tokens these are
// t, and the quotients, rounded down one by one, are no more than (n_tokens - t) / 16. Another
// title adds 1 to t and at most 1 less to the quotient, so the most titles are the worst. The bound
// is met but for 3 items at most: a title has 1 item, or 5 and more.
size_t attention_items_cap(int32_t n_tokens, int32_t n_titles) {
    assert(n_tokens >= 0 && n_titles >= 0);
    int32_t n_filled = n_titles < n_tokens ? n_titles : n_tokens;
    if (n_filled == 0) return 0;
    return (size_t)n_filled + (size_t)((n_tokens - n_filled) / QUERIES_LEAST);
}

// Sorts by counting: first how many items each bucket gets, hence where they start, then the items.
void attention_items_build(const int32_t *cu_seqlens, int32_t n_titles,
                           struct attention_item *items, int32_t starts[ATTENTION_BUCKETS + 1]) {
    int32_t n_items[ATTENTION_BUCKETS] = {0}, next[ATTENTION_BUCKETS];
    for (int32_t i = 0; i < n_titles; i++) {
        const int32_t n_keys = cu_seqlens[i + 1] - cu_seqlens[i];
        if (n_keys == 0) continue;
        const int bucket = bucket_of(n_keys);
        n_items[bucket] += n_items_of(n_keys, bucket);
    }
    starts[0] = 0;
    for (int b = 0; b < ATTENTION_BUCKETS; b++) {
        next[b] = starts[b];
        starts[b + 1] = starts[b] + n_items[b];
    }
    for (int32_t i = 0; i < n_titles; i++) {
        const int32_t n_keys = cu_seqlens[i + 1] - cu_seqlens[i];
        if (n_keys == 0) continue;
        const int bucket = bucket_of(n_keys);
        const int32_t n = n_items_of(n_keys, bucket);
        for (int32_t part = 0; part < n; part++) {
            items[next[bucket]++] =
                (struct attention_item){.first_row = cu_seqlens[i],
                                        .n_keys = n_keys,
                                        .first_query = part * buckets[bucket].n_queries,
                                        .title = i};
        }
    }
}

void attention_positions(const int32_t *cu_seqlens, int32_t n_titles, int32_t n_rows,
                         int32_t *position_ids) {
    assert(cu_seqlens[n_titles] <= n_rows);
    for (int32_t i = 0; i < n_titles; i++) {
        for (int32_t row = cu_seqlens[i]; row < cu_seqlens[i + 1]; row++) {
            position_ids[row] = row - cu_seqlens[i];
        }
    }
    for (int32_t row = cu_seqlens[n_titles]; row < n_rows; row++) position_ids[row] = -1;
}

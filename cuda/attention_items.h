// SPDX-License-Identifier: Apache-2.0
//
// Which warp attends to what: a packed batch cut into items of a few queries, sorted into buckets
// by the length of their titles, so that one kernel variant serves a bucket and no warp waits for a
// longer neighbour. Pure C, made on the host beside the batch and copied with it.
#ifndef WADER_CUDA_ATTENTION_ITEMS_H
#define WADER_CUDA_ATTENTION_ITEMS_H

#include <stddef.h>
#include <stdint.h>

// Bucket b holds the titles of more than ATTENTION_KEYS(b - 1) and at most ATTENTION_KEYS(b)
// tokens; the last one has no limit. Up to 64 tokens an item is a whole title; longer titles are
// cut into items of 16 queries, so that several warps share them.
#define ATTENTION_BUCKET_LIST(X) /* keys at most, queries of an item */ \
    X(16, 16)                                                           \
    X(32, 32)                                                           \
    X(48, 48)                                                           \
    X(64, 64)                                                           \
    X(128, 16)                                                          \
    X(INT32_MAX, 16)

enum { ATTENTION_BUCKETS = 6 };

struct attention_item {
    int32_t first_row;    // of the title
    int32_t n_keys;       // tokens of the title, at least 1
    int32_t first_query;  // within the title, a multiple of 16
    int32_t title;        // within the batch
};

#ifdef __cplusplus
extern "C" {
#endif

// Items that titles of `n_tokens` tokens in all can need, at most, however they are cut.
size_t attention_items_cap(int32_t n_tokens, int32_t n_titles);

// Writes the items of a packed batch (title i is rows [cu_seqlens[i], cu_seqlens[i + 1]); empty
// titles have none) in the order of their buckets, within one in the order of the batch. Those of
// bucket b are items[starts[b]] to items[starts[b + 1] - 1].
void attention_items_build(const int32_t *cu_seqlens, int32_t n_titles,
                           struct attention_item *items, int32_t starts[ATTENTION_BUCKETS + 1]);

// Position of each row within its title, -1 for the dummy rows from the last title's end to n_rows.
void attention_positions(const int32_t *cu_seqlens, int32_t n_titles, int32_t n_rows,
                         int32_t *position_ids);

#ifdef __cplusplus
}
#endif

#endif

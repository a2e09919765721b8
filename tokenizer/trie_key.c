// SPDX-License-Identifier: Apache-2.0
//
// Ordering tokens. Most comparisons end at the first eight bytes, which lie in the key itself.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/trie.h"

struct trie_key trie_key_make(enum trie_root root, struct span token, int32_t id, uint32_t order) {
    assert(token.len <= UINT32_MAX);
    struct trie_key key = {
        .bytes = token.ptr, .len = (uint32_t)token.len, .order = order, .id = id, .root = root};
    for (size_t i = 0; i < 8; i++) {
        key.head = key.head << 8 | (i < token.len ? (uint8_t)token.ptr[i] : 0);
    }
    return key;
}

// By root and bytes. Equal heads with a NUL in them may belong to different lengths, hence the full
// comparison below.
static int compare_tokens(const struct trie_key *a, const struct trie_key *b) {
    if (a->root != b->root) return a->root < b->root ? -1 : 1;
    if (a->head != b->head) return a->head < b->head ? -1 : 1;
    uint32_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter > 0 ? memcmp(a->bytes, b->bytes, shorter) : 0;
    if (order != 0) return order;
    return a->len == b->len ? 0 : a->len < b->len ? -1 : 1;
}

static int compare_keys(const void *left, const void *right) {
    const struct trie_key *a = left, *b = right;
    int order = compare_tokens(a, b);
    if (order != 0) return order;
    return a->order == b->order ? 0 : a->order < b->order ? -1 : 1;
}

void trie_sort(struct trie_key *keys, size_t n) {
    if (n > 1) qsort(keys, n, sizeof *keys, compare_keys);
}

const struct trie_key *trie_find(const struct trie_key *keys, size_t n, enum trie_root root,
                                 struct span token) {
    struct trie_key wanted = trie_key_make(root, token, 0, 0);
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_tokens(&keys[middle], &wanted);
        if (order == 0) return &keys[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

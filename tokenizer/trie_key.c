// SPDX-License-Identifier: Apache-2.0
//
// Ordering tokens. The first eight bytes, which lie in the key itself, decide nearly always.
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

// A key while it is sorted by its head.
struct item {
    uint64_t head;
    uint32_t index;
    uint32_t root;
};

enum { HEAD_BYTES = 8, ITEM_DIGITS = HEAD_BYTES + 1 };  // and the root

_Static_assert(TRIE_ROOTS <= 256, "a root is a digit");

static unsigned item_digit(const struct item *item, int digit) {
    return digit < HEAD_BYTES ? (unsigned)(item->head >> 8 * digit & 0xFF) : item->root;
}

// Radix sort by head and root, from the lowest digit up; `spare` is as large as `items`. Returns
// the one of both that holds the result.
static struct item *sort_items(struct item *items, struct item *spare, size_t n) {
    size_t counts[ITEM_DIGITS][256] = {0};
    for (size_t i = 0; i < n; i++) {
        for (int digit = 0; digit < ITEM_DIGITS; digit++) {
            counts[digit][item_digit(&items[i], digit)]++;
        }
    }
    for (int digit = 0; digit < ITEM_DIGITS; digit++) {
        size_t *places = counts[digit], sum = 0;
        if (places[item_digit(&items[0], digit)] == n) continue;
        for (int value = 0; value < 256; value++) {
            size_t count = places[value];
            places[value] = sum;
            sum += count;
        }
        for (size_t i = 0; i < n; i++) spare[places[item_digit(&items[i], digit)]++] = items[i];
        struct item *sorted = spare;
        spare = items;
        items = sorted;
    }
    return items;
}

// `sorted` has room for n keys, `items` for 2 n.
static void sort_keys(struct trie_key *keys, size_t n, struct trie_key *sorted,
                      struct item *items) {
    for (size_t i = 0; i < n; i++) {
        items[i] = (struct item){keys[i].head, (uint32_t)i, (uint32_t)keys[i].root};
    }
    items = sort_items(items, items + n, n);
    for (size_t i = 0; i < n; i++) sorted[i] = keys[items[i].index];
    memcpy(keys, sorted, n * sizeof *keys);
    // What the heads leave open: long tokens that begin alike, and repeated ones.
    for (size_t first = 0, last = 1; last <= n; last++) {
        if (last < n && keys[last].head == keys[first].head &&
            keys[last].root == keys[first].root) {
            continue;
        }
        if (last - first > 1) qsort(keys + first, last - first, sizeof *keys, compare_keys);
        first = last;
    }
}

void trie_sort(struct trie_key *keys, size_t n) {
    enum { FEW = 256 };  // fewer keys than a radix sort's counters are worth
    struct trie_key *sorted = NULL;
    struct item *items = NULL;
    if (n >= FEW && n < UINT32_MAX / 2) {
        sorted = malloc(n * sizeof *sorted);
        items = malloc(2 * n * sizeof *items);
    }
    if (sorted != NULL && items != NULL) {
        sort_keys(keys, n, sorted, items);
    } else if (n > 1) {
        qsort(keys, n, sizeof *keys, compare_keys);
    }
    free(sorted);
    free(items);
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

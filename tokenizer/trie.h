// SPDX-License-Identifier: Apache-2.0
//
// The vocabulary as a trie over bytes, for greedy longest match. It has four roots: what may start
// a word, what may continue one (written "##..." in a vocabulary, stored without that), and the
// added tokens that are looked for in the raw title or in the normalized one. A double array (Aoe
// 1989, in the XOR form of Yata's darts-clone): one load and one comparison per byte.
#ifndef WADER_TOKENIZER_TRIE_H
#define WADER_TOKENIZER_TRIE_H

#include "host/base/base.h"

enum trie_root { TRIE_START, TRIE_CONTINUE, TRIE_ADDED, TRIE_ADDED_NORMAL, TRIE_ROOTS };

enum {
    TRIE_NO_ID = 0xFFFFFF,       // ids are below this
    TRIE_TOKEN_BYTES_MAX = 4000  // longer tokens are left out: no word is that long
};

// A node in four bytes, so that the nodes of 120,000 tokens take 1.2 MB: the byte that leads to it
// (0 to 7), whether a token ends at it (8), the base of its children (9 to 31).
//
// The child by byte b of a node with base B is the slot B ^ b, if that slot's byte is b. A base
// belongs to one node only and is never 0, so a byte that fits proves the parent. A free slot is 0,
// and no node is. Slot 0 is never used.
typedef uint32_t trie_node;

enum { TRIE_END_BIT = 1 << 8, TRIE_BASE_SHIFT = 9, TRIE_SLOTS_MAX = 1 << 23 };

struct trie {
    trie_node *nodes;  // [n_slots]
    int32_t *ids;      // [n_slots], of the token that ends there
    size_t n_slots;    // a multiple of 256, so that base ^ byte is always inside
    uint32_t root_base[TRIE_ROOTS];
};

// A token of a vocabulary. The bytes are somebody else's.
struct trie_key {
    uint64_t head;  // the first 8 bytes, big-endian, padded with zeros: trie_key_make sets it
    const char *bytes;
    uint32_t len;
    uint32_t order;  // position in its file
    int32_t id;
    enum trie_root root;
};

struct trie_key trie_key_make(enum trie_root root, struct span token, int32_t id, uint32_t order);

// Sorts by root, bytes and order.
void trie_sort(struct trie_key *keys, size_t n);

// The key of `token` among keys sorted and without duplicates, or NULL.
const struct trie_key *trie_find(const struct trie_key *keys, size_t n, enum trie_root root,
                                 struct span token);

// Builds from keys sorted and without duplicates; none of them is empty. Keys longer than
// TRIE_TOKEN_BYTES_MAX cannot match and are left out. `name` is the file to
// blame in an error: STATUS_MODEL where the keys would fill too sparse an array, which takes
// malice.
enum status trie_build(struct trie *trie, const struct trie_key *keys, size_t n, const char *name,
                       struct error *error);
void trie_free(struct trie *trie);

// Calls `seen` for every token below `root`, in order of its bytes, which are gone afterwards.
void trie_each(const struct trie *trie, enum trie_root root,
               void (*seen)(void *context, struct span token, int32_t id), void *context);

struct trie_match {
    size_t len;  // bytes; 0: no token matches
    int32_t id;
};

// The longest token below `root` that starts at `at` and ends by `end`.
static inline struct trie_match trie_longest(const struct trie *trie, enum trie_root root,
                                             const uint8_t *at, const uint8_t *end) {
    struct trie_match match = {0};
    uint32_t base = trie->root_base[root], last = 0;
    for (const uint8_t *next = at; next < end; next++) {
        uint32_t slot = base ^ *next;
        trie_node node = trie->nodes[slot];
        if ((uint8_t)node != *next || node == 0) break;
        if ((node & TRIE_END_BIT) != 0) {
            match.len = (size_t)(next - at) + 1;
            last = slot;
        }
        base = node >> TRIE_BASE_SHIFT;
    }
    if (match.len > 0) match.id = trie->ids[last];
    return match;
}

#endif

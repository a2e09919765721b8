// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/trie.h"

// Depth first, without recursion: the path to the node at hand is what its token's bytes are.
void trie_each(const struct trie *trie, enum trie_root root,
               void (*seen)(void *context, struct span token, int32_t id), void *context) {
    char token[TRIE_TOKEN_BYTES_MAX];
    uint32_t bases[TRIE_TOKEN_BYTES_MAX + 1];
    unsigned next[TRIE_TOKEN_BYTES_MAX + 1];  // the byte to be tried at each depth
    size_t depth = 0;
    bases[0] = trie->root_base[root];
    next[0] = 0;
    for (;;) {
        if (next[depth] > UINT8_MAX) {
            if (depth == 0) return;
            depth--;
            continue;
        }
        const unsigned byte = next[depth]++;
        const uint32_t slot = bases[depth] ^ byte;
        const trie_node node = trie->nodes[slot];
        if (node == 0 || (node & UINT8_MAX) != byte || depth == TRIE_TOKEN_BYTES_MAX) continue;
        token[depth++] = (char)byte;
        if ((node & TRIE_END_BIT) != 0) {
            seen(context, (struct span){token, depth}, trie->ids[slot]);
        }
        bases[depth] = node >> TRIE_BASE_SHIFT;
        next[depth] = 0;
    }
}

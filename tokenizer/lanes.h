// SPDX-License-Identifier: Apache-2.0
//
// The four loops of the quick path (batch.c) that want vectors. Words are walked through the trie
// sixteen at a time, one a lane: a walk is a chain of loads that depend on each other, and sixteen
// chains hide each other's latency, without a branch that could be predicted wrongly.
#ifndef WADER_TOKENIZER_LANES_H
#define WADER_TOKENIZER_LANES_H

#include "tokenizer/chars.h"
#include "tokenizer/trie.h"

enum {
    ROUND_NBYTES = 16 * 1024,  // text of a round
    LANES_SLACK = 64,          // bytes or elements that a loop may touch beyond what it is given
    // Lanes without a word stand here, at a byte that must be 0xFF, with which no token starts.
    IDLE_AT = ROUND_NBYTES + LANES_SLACK,
    TEXT_NBYTES = IDLE_AT + 4,
};

// What copying takes as it is. It does not check that bytes are well formed.
struct copy_rules {
    const struct char_map *chars;
    const struct trie *trie;
    bool lowercase;  // A to Z become a to z
    int added_lead;  // all added tokens start with this printable ASCII; -1: none is looked for
    // Characters of two bytes: bit s % 8 of [l * 8 + s / 8], where l and s are the low five and six
    // bits of the bytes, is set where the character is not CHAR_WORD.
    uint8_t two_bytes[256];
    // Characters of three bytes: the same, l being the low four bits of the first, where any third
    // byte makes a character that is not CHAR_WORD.
    uint8_t three_bytes[128];
};

struct word_list {
    size_t n;
    uint32_t starts[ROUND_NBYTES + LANES_SLACK];  // byte offsets in the text
    uint32_t ends[ROUND_NBYTES + LANES_SLACK];    // behind the last byte
};

// Tokens found, in no order.
struct token_list {
    uint32_t ends[ROUND_NBYTES + LANES_SLACK];   // byte offset in the text, behind the last byte
    uint32_t slots[ROUND_NBYTES + LANES_SLACK];  // in the trie
};

// What ends with each byte of the text: a token's id + 1, or 0.
typedef uint32_t mark;

struct lanes {
    // Copies `n` bytes, or those before the first added token, ASCII control or character beyond
    // ASCII that is not CHAR_WORD, and returns how many. Writes up to LANES_SLACK bytes beyond.
    size_t (*copy)(const struct copy_rules *rules, const uint8_t *from, size_t n, uint8_t *to);

    // Cuts [text, text + n) at spaces, and each ASCII punctuation character off as a word. The rest
    // is words. Reads up to LANES_SLACK bytes beyond `n`.
    void (*split)(const uint8_t *text, size_t n, struct word_list *words);

    // Cuts every word of at most `max_len` bytes into the longest tokens. `marks` gets their ids.
    // `text` has TEXT_NBYTES bytes.
    // `left`, empty before, gets the words that are longer or cannot be cut: of their marks nothing
    // is said. Changes `words`; `tokens` is scratch.
    void (*walk)(const struct trie *trie, const uint8_t *text, struct word_list *words,
                 uint32_t max_len, mark *marks, struct token_list *tokens, struct word_list *left);

    // Writes the ids of the marks in [0, n), clears those, and puts into `n_before[i]` how many ids
    // there are up to and with the mark at title_ends[i]. Writes up to LANES_SLACK ids beyond.
    void (*gather)(mark *marks, size_t n, const uint32_t *title_ends, size_t n_titles, int32_t *ids,
                   uint32_t *n_before);
};

// What this processor can run, or NULL: it then has to do without.
const struct lanes *lanes_choose(void);

extern const struct lanes lanes_avx512;

#endif

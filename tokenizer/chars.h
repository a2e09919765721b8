// SPDX-License-Identifier: Apache-2.0
//
// What a tokenizer makes of each character of a title: Hugging Face's BertNormalizer
// (normalizers/bert.rs) and BertPreTokenizer (pre_tokenizers/bert.rs) folded into one table, since
// all but the canonical order of combining marks is decided one character at a time. The facts come
// from unicode_ranges.tsv, unicode_strip.tsv and unicode_lower.tsv, which are frozen: the Unicode
// version of an installed library changes nothing.
#ifndef WADER_TOKENIZER_CHARS_H
#define WADER_TOKENIZER_CHARS_H

#include <assert.h>

#include "host/base/base.h"

// The settings of a BertNormalizer. Its strip_accents null is resolved to lowercase before.
struct normalizer {
    bool clean_text;
    bool handle_chinese_chars;
    bool strip_accents;
    bool lowercase;
};

enum char_kind {
    CHAR_WORD = 0,    // belongs to the word around it, as it is
    CHAR_MAPPED = 1,  // belongs to the word around it, as its text
    CHAR_DELETE = 2,  // vanishes; its neighbours join
    CHAR_SPACE = 3,   // ends a word
    CHAR_ALONE = 4,   // a word of its own: punctuation, CJK ideographs; as its text
    CHAR_BLOCK = 5,   // vanishes, but combining marks are not put in order across it
    CHAR_MARK = 6,    // as CHAR_MAPPED; its text has combining marks that canonical order may move
};

enum { CHAR_TEXT_MAX = 14 };  // bytes; some musical symbols need 12, Hangul syllables 9

// What stands for a character, UTF-8. Text 0 is empty and means the character itself, text 1 is
// U+FFFD.
struct char_text {
    uint8_t len;      // bytes
    uint8_t n_chars;  // code points
    char bytes[CHAR_TEXT_MAX];
};

// Kind in the lowest three bits, above it the index of a text (0 where the kind needs none).
typedef uint32_t char_entry;

struct char_map {
    uint16_t page_of[0x1100];  // which page holds [256 i, 256 i + 255]
    char_entry (*pages)[256];  // [n_pages]; no two indices share a page that has CHAR_ALONE
    size_t n_pages;
    struct char_text *texts;  // [n_texts]
    size_t n_texts;
};

// Fails only for lack of memory. `map` may be freed after a failure, too.
enum status char_map_make(struct char_map *map, const struct normalizer *normalizer,
                          struct error *error);
void char_map_free(struct char_map *map);

static inline enum char_kind char_kind(char_entry entry) {
    return (enum char_kind)(entry & 7);
}

static inline uint32_t char_value(char_entry entry) {
    return entry >> 3;
}

// `code` is in [0, 0x10FFFF].
static inline char_entry char_map_at(const struct char_map *map, int32_t code) {
    assert(code >= 0 && code < 0x110000);
    return map->pages[map->page_of[code >> 8]][code & 255];
}

// The canonical combining class of a character that CHAR_MARK texts may hold; 0 for a starter.
// As in Unicode 9.0, and only for marks that survive the stripping of accents.
uint8_t char_combining_class(int32_t code);

// Whether handle_chinese_chars puts spaces around a character.
bool char_is_cjk(int32_t code);

#endif

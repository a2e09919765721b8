// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/chars.h"

#include <stdlib.h>
#include <string.h>

enum char_class { CLASS_DELETE, CLASS_EITHER, CLASS_SPACE, CLASS_PUNCT, CLASS_CJK };

struct range {
    int32_t first, last;
    uint8_t value;  // an enum char_class, or a combining class
};

// What stands in `to` where a character leaves nothing; no result starts with U+0000.
enum { STRIP_DROP = 0, STRIP_BLOCK = -1 };

struct strip_range {
    int32_t first, last;
    int32_t to[3];  // unused ones are 0
};

struct lower_range {
    int32_t first, last, step;
    int32_t to[2];  // of `first`; unused ones are 0
};

#include "tokenizer/chars_tables.inc"

enum { PAGE = 256, N_PAGES_SHARED = 2 };

// All of a shared page is CHAR_WORD, or all of it is CHAR_DELETE.
enum { PAGE_WORD = 0, PAGE_DELETE = 1 };

enum { TEXT_SELF = 0 };

enum { HANGUL_FIRST = 0xAC00, HANGUL_LAST = 0xD7A3, N_VOWELS = 21, N_TAILS = 28 };

_Static_assert(PAGES_MAX <= UINT16_MAX, "page_of holds page numbers");

// The 256 entries among which that of `code` is, for writing.
static char_entry *own_page(struct char_map *map, int32_t code) {
    uint16_t *page = &map->page_of[code / PAGE];
    if (*page < N_PAGES_SHARED) {
        assert(map->n_pages < PAGES_MAX);
        memcpy(map->pages[map->n_pages], map->pages[*page], sizeof *map->pages);
        *page = (uint16_t)map->n_pages++;
    }
    return map->pages[*page];
}

static void set(struct char_map *map, int32_t code, char_entry entry) {
    own_page(map, code)[code % PAGE] = entry;
}

static void set_range(struct char_map *map, int32_t first, int32_t last, char_entry entry) {
    while (first <= last) {
        const int32_t page_last = first | (PAGE - 1), stop = last < page_last ? last : page_last;
        if (entry == CHAR_DELETE && stop - first == PAGE - 1) {
            map->page_of[first / PAGE] = PAGE_DELETE;
        } else {
            char_entry *page = own_page(map, first);
            for (int32_t code = first; code <= stop; code++) page[code % PAGE] = entry;
        }
        first = stop + 1;
    }
}

// The kind that a class has of itself, whatever the character is mapped to.
static enum char_kind class_kind(enum char_class char_class, const struct normalizer *normalizer) {
    switch (char_class) {
        case CLASS_DELETE:
            return normalizer->clean_text ? CHAR_DELETE : CHAR_WORD;
        case CLASS_EITHER:
            return normalizer->clean_text ? CHAR_DELETE : CHAR_SPACE;
        case CLASS_SPACE:
            return CHAR_SPACE;
        case CLASS_PUNCT:
            return CHAR_ALONE;
        case CLASS_CJK:
            return normalizer->handle_chinese_chars ? CHAR_ALONE : CHAR_WORD;
    }
    return CHAR_WORD;
}

// An empty one, at the end.
static struct char_text *new_text(struct char_map *map) {
    assert(map->n_texts < TEXTS_MAX);
    struct char_text *text = &map->texts[map->n_texts++];
    *text = (struct char_text){0};
    return text;
}

static char_entry entry_with(const struct char_map *map, enum char_kind kind,
                             const struct char_text *text) {
    return (char_entry)kind | (char_entry)(text - map->texts) << 3;
}

static void append_code(struct char_text *text, int32_t code) {
    const uint32_t c = (uint32_t)code;
    const unsigned len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    assert(text->len + len <= CHAR_TEXT_MAX);
    char *at = text->bytes + text->len;
    if (len == 1) {
        at[0] = (char)c;
    } else {
        at[0] = (char)((0xF00 >> len & 0xFF) | c >> 6 * (len - 1));
        for (unsigned i = 1; i < len; i++) at[i] = (char)(0x80 | (c >> 6 * (len - 1 - i) & 0x3F));
    }
    text->len = (uint8_t)(text->len + len);
    text->n_chars++;
}

static void append_text(struct char_text *text, const struct char_text *more) {
    assert(text->len + more->len <= CHAR_TEXT_MAX);
    memcpy(text->bytes + text->len, more->bytes, more->len);
    text->len = (uint8_t)(text->len + more->len);
    text->n_chars = (uint8_t)(text->n_chars + more->n_chars);
}

static void add_lower(struct char_map *map, const struct lower_range *range) {
    for (int32_t code = range->first; code <= range->last; code += range->step) {
        struct char_text *text = new_text(map);
        append_code(text, range->to[0] + code - range->first);
        if (range->to[1] != 0) append_code(text, range->to[1]);
        set(map, code, entry_with(map, CHAR_MAPPED, text));
    }
}

static void add_marks(struct char_map *map, const struct range *range) {
    for (int32_t code = range->first; code <= range->last; code++) {
        struct char_text *text = new_text(map);
        append_code(text, code);
        set(map, code, entry_with(map, CHAR_MARK, text));
    }
}

// Follows add_lower and add_marks, so that the table already tells what becomes of the parts of a
// decomposition. They decide its kind, too: U+2260 stands alone as the '=' that it leaves. But what
// stands alone by itself does so whatever it leaves, for CJK ideographs are told before they are
// decomposed.
static void add_strip(struct char_map *map, const struct strip_range *range) {
    if (range->to[0] == STRIP_DROP || range->to[0] == STRIP_BLOCK) {
        const bool blocks = range->to[0] == STRIP_BLOCK;
        set_range(map, range->first, range->last, blocks ? CHAR_BLOCK : CHAR_DELETE);
        return;
    }
    // U+2000 and U+2001 decompose to other spaces.
    if (char_kind(char_map_at(map, range->first)) == CHAR_SPACE) return;
    struct char_text *text = new_text(map);
    enum char_kind kind = CHAR_MAPPED;
    for (size_t i = 0; i < ARRAY_LEN(range->to) && range->to[i] != 0; i++) {
        const char_entry part = char_map_at(map, range->to[i]);
        if (char_value(part) == TEXT_SELF) {
            append_code(text, range->to[i]);
        } else {
            append_text(text, &map->texts[char_value(part)]);
        }
        if (char_kind(part) == CHAR_ALONE || char_kind(part) == CHAR_MARK) kind = char_kind(part);
    }
    for (int32_t code = range->first; code <= range->last; code++) {
        const bool alone = char_kind(char_map_at(map, code)) == CHAR_ALONE;
        set(map, code, entry_with(map, alone ? CHAR_ALONE : kind, text));
    }
}

// Hangul syllables stand in the order of their jamo, the trailing one changing fastest; the first
// of its places means that there is none.
static void add_hangul(struct char_map *map) {
    for (int32_t code = HANGUL_FIRST; code <= HANGUL_LAST; code++) {
        const int32_t index = code - HANGUL_FIRST, tail = index % N_TAILS;
        struct char_text *text = new_text(map);
        append_code(text, 0x1100 + index / N_TAILS / N_VOWELS);
        append_code(text, 0x1161 + index / N_TAILS % N_VOWELS);
        if (tail > 0) append_code(text, 0x11A7 + tail);
        set(map, code, entry_with(map, CHAR_MAPPED, text));
    }
}

// Room for all that any settings need. What they do not need is never touched, and so takes no
// memory.
static enum status start(struct char_map *map, struct error *error) {
    *map = (struct char_map){0};
    void *memory = NULL;
    enum status status =
        alloc_array(&memory, PAGES_MAX, sizeof *map->pages, "the character table", error);
    if (status != STATUS_OK) return status;
    map->pages = memory;
    status = alloc_array(&memory, TEXTS_MAX, sizeof *map->texts, "the character table", error);
    if (status != STATUS_OK) return status;
    map->texts = memory;
    for (size_t i = 0; i < PAGE; i++) {
        map->pages[PAGE_WORD][i] = CHAR_WORD;
        map->pages[PAGE_DELETE][i] = CHAR_DELETE;
    }
    map->n_pages = N_PAGES_SHARED;
    new_text(map);                       // TEXT_SELF
    append_code(new_text(map), 0xFFFD);  // the one for what is no character
    return STATUS_OK;
}

enum status char_map_make(struct char_map *map, const struct normalizer *normalizer,
                          struct error *error) {
    const enum status status = start(map, error);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < ARRAY_LEN(class_ranges); i++) {
        const struct range *range = &class_ranges[i];
        const enum char_kind kind = class_kind((enum char_class)range->value, normalizer);
        if (kind != CHAR_WORD) set_range(map, range->first, range->last, kind);
    }
    if (normalizer->lowercase) {
        for (size_t i = 0; i < ARRAY_LEN(lower_ranges); i++) add_lower(map, &lower_ranges[i]);
    }
    if (normalizer->strip_accents) {
        for (size_t i = 0; i < ARRAY_LEN(mark_ranges); i++) add_marks(map, &mark_ranges[i]);
        for (size_t i = 0; i < ARRAY_LEN(strip_ranges); i++) add_strip(map, &strip_ranges[i]);
        add_hangul(map);
    }
    return STATUS_OK;
}

void char_map_free(struct char_map *map) {
    free(map->pages);
    free(map->texts);
    *map = (struct char_map){0};
}

// The one of ascending ranges that `code` is in, or NULL.
static const struct range *find_range(const struct range *ranges, size_t n, int32_t code) {
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code > ranges[middle].last) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n && code >= ranges[low].first ? &ranges[low] : NULL;
}

uint8_t char_combining_class(int32_t code) {
    const struct range *range = find_range(mark_ranges, ARRAY_LEN(mark_ranges), code);
    return range != NULL ? range->value : 0;
}

bool char_is_cjk(int32_t code) {
    const struct range *range = find_range(class_ranges, ARRAY_LEN(class_ranges), code);
    return range != NULL && range->value == CLASS_CJK;
}

// SPDX-License-Identifier: Apache-2.0
//
// Hugging Face's BertNormalizer (normalizers/bert.rs) on a whole text: clean_text, spaces around
// ideographs, NFD without nonspacing marks, lower case. The table decides all of it one character
// at a time but the canonical order of the marks that are left.
#include "tokenizer/normalize.h"

#include <string.h>

#include "tokenizer/decode.h"

struct text {
    uint8_t *bytes;
    size_t n;
    size_t run;  // where the marks at the end begin, among which there is no starter
    uint8_t last_class;
    bool disordered;  // the marks at the end are not in canonical order
};

// Puts the marks at the end in canonical order (The Unicode Standard, section 3.11): by class,
// those of one class as they come. One pass for each class that is there, of the few that survive
// the stripping of accents, so the time is linear however long the run is.
static void order_run(struct text *text) {
    const uint8_t *first = text->bytes + text->run, *last = text->bytes + text->n;
    uint8_t *spare = text->bytes + text->n, *to = spare;
    for (int class = 0; to - spare < last - first;) {
        int next = UINT8_MAX + 1;
        size_t len;
        for (const uint8_t *at = first; at < last; at += len) {
            const int its = char_combining_class(utf8_decode(at, last, &len));
            if (its == class) {
                memcpy(to, at, len);
                to += len;
            } else if (its > class && its < next) {
                next = its;
            }
        }
        class = next;
    }
    memcpy(text->bytes + text->run, spare, (size_t)(to - spare));
}

// A starter comes next, or something that marks do not pass though it vanishes.
static void end_run(struct text *text) {
    if (text->disordered) order_run(text);
    text->run = text->n;
    text->last_class = 0;
    text->disordered = false;
}

static void add_starters(struct text *text, const void *bytes, size_t len) {
    end_run(text);
    memcpy(text->bytes + text->n, bytes, len);
    text->n += len;
    text->run = text->n;
}

static void add_marks(struct text *text, const struct char_text *marks) {
    const uint8_t *at = (const uint8_t *)marks->bytes, *end = at + marks->len;
    for (size_t len; at < end; at += len) {
        const uint8_t class = char_combining_class(utf8_decode(at, end, &len));
        if (class == 0) {
            add_starters(text, at, len);
            continue;
        }
        memcpy(text->bytes + text->n, at, len);
        text->n += len;
        text->disordered = text->disordered || class < text->last_class;
        text->last_class = class;
    }
}

static void add_space(struct text *text, const struct normalizer *normalizer, int32_t code,
                      const uint8_t *at, size_t len) {
    if (normalizer->clean_text) {
        add_starters(text, " ", 1);
    } else if (normalizer->strip_accents && (code == 0x2000 || code == 0x2001)) {
        // The only spaces that decompose: to U+2002 and U+2003.
        add_starters(text, code == 0x2000 ? "\xE2\x80\x82" : "\xE2\x80\x83", 3);
    } else {
        add_starters(text, at, len);
    }
}

size_t normalize(const struct char_map *chars, const struct normalizer *normalizer,
                 const uint8_t *at, const uint8_t *end, uint8_t *to) {
    struct text text = {.bytes = to};
    for (size_t len; at < end; at += len) {
        int32_t code = utf8_decode(at, end, &len);
        // Ill-formed bytes read as U+FFFD, one for each maximal subpart.
        const void *itself = code < 0 ? (const void *)"\xEF\xBF\xBD" : at;
        const size_t its_len = code < 0 ? 3 : len;
        if (code < 0) code = 0xFFFD;
        const char_entry entry = char_map_at(chars, code);
        const struct char_text *stands = &chars->texts[char_value(entry)];
        switch (char_kind(entry)) {
            case CHAR_WORD:
                add_starters(&text, itself, its_len);
                break;
            case CHAR_MAPPED:
                add_starters(&text, stands->bytes, stands->len);
                break;
            case CHAR_ALONE: {
                const bool spaced = normalizer->handle_chinese_chars && char_is_cjk(code);
                if (spaced) add_starters(&text, " ", 1);
                if (stands->len > 0) {
                    add_starters(&text, stands->bytes, stands->len);
                } else {
                    add_starters(&text, itself, its_len);
                }
                if (spaced) add_starters(&text, " ", 1);
                break;
            }
            case CHAR_MARK:
                add_marks(&text, stands);
                break;
            case CHAR_SPACE:
                add_space(&text, normalizer, code, at, len);
                break;
            case CHAR_BLOCK:
                end_run(&text);
                break;
            case CHAR_DELETE:
                break;
        }
    }
    end_run(&text);
    return text.n;
}

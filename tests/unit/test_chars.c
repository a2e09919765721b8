// SPDX-License-Identifier: Apache-2.0
//
// The character tables: what must hold of every code point under all 16 settings, how many there
// are of each kind, and characters picked by hand. That the facts are Hugging Face's is measured by
// tokenizer/make_unicode_tables.py --measure.
#include "tokenizer/chars.h"

#include "tests/check.h"

enum { CODE_POINTS = 0x110000, N_KINDS = CHAR_MARK + 1 };

static struct normalizer settings(unsigned i) {
    return (struct normalizer){
        .clean_text = i & 1,
        .handle_chinese_chars = i & 2,
        .strip_accents = i & 4,
        .lowercase = i & 8,
    };
}

static struct char_map make(struct normalizer normalizer) {
    struct char_map map;
    struct error error = {""};
    CHECK_INT(char_map_make(&map, &normalizer, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    return map;
}

// Reads one well-formed character, and gives its length; 0 where there is none.
static size_t decode(const char *text, size_t len, int32_t *code) {
    static const int32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *at = (const uint8_t *)text;
    if (len == 0) return 0;
    const size_t n = at[0] < 0x80 ? 1 : at[0] < 0xC0 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (n == 0 || n > len || at[0] >= 0xF8) return 0;
    *code = n == 1 ? at[0] : at[0] & (0x7F >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xC0) != 0x80) return 0;
        *code = *code << 6 | (at[i] & 0x3F);
    }
    const bool surrogate = *code >= 0xD800 && *code <= 0xDFFF;
    return *code < smallest[n] || *code >= CODE_POINTS || surrogate ? 0 : n;
}

// Whether a page is of one kind alone, and of one that needs no text.
static bool is_uniform(const char_entry *page, enum char_kind kind) {
    for (size_t i = 0; i < 256; i++) {
        if (page[i] != (char_entry)kind) return false;
    }
    return true;
}

static void pages(const struct char_map *map) {
    size_t *users = calloc(map->n_pages, sizeof *users);
    if (users == NULL) exit(1);
    for (size_t i = 0; i < ARRAY_LEN(map->page_of); i++) {
        CHECK(map->page_of[i] < map->n_pages);
        users[map->page_of[i]]++;
    }
    size_t n_shared = 0;
    for (size_t page = 0; page < map->n_pages; page++) {
        const bool shared =
            is_uniform(map->pages[page], CHAR_WORD) || is_uniform(map->pages[page], CHAR_DELETE);
        n_shared += shared;
        if (!shared) CHECK_INT(users[page], 1);
    }
    CHECK_INT(n_shared, 2);
    free(users);
}

// What is wrong with a text that stands for `code`, or NULL.
static const char *text_fault(const struct char_map *map, int32_t code, char_entry entry) {
    const enum char_kind kind = char_kind(entry);
    const struct char_text *text = &map->texts[char_value(entry)];
    size_t at = 0;
    unsigned n_chars = 0, n_marks = 0;
    int32_t part = 0;
    while (at < text->len) {
        const size_t len = decode(text->bytes + at, text->len - at, &part);
        if (len == 0) return "ill-formed UTF-8";
        at += len;
        n_chars++;
        n_marks += char_combining_class(part) != 0;
        // What has been mapped is mapped no further.
        const char_entry again = char_map_at(map, part);
        if (kind == CHAR_ALONE ? again != CHAR_ALONE
                               : char_kind(again) != CHAR_WORD && char_kind(again) != CHAR_MARK) {
            return "a part of another kind";
        }
        const struct char_text *self = &map->texts[char_value(again)];
        if (char_kind(again) == CHAR_MARK &&
            (self->len != len || memcmp(self->bytes, text->bytes + at - len, len) != 0)) {
            return "a mark that becomes another";
        }
    }
    if (n_chars != text->n_chars || n_chars < 1 || n_chars > 3) return "a wrong n_chars";
    if (kind == CHAR_ALONE && n_chars != 1) return "alone, but not one character";
    if ((kind == CHAR_MARK) != (n_marks > 0)) return "marks, but not CHAR_MARK, or the reverse";
    if (kind != CHAR_MARK && n_chars == 1 && part == code) return "a text for nothing";
    return NULL;
}

static const char *fault(const struct char_map *map, const struct normalizer *normalizer,
                         int32_t code) {
    const char_entry entry = char_map_at(map, code);
    const enum char_kind kind = char_kind(entry);
    const uint32_t value = char_value(entry);
    if (kind > CHAR_MARK) return "no such kind";
    if (value >= map->n_texts) return "no such text";
    if (value == 1) return "the text of what is ill-formed";
    if ((kind == CHAR_MARK || kind == CHAR_BLOCK) && !normalizer->strip_accents) {
        return "marks matter without strip_accents";
    }
    if (normalizer->strip_accents && char_combining_class(code) != 0 && kind != CHAR_MARK) {
        return "a combining mark, but not CHAR_MARK";
    }
    if (!normalizer->strip_accents && !normalizer->lowercase && value != 0) return "mapped";
    const bool needs_text = kind == CHAR_MAPPED || kind == CHAR_MARK;
    if (value == 0) return needs_text ? "no text" : NULL;
    if (!needs_text && kind != CHAR_ALONE) return "a text that none reads";
    return text_fault(map, code, entry);
}

static void every_code_point(void) {
    for (unsigned i = 0; i < 16; i++) {
        const struct normalizer normalizer = settings(i);
        struct char_map map = make(normalizer);
        pages(&map);
        CHECK_INT(map.texts[0].len, 0);
        CHECK_INT(map.texts[0].n_chars, 0);
        CHECK_INT(map.texts[1].n_chars, 1);
        CHECK(map.texts[1].len == 3 && memcmp(map.texts[1].bytes, "\xEF\xBF\xBD", 3) == 0);
        for (int32_t code = 0; code < CODE_POINTS; code++) {
            const char *wrong = fault(&map, &normalizer, code);
            check_count++;
            if (wrong != NULL) CHECK_FAIL("settings %u, U+%04X: %s", i, (unsigned)code, wrong);
        }
        char_map_free(&map);
        CHECK(map.pages == NULL && map.texts == NULL);
    }
}

static bool has_text(const struct char_map *map, int32_t code, const char *want) {
    const struct char_text *text = &map->texts[char_value(char_map_at(map, code))];
    return text->len == strlen(want) && memcmp(text->bytes, want, text->len) == 0;
}

static void ascii(void) {
    for (unsigned i = 0; i < 16; i++) {
        const struct normalizer normalizer = settings(i);
        struct char_map map = make(normalizer);
        for (int32_t code = 0; code < 128; code++) {
            const bool upper = code >= 'A' && code <= 'Z';
            const bool alnum =
                upper || (code >= 'a' && code <= 'z') || (code >= '0' && code <= '9');
            enum char_kind want = upper && normalizer.lowercase ? CHAR_MAPPED : CHAR_WORD;
            if (code == ' ' || code == '\t' || code == '\n' || code == '\r') {
                want = CHAR_SPACE;
            } else if (code < ' ' || code == 127) {
                want = normalizer.clean_text          ? CHAR_DELETE
                       : code == '\v' || code == '\f' ? CHAR_SPACE
                                                      : CHAR_WORD;
            } else if (!alnum) {
                want = CHAR_ALONE;
            }
            CHECK_INT(char_kind(char_map_at(&map, code)), want);
            const char lower[2] = {(char)(code + 32), 0};
            CHECK(has_text(&map, code, want == CHAR_MAPPED ? lower : ""));
        }
        char_map_free(&map);
    }
}

// Frozen: a change here is a change of the facts.
static void counts(void) {
    static const struct {
        struct normalizer normalizer;
        long want[N_KINDS];
    } cases[] = {
        {{true, true, false, false}, {894419, 0, 137681, 22, 81990, 0, 0}},
        {{true, true, true, true}, {879455, 13297, 138415, 22, 81994, 833, 96}},
        {{true, true, false, true}, {892931, 1488, 137681, 22, 81990, 0, 0}},
        {{false, false, false, false}, {1113361, 0, 0, 25, 726, 0, 0}},
        {{false, false, true, false}, {1098503, 13191, 734, 25, 730, 833, 96}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct char_map map = make(cases[i].normalizer);
        long n[8] = {0};
        for (int32_t code = 0; code < CODE_POINTS; code++) n[char_kind(char_map_at(&map, code))]++;
        for (size_t kind = 0; kind < N_KINDS; kind++) CHECK_INT(n[kind], cases[i].want[kind]);
        char_map_free(&map);
    }
}

enum { CLEAN = 1, CJK = 2, STRIP = 4, LOWER = 8 };

// Each line holds of all settings that have the flags `on` and lack the flags `off`.
static const struct {
    unsigned on, off;
    int32_t code;
    enum char_kind kind;
    const char *text;
} picked[] = {
    // Deleted by clean_text, and without it of the word, but for what is white space.
    {CLEAN, 0, 0x0000, CHAR_DELETE, ""},
    {0, CLEAN, 0x0000, CHAR_WORD, ""},
    {CLEAN, 0, 0xFFFD, CHAR_DELETE, ""},
    {0, CLEAN, 0xFFFD, CHAR_WORD, ""},
    {CLEAN, 0, 0x0085, CHAR_DELETE, ""},
    {0, CLEAN, 0x0085, CHAR_SPACE, ""},
    {0, CLEAN, 0x001C, CHAR_WORD, ""},
    {CLEAN, 0, 0x00AD, CHAR_DELETE, ""},
    {CLEAN, 0, 0x180E, CHAR_DELETE, ""},
    {CLEAN, 0, 0x200B, CHAR_DELETE, ""},
    {CLEAN, 0, 0xFEFF, CHAR_DELETE, ""},
    {CLEAN, 0, 0xE000, CHAR_DELETE, ""},
    {CLEAN, 0, 0xE0001, CHAR_DELETE, ""},
    {CLEAN, 0, 0x10FFFD, CHAR_DELETE, ""},
    {0, CLEAN, 0x10FFFD, CHAR_WORD, ""},
    // Unassigned, noncharacters, format characters newer than Unicode 8.0: kept.
    {0, 0, 0x0378, CHAR_WORD, ""},
    {0, 0, 0xFDD0, CHAR_WORD, ""},
    {0, 0, 0xFFFE, CHAR_WORD, ""},
    {0, 0, 0xFFFFE, CHAR_WORD, ""},
    {0, 0, 0x10FFFF, CHAR_WORD, ""},
    {0, 0, 0x0890, CHAR_WORD, ""},
    {0, 0, 0x110CD, CHAR_WORD, ""},
    {0, 0, 0xD800, CHAR_WORD, ""},
    {0, 0, 0x00A0, CHAR_SPACE, ""},
    {0, 0, 0x2000, CHAR_SPACE, ""},
    {0, 0, 0x2001, CHAR_SPACE, ""},
    {0, 0, 0x2028, CHAR_SPACE, ""},
    {0, 0, 0x3000, CHAR_SPACE, ""},
    // Ideographs: the block that starts too late, and what is none; told before decomposition.
    {CJK, 0, 0x4E00, CHAR_ALONE, ""},
    {0, CJK, 0x4E00, CHAR_WORD, ""},
    {0, 0, 0x33FF, CHAR_WORD, ""},
    {0, 0, 0x2B820, CHAR_WORD, ""},
    {0, 0, 0x2B91F, CHAR_WORD, ""},
    {CJK, 0, 0x2B920, CHAR_ALONE, ""},
    {0, 0, 0x2CEB0, CHAR_WORD, ""},
    {0, 0, 0x3007, CHAR_WORD, ""},
    {CJK, STRIP, 0xF900, CHAR_ALONE, ""},
    {CJK | STRIP, 0, 0xF900, CHAR_ALONE, "\xE8\xB1\x88"},
    {STRIP, CJK, 0xF900, CHAR_MAPPED, "\xE8\xB1\x88"},
    {0, CJK | STRIP, 0xF900, CHAR_WORD, ""},
    // Punctuation as of Unicode 8.0; other symbols are of the word.
    {0, 0, 0x00A1, CHAR_ALONE, ""},
    {0, 0, 0x166D, CHAR_ALONE, ""},
    {0, 0, 0x111C9, CHAR_ALONE, ""},
    {0, 0, 0x2E43, CHAR_WORD, ""},
    {0, 0, 0x20AC, CHAR_WORD, ""},
    {0, 0, 0x1F600, CHAR_WORD, ""},
    // Accents, and what decomposition makes punctuation of.
    {STRIP, LOWER, 0x00C9, CHAR_MAPPED, "E"},
    {STRIP | LOWER, 0, 0x00C9, CHAR_MAPPED, "e"},
    {LOWER, STRIP, 0x00C9, CHAR_MAPPED, "\xC3\xA9"},
    {0, STRIP | LOWER, 0x00C9, CHAR_WORD, ""},
    {STRIP, 0, 0x2260, CHAR_ALONE, "="},
    {0, STRIP, 0x2260, CHAR_WORD, ""},
    {STRIP, 0, 0x226E, CHAR_ALONE, "<"},
    {STRIP, 0, 0x1FEF, CHAR_ALONE, "`"},
    {0, STRIP, 0x1FEF, CHAR_WORD, ""},
    {STRIP, 0, 0x037E, CHAR_ALONE, ";"},
    {0, STRIP, 0x037E, CHAR_ALONE, ""},
    {STRIP, 0, 0x2329, CHAR_ALONE, "\xE3\x80\x88"},
    {STRIP, 0, 0xAC00, CHAR_MAPPED, "\xE1\x84\x80\xE1\x85\xA1"},
    {STRIP, 0, 0xD7A3, CHAR_MAPPED, "\xE1\x84\x92\xE1\x85\xB5\xE1\x87\x82"},
    {0, STRIP, 0xAC00, CHAR_WORD, ""},
    // Marks: dropped, dropped but with combining class 0, kept by the tables of Unicode 8.0.
    {STRIP, 0, 0x0301, CHAR_DELETE, ""},
    {0, STRIP, 0x0301, CHAR_WORD, ""},
    {STRIP, 0, 0x0F73, CHAR_DELETE, ""},
    {STRIP, 0, 0x034F, CHAR_BLOCK, ""},
    {STRIP, 0, 0xFE0F, CHAR_BLOCK, ""},
    {STRIP, 0, 0xE0100, CHAR_BLOCK, ""},
    {0, STRIP, 0xFE0F, CHAR_WORD, ""},
    {STRIP, 0, 0x1734, CHAR_DELETE, ""},
    {0, 0, 0x20E3, CHAR_WORD, ""},
    {0, 0, 0x1885, CHAR_WORD, ""},
    {STRIP, 0, 0x302E, CHAR_MARK, "\xE3\x80\xAE"},
    {0, STRIP, 0x302E, CHAR_WORD, ""},
    {STRIP, 0, 0x1D15E, CHAR_MARK, "\xF0\x9D\x85\x97\xF0\x9D\x85\xA5"},
    {STRIP, 0, 0x1D160, CHAR_MARK, "\xF0\x9D\x85\x98\xF0\x9D\x85\xA5\xF0\x9D\x85\xAE"},
    // One character at a time, as of Unicode 17.0.
    {LOWER, STRIP, 0x0130, CHAR_MAPPED, "i\xCC\x87"},
    {LOWER | STRIP, 0, 0x0130, CHAR_MAPPED, "i"},
    {STRIP, LOWER, 0x0130, CHAR_MAPPED, "I"},
    {LOWER, 0, 0x03A3, CHAR_MAPPED, "\xCF\x83"},
    {LOWER, 0, 0x1E9E, CHAR_MAPPED, "\xC3\x9F"},
    {LOWER, 0, 0xA7CB, CHAR_MAPPED, "\xC9\xA4"},
    {LOWER, STRIP, 0x012E, CHAR_MAPPED, "\xC4\xAF"},
    {0, STRIP, 0x012F, CHAR_WORD, ""},
    {LOWER, 0, 0x13A0, CHAR_MAPPED, "\xEA\xAD\xB0"},
    {LOWER, STRIP, 0x212A, CHAR_MAPPED, "k"},
    {STRIP, LOWER, 0x212A, CHAR_MAPPED, "K"},
    {STRIP | LOWER, 0, 0x212B, CHAR_MAPPED, "a"},
};

static void picked_by_hand(void) {
    for (unsigned i = 0; i < 16; i++) {
        struct char_map map = make(settings(i));
        for (size_t j = 0; j < ARRAY_LEN(picked); j++) {
            if ((i & picked[j].on) != picked[j].on || (i & picked[j].off) != 0) continue;
            const enum char_kind kind = char_kind(char_map_at(&map, picked[j].code));
            check_count++;
            if (kind != picked[j].kind || !has_text(&map, picked[j].code, picked[j].text)) {
                CHECK_FAIL("settings %u: U+%04X is of kind %d, or of another text", i,
                           (unsigned)picked[j].code, (int)kind);
            }
        }
        char_map_free(&map);
    }
}

static void combining_classes(void) {
    CHECK_INT(char_combining_class(0), 0);
    CHECK_INT(char_combining_class('a'), 0);
    CHECK_INT(char_combining_class(0x08D3), 0);
    CHECK_INT(char_combining_class(0x08D4), 230);
    CHECK_INT(char_combining_class(0x08E1), 230);
    CHECK_INT(char_combining_class(0x08E2), 0);
    CHECK_INT(char_combining_class(0x1B44), 9);
    CHECK_INT(char_combining_class(0x302E), 224);
    CHECK_INT(char_combining_class(0x1D16D), 226);
    CHECK_INT(char_combining_class(0x1D16E), 216);
    CHECK_INT(char_combining_class(0x1E94A), 7);
    CHECK_INT(char_combining_class(0x1E94B), 0);
    CHECK_INT(char_combining_class(0x10FFFF), 0);
    // Dropped, and so in no text.
    CHECK_INT(char_combining_class(0x0301), 0);
}

int main(void) {
    every_code_point();
    ascii();
    counts();
    picked_by_hand();
    combining_classes();
    return check_result();
}

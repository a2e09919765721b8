// SPDX-License-Identifier: Apache-2.0
//
// What BERT's tokenizer makes of a character, and how a title's bytes are read one character at a
// time. The classes are those of Hugging Face tokenizers, frozen at Unicode 8.0, whatever Unicode
// version the installed utf8proc knows: see unicode_ranges.tsv.
#ifndef WADER_TOKENIZER_UNICODE_CLASS_H
#define WADER_TOKENIZER_UNICODE_CLASS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <utf8proc.h>

// make_unicode_tables.py writes these codes.
enum char_class {
    CHAR_WORD = 0,    // belongs to the word around it
    CHAR_SPACE = 1,   // ends a word
    CHAR_DELETE = 2,  // vanishes; its neighbours join
    CHAR_ALONE = 3,   // a word of its own: punctuation, CJK ideographs
};

extern const uint8_t unicode_ascii_class[128];
extern const uint8_t unicode_page_of[0x1100];
extern const uint8_t unicode_pages[][64];

// `code` is in [0, 0x10FFFF].
static inline enum char_class unicode_class(int32_t code) {
    assert(code >= 0 && code < 0x110000);
    unsigned bits = unicode_pages[unicode_page_of[code >> 8]][(code >> 2) & 63];
    return (enum char_class)((bits >> ((code & 3) * 2)) & 3);
}

// The class of the character that starts at `at`, and its length in bytes. `at < end`; nothing is
// read at `end` or beyond. A byte that starts no well-formed UTF-8 sequence (surrogates, overlong
// forms and what is cut off at the end among them) is deleted alone. That gives the tokens of
// Python's bytes.decode("utf-8", "replace"): U+FFFD is deleted too, so it does not matter how many
// of them stand for an ill-formed stretch.
static inline enum char_class unicode_next(const uint8_t *at, const uint8_t *end, size_t *len) {
    if (*at < 0x80) {
        *len = 1;
        return (enum char_class)unicode_ascii_class[*at];
    }
    utf8proc_int32_t code = 0;
    utf8proc_ssize_t n = utf8proc_iterate(at, end - at, &code);
    if (n <= 0) {
        *len = 1;
        return CHAR_DELETE;
    }
    *len = (size_t)n;
    return unicode_class(code);
}

#endif

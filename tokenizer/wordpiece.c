// SPDX-License-Identifier: Apache-2.0
//
// From a title to ids, one title at a time and plainly: what the quick path (batch.c) is tested
// against, and what it leaves to. The order of work is that of Hugging Face tokenizers
// (tokenizer/added_vocabulary.rs, normalizers/bert.rs, pre_tokenizers/bert.rs,
// models/wordpiece/mod.rs): added tokens are found in the raw bytes; what lies between them is
// normalized, split into words, and each word cut greedily into the longest tokens. A word is a
// slice of the title unless normalizing changes it. Where some added tokens are to be found in
// normalized text, all of it is normalized before it is split.
#include "tokenizer/wordpiece.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#include "host/base/utf8.h"
#include "tokenizer/normalize.h"

struct writer {
    const struct tokenizer *tokenizer;
    int32_t *ids;
    int32_t n;
    int32_t limit;     // ids wanted before [SEP]
    bool truncated;    // an id beyond `limit` was found: nothing more to do
    uint8_t *scratch;  // for normalized text
};

// A word being normalized. Characters beyond the most a word may have are counted, not kept.
struct word {
    size_t max_chars, n_chars, n_bytes;
    size_t ordered_from;  // combining marks from here on may still be put in order
    uint8_t bytes[4 * WORD_CHARS_MAX];
};

static void put_id(struct writer *writer, int32_t id) {
    if (writer->n == writer->limit) {
        writer->truncated = true;
    } else {
        writer->ids[writer->n++] = id;
    }
}

// Writes the tokens of the word [at, end), which is not empty. A word that cannot be cut into
// tokens to its end is one [UNK], so what is beyond the limit is still looked at.
static void put_word(struct writer *writer, const uint8_t *at, const uint8_t *end, size_t n_chars) {
    const struct tokenizer *tokenizer = writer->tokenizer;
    int32_t n = writer->n, limit = writer->limit;
    bool beyond = false;
    if (n_chars > (size_t)tokenizer->max_word_chars || n == limit) {
        put_id(writer, tokenizer->unk_id);
        return;
    }
    enum trie_root root = TRIE_START;
    while (at < end) {
        struct trie_match match = trie_longest(&tokenizer->trie, root, at, end);
        if (match.len == 0) {
            put_id(writer, tokenizer->unk_id);
            return;
        }
        if (n < limit) {
            writer->ids[n++] = match.id;
        } else {
            beyond = true;
        }
        at += match.len;
        root = TRIE_CONTINUE;
    }
    writer->n = n;
    writer->truncated = beyond;
}

// The entry of the character that starts at `at`, and its length in bytes. Ill-formed UTF-8 reads
// as U+FFFD, one for each maximal subpart, as Python's bytes.decode("utf-8", "replace") does.
static char_entry next_char(const struct char_map *chars, const uint8_t *at, const uint8_t *end,
                            size_t *len) {
    *len = 1;
    if (*at < 0x80) return char_map_at(chars, *at);
    utf8proc_int32_t code = 0;
    utf8proc_ssize_t n = utf8proc_iterate(at, end - at, &code);
    if (n > 0) {
        *len = (size_t)n;
        return char_map_at(chars, code);
    }
    utf8_sequence((const char *)at, (size_t)(end - at), len);
    char_entry entry = char_map_at(chars, 0xFFFD);
    return char_kind(entry) == CHAR_WORD ? 1 << 3 | CHAR_MAPPED : entry;
}

static void add_chars(struct word *word, const void *bytes, size_t n_bytes, size_t n_chars) {
    word->n_chars += n_chars;
    if (word->n_chars > word->max_chars) return;
    memcpy(word->bytes + word->n_bytes, bytes, n_bytes);
    word->n_bytes += n_bytes;
    word->ordered_from = word->n_bytes;
}

// Adds one combining mark where canonical order puts it (The Unicode Standard, section 3.11):
// behind the marks of its run that are not of a higher class.
static void add_mark(struct word *word, const char *bytes, size_t n_bytes, uint8_t class) {
    if (++word->n_chars > word->max_chars) return;
    size_t at = word->n_bytes;
    while (at > word->ordered_from) {
        size_t before = at - 1;
        while ((word->bytes[before] & 0xC0) == 0x80) before--;
        utf8proc_int32_t code = 0;
        utf8proc_iterate(word->bytes + before, (utf8proc_ssize_t)(at - before), &code);
        if (char_combining_class(code) <= class) break;
        at = before;
    }
    memmove(word->bytes + at + n_bytes, word->bytes + at, word->n_bytes - at);
    memcpy(word->bytes + at, bytes, n_bytes);
    word->n_bytes += n_bytes;
}

static void add_marks(struct word *word, const struct char_text *text) {
    for (size_t i = 0; i < text->len;) {
        utf8proc_int32_t code = 0;
        size_t n = (size_t)utf8proc_iterate((const uint8_t *)text->bytes + i,
                                            (utf8proc_ssize_t)(text->len - i), &code);
        uint8_t class = char_combining_class(code);
        if (class == 0) {
            add_chars(word, text->bytes + i, n, 1);
        } else {
            add_mark(word, text->bytes + i, n, class);
        }
        i += n;
    }
}

// A word that normalizing changes: [start, at) as it is, then `at` on. Writes the word and returns
// where it ends.
static const uint8_t *put_changed_word(struct writer *writer, const uint8_t *start,
                                       const uint8_t *at, const uint8_t *end, size_t n_chars) {
    const struct char_map *chars = &writer->tokenizer->chars;
    struct word word;
    word.max_chars = (size_t)writer->tokenizer->max_word_chars;
    word.n_chars = word.n_bytes = word.ordered_from = 0;
    add_chars(&word, start, (size_t)(at - start), n_chars);
    for (size_t len; at < end; at += len) {
        char_entry entry = next_char(chars, at, end, &len);
        enum char_kind kind = char_kind(entry);
        const struct char_text *text = &chars->texts[char_value(entry)];
        if (kind == CHAR_SPACE || kind == CHAR_ALONE) break;
        if (kind == CHAR_WORD) add_chars(&word, at, len, 1);
        if (kind == CHAR_MAPPED) add_chars(&word, text->bytes, text->len, text->n_chars);
        if (kind == CHAR_MARK) add_marks(&word, text);
        if (kind == CHAR_BLOCK) word.ordered_from = word.n_bytes;
    }
    if (word.n_chars > 0) put_word(writer, word.bytes, word.bytes + word.n_bytes, word.n_chars);
    return at;
}

// Writes the tokens of [at, end), in which no added token is looked for.
static void put_text(struct writer *writer, const uint8_t *at, const uint8_t *end) {
    const struct char_map *chars = &writer->tokenizer->chars;
    while (at < end && !writer->truncated) {
        const uint8_t *start = at;
        size_t n_chars = 0, len = 0;
        char_entry entry = CHAR_SPACE;
        while (at < end && char_kind(entry = next_char(chars, at, end, &len)) == CHAR_WORD) {
            at += len;
            n_chars++;
        }
        enum char_kind kind = at < end ? char_kind(entry) : CHAR_SPACE;
        if (kind != CHAR_SPACE && kind != CHAR_ALONE) {
            at = put_changed_word(writer, start, at, end, n_chars);
            continue;
        }
        if (at > start) put_word(writer, start, at, n_chars);
        if (at == end) break;
        if (kind == CHAR_ALONE) put_id(writer, (int32_t)char_value(entry));
        at += len;
    }
}

size_t wordpiece_encode(const struct tokenizer *tokenizer, const uint8_t *at, const uint8_t *end,
                        int32_t *ids) {
    struct writer writer = {.tokenizer = tokenizer, .ids = ids, .limit = INT32_MAX};
    put_text(&writer, at, end);
    return (size_t)writer.n;
}

bool wordpiece_find_added(const struct tokenizer *tokenizer, const uint8_t *at, const uint8_t *end,
                          const uint8_t **where, struct trie_match *match) {
    for (; at < end; at++) {
        if (tokenizer->added_lead >= 0) {
            at = memchr(at, tokenizer->added_lead, (size_t)(end - at));
            if (at == NULL) return false;
        } else if (!tokenizer->added_first[*at]) {
            continue;
        }
        *match = trie_longest(&tokenizer->trie, TRIE_ADDED, at, end);
        if (match->len > 0) {
            *where = at;
            return true;
        }
    }
    return false;
}

// The first added token in the normalized text [at, end), the longest that starts there.
static bool find_normal(const struct tokenizer *tokenizer, const uint8_t *at, const uint8_t *end,
                        const uint8_t **where, struct trie_match *match) {
    for (; at < end; at++) {
        if (!tokenizer->normal_first[*at]) continue;
        *match = trie_longest(&tokenizer->trie, TRIE_ADDED_NORMAL, at, end);
        if (match->len > 0) {
            *where = at;
            return true;
        }
    }
    return false;
}

// Writes the tokens of [at, end), a piece of the title between added tokens found in it as it is.
static void put_piece(struct writer *writer, const uint8_t *at, const uint8_t *end) {
    const struct tokenizer *tokenizer = writer->tokenizer;
    if (tokenizer->normalizes_first) {
        const size_t n =
            normalize(&tokenizer->normal_chars, &tokenizer->normalizer, at, end, writer->scratch);
        at = writer->scratch;
        end = at + n;
        const uint8_t *where;
        struct trie_match match;
        while (!writer->truncated && find_normal(tokenizer, at, end, &where, &match)) {
            put_text(writer, at, where);
            if (!writer->truncated) put_id(writer, match.id);
            at = where + match.len;
        }
    }
    put_text(writer, at, end);
}

struct encoding wordpiece_encode_title(const struct tokenizer *tokenizer, struct span title,
                                       int32_t max_length, int32_t *ids, uint8_t *scratch) {
    assert(max_length == 0 || max_length >= 2);
    assert(!tokenizer->normalizes_first || scratch != NULL);
    struct writer writer = {.tokenizer = tokenizer,
                            .ids = ids,
                            .scratch = scratch,
                            .limit = (max_length == 0 ? INT32_MAX : max_length) - 1};
    ids[writer.n++] = tokenizer->cls_id;
    if (title.len > 0) {
        const uint8_t *at = (const uint8_t *)title.ptr, *end = at + title.len;
        const uint8_t *where;
        struct trie_match match;
        while (!writer.truncated && wordpiece_find_added(tokenizer, at, end, &where, &match)) {
            put_piece(&writer, at, where);
            if (!writer.truncated) put_id(&writer, match.id);
            at = where + match.len;
        }
        put_piece(&writer, at, end);
    }
    ids[writer.n++] = tokenizer->sep_id;
    return (struct encoding){.n_ids = writer.n, .truncated = writer.truncated};
}

struct encoding tokenizer_encode(const struct tokenizer *tokenizer, struct span title,
                                 int32_t max_length, int32_t *ids) {
    return wordpiece_encode_title(tokenizer, title, max_length, ids, NULL);
}

// The id of a character that is a word of its own: CHAR_ALONE, with the index of its text.
static int32_t lone_id(const struct tokenizer *tokenizer, int32_t code, char_entry entry) {
    uint8_t bytes[4];
    const uint8_t *at = bytes;
    size_t len;
    if (char_value(entry) == 0) {
        len = (size_t)utf8proc_encode_char(code, bytes);
    } else {
        const struct char_text *text = &tokenizer->chars.texts[char_value(entry)];
        at = (const uint8_t *)text->bytes;
        len = text->len;
    }
    struct trie_match match = trie_longest(&tokenizer->trie, TRIE_START, at, at + len);
    return match.len == len && tokenizer->max_word_chars > 0 ? match.id : tokenizer->unk_id;
}

void wordpiece_resolve_lone_chars(struct tokenizer *tokenizer) {
    struct char_map *chars = &tokenizer->chars;
    uint16_t last_without = UINT16_MAX;  // a page without any: the next index often shares it
    for (int32_t first = 0; first < 0x110000; first += 256) {
        const uint16_t index = chars->page_of[first >> 8];
        if (index == last_without) continue;
        char_entry *page = chars->pages[index];
        bool any = false;
        for (int32_t i = 0; i < 256; i++) {
            if (char_kind(page[i]) != CHAR_ALONE) continue;
            page[i] = (char_entry)lone_id(tokenizer, first + i, page[i]) << 3 | CHAR_ALONE;
            any = true;
        }
        if (!any) last_without = index;
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// From a title to ids, in one pass and without an intermediate text. The order of work is that of
// Hugging Face tokenizers (tokenizer/added_vocabulary.rs, normalizers/bert.rs,
// pre_tokenizers/bert.rs, models/wordpiece/mod.rs): added tokens are found in the raw bytes; what
// lies between them is cleaned, split into words, and each word cut greedily into the longest
// tokens. A word is a slice of the title unless a deleted character lies inside it.
#include "tokenizer/wordpiece.h"

#include <assert.h>
#include <string.h>

#include "tokenizer/unicode_class.h"

struct writer {
    const struct tokenizer *tokenizer;
    int32_t *ids;
    int32_t n;
    int32_t limit;   // ids wanted before [SEP]
    bool truncated;  // an id beyond `limit` was found: nothing more to do
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

// A word with deleted characters inside: [start, at) without any, then `at` on. Writes the word and
// returns where it ends. Characters beyond the most a word may have are counted, not kept.
static const uint8_t *put_word_with_gaps(struct writer *writer, const uint8_t *start,
                                         const uint8_t *at, const uint8_t *end, size_t n_chars) {
    uint8_t word[4 * WORD_CHARS_MAX];
    size_t max = (size_t)writer->tokenizer->max_word_chars, n_bytes = 0;
    if (n_chars <= max) {
        n_bytes = (size_t)(at - start);
        memcpy(word, start, n_bytes);
    }
    while (at < end) {
        size_t len;
        enum char_class class = unicode_next(at, end, &len);
        if (class == CHAR_WORD && ++n_chars <= max) {
            memcpy(word + n_bytes, at, len);
            n_bytes += len;
        } else if (class == CHAR_SPACE || class == CHAR_ALONE) {
            break;
        }
        at += len;
    }
    put_word(writer, word, word + n_bytes, n_chars);
    return at;
}

// Writes the tokens of [at, end), in which no added token is looked for.
static void put_text(struct writer *writer, const uint8_t *at, const uint8_t *end) {
    while (at < end && !writer->truncated) {
        const uint8_t *start = at;
        size_t n_chars = 0, len = 0;
        enum char_class class = CHAR_SPACE;
        while (at < end && (class = unicode_next(at, end, &len)) == CHAR_WORD) {
            at += len;
            n_chars++;
        }
        if (at > start) {
            if (at < end && class == CHAR_DELETE) {
                at = put_word_with_gaps(writer, start, at, end, n_chars);
            } else {
                put_word(writer, start, at, n_chars);
            }
        } else {
            if (class == CHAR_ALONE) put_word(writer, at, at + len, 1);
            at += len;
        }
    }
}

// The first added token in [at, end), the longest that starts there. False: there is none.
static bool find_added(const struct tokenizer *tokenizer, const uint8_t *at, const uint8_t *end,
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

struct encoding tokenizer_encode(const struct tokenizer *tokenizer, struct span title,
                                 int32_t max_length, int32_t *ids) {
    assert(max_length == 0 || max_length >= 2);
    struct writer writer = {.tokenizer = tokenizer,
                            .ids = ids,
                            .limit = (max_length == 0 ? INT32_MAX : max_length) - 1};
    ids[writer.n++] = tokenizer->cls_id;
    if (title.len > 0) {
        const uint8_t *at = (const uint8_t *)title.ptr, *end = at + title.len;
        const uint8_t *where;
        struct trie_match match;
        while (!writer.truncated && find_added(tokenizer, at, end, &where, &match)) {
            put_text(&writer, at, where);
            if (!writer.truncated) put_id(&writer, match.id);
            at = where + match.len;
        }
        put_text(&writer, at, end);
    }
    ids[writer.n++] = tokenizer->sep_id;
    return (struct encoding){.n_ids = writer.n, .truncated = writer.truncated};
}

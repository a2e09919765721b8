// SPDX-License-Identifier: Apache-2.0
//
// Many titles, quickly. Titles are copied into one text, a round, with a blank around each; while
// they are copied their characters become what the normalizer makes of them. The text is split into
// words, the words are walked through the trie side by side, and every token found leaves a mark at
// its last byte; the marks in order are the ids, [CLS] and [SEP] having theirs at the
// blanks. So nothing has to be kept in order but bytes.
//
// Copying takes what no normalizer touches as it is, and does not check whether that is well
// formed. What is not well formed is in no token: its word cannot be cut, and such words are
// encoded once more, plainly (wordpiece.c). So are words that may have too many characters. Titles
// that are long, hold an added token, or have combining marks whose order matters, are encoded
// plainly as a whole, and all titles are where added tokens are looked for in normalized text.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/decode.h"
#include "tokenizer/lanes.h"
#include "tokenizer/normalize.h"
#include "tokenizer/wordpiece.h"

enum {
    TITLE_NBYTES_MAX = ROUND_NBYTES / 4,  // longer titles are encoded plainly
    TEXT_PER_BYTE = 3,                    // a character's text may be three times as long as it
    ROUND_TITLES = ROUND_NBYTES / 8,
};

struct tokenizer_batch {
    const struct tokenizer *tokenizer;
    const struct lanes *lanes;  // NULL: all titles are encoded plainly
    int32_t max_length;
    size_t max_title_nbytes;
    uint8_t *scratch;  // [normalize_nbytes(max_title_nbytes)], or NULL where nothing needs it
    struct copy_rules rules;

    int32_t *ids;  // of the whole batch
    size_t n_ids;
    struct encoding *encodings;
    size_t n_titles;  // encoded

    // The round
    size_t n_round;  // its titles
    size_t n_bytes;  // its text
    uint32_t title_ends[ROUND_TITLES], n_before[ROUND_TITLES];
    uint8_t text[TEXT_NBYTES];
    mark marks[ROUND_NBYTES + LANES_SLACK];
    struct word_list words, left;
    struct token_list tokens;
};

// ---- what copying takes as it is

static bool all_words(const struct char_map *chars, int32_t first, int32_t last) {
    for (int32_t code = first; code <= last; code++) {
        if (char_map_at(chars, code) != CHAR_WORD) return false;
    }
    return true;
}

static void make_rules(struct tokenizer_batch *batch) {
    const struct tokenizer *tokenizer = batch->tokenizer;
    const struct char_map *chars = &tokenizer->chars;
    struct copy_rules *rules = &batch->rules;
    rules->chars = chars;
    rules->trie = &tokenizer->trie;
    rules->lowercase = tokenizer->normalizer.lowercase;
    const int added_lead = tokenizer->added_lead;
    rules->added_lead = added_lead >= ' ' && added_lead <= '~' ? added_lead : -1;
    for (int32_t lead = 0; lead < 32; lead++) {
        for (int32_t second = 0; second < 64; second++) {
            const int32_t at = lead * 8 + second / 8, two = lead << 6 | second;
            const uint8_t bit = (uint8_t)(1 << second % 8);
            if (!all_words(chars, two, two)) rules->two_bytes[at] |= bit;
            if (lead < 16 && !all_words(chars, two << 6, two << 6 | 63)) {
                rules->three_bytes[at] |= bit;
            }
        }
    }
}

enum status tokenizer_batch_create(const struct tokenizer *tokenizer, int32_t max_length,
                                   size_t max_title_nbytes, struct tokenizer_batch **out,
                                   struct error *error) {
    assert(max_length == 0 || max_length >= 2);
    *out = NULL;
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a tokenizer's scratch", error);
    if (status != STATUS_OK) return status;
    struct tokenizer_batch *batch = memory;
    batch->tokenizer = tokenizer;
    batch->max_length = max_length;
    batch->max_title_nbytes = max_title_nbytes;
    if (tokenizer->normalizes_first) {
        status = alloc_array(&memory, normalize_nbytes(max_title_nbytes), 1, "a title", error);
        if (status != STATUS_OK) {
            tokenizer_batch_destroy(batch);
            return status;
        }
        batch->scratch = memory;
    } else if (tokenizer->normalizer.clean_text) {
        // Without clean_text a word may have NULs in it, and to the lanes free slots look like
        // those.
        batch->lanes = lanes_choose();
    }
    batch->text[IDLE_AT] = 0xFF;
    make_rules(batch);
    *out = batch;
    return STATUS_OK;
}

void tokenizer_batch_destroy(struct tokenizer_batch *batch) {
    if (batch == NULL) return;
    free(batch->scratch);
    free(batch);
}

void tokenizer_batch_encode_plainly(struct tokenizer_batch *batch) {
    batch->lanes = NULL;
}

const char *tokenizer_batch_path(const struct tokenizer_batch *batch) {
    return batch->lanes != NULL ? "avx512" : "plain";
}

// ---- titles to text

// Writes at `to` what stands for a character, which lies at `from` and takes `len` bytes. Returns
// where the text then ends, NULL where the title has to be encoded plainly.
static uint8_t *put_char(struct tokenizer_batch *batch, char_entry entry, const uint8_t *from,
                         size_t len, uint8_t *to) {
    const struct char_text *text;
    switch (char_kind(entry)) {
        case CHAR_WORD:
            memcpy(to, from, len);
            return to + len;
        case CHAR_MAPPED:
            text = &batch->tokenizer->chars.texts[char_value(entry)];
            memcpy(to, text->bytes, CHAR_TEXT_MAX);
            return to + text->len;
        case CHAR_DELETE:
        case CHAR_BLOCK:
            return to;
        case CHAR_ALONE:
            batch->marks[to - batch->text] = char_value(entry) + 1;
            *to = ' ';
            return to + 1;
        case CHAR_SPACE:
            *to = ' ';
            return to + 1;
        case CHAR_MARK:
            break;
    }
    return NULL;
}

// Takes back the bytes before `at` that only start a character: they must not meet those that only
// follow when what lies between is deleted. Ill-formed bytes are deleted, for so is U+FFFD. `begin`
// is the blank before the title.
static uint8_t *drop_half_char(const uint8_t *begin, uint8_t *at) {
    uint8_t *lead = at - 1;
    while (lead > begin && at - lead < 3 && utf8_continues(*lead)) lead--;
    const ptrdiff_t needed = *lead >= 0xF0 ? 4 : *lead >= 0xE0 ? 3 : *lead >= 0xC0 ? 2 : 1;
    return needed > at - lead ? lead : at;
}

// Writes the text of [from, end) behind the blank at `begin`. Returns where it ends, NULL where the
// title has to be encoded plainly.
static uint8_t *put_title(struct tokenizer_batch *batch, const uint8_t *from, const uint8_t *end,
                          const uint8_t *begin) {
    const struct char_map *chars = &batch->tokenizer->chars;
    uint8_t *to = batch->text + (begin - batch->text) + 1;
    while (from < end) {
        size_t n = batch->lanes->copy(&batch->rules, from, (size_t)(end - from), to);
        from += n;
        to += n;
        if (from == end) break;
        if (*from == batch->rules.added_lead) return NULL;
        if (n > 0) to = drop_half_char(begin, to);
        // Where one character is not copied as it is, its neighbours often are not, either.
        char_entry entry;
        do {
            size_t len;
            int32_t code = utf8_decode(from, end, &len);
            entry = code < 0 ? CHAR_DELETE : char_map_at(chars, code);
            to = put_char(batch, entry, from, len, to);
            if (to == NULL) return NULL;
            from += len;
        } while (from < end && *from >= 0x80 && entry != CHAR_WORD);
    }
    return to;
}

// ---- a round

// Whether a word is as it should be: what could not be cut of it cannot be cut.
static bool is_plain_word(const struct tokenizer *tokenizer, const uint8_t *at,
                          const uint8_t *end) {
    if (end - at > tokenizer->max_word_chars) return false;
    for (size_t len; at < end; at += len) {
        const int32_t code = utf8_decode(at, end, &len);
        if (code < 0 || char_map_at(&tokenizer->chars, code) != CHAR_WORD) return false;
    }
    return true;
}

// Words that the walk has left: at most as many tokens as bytes.
static void encode_left(struct tokenizer_batch *batch) {
    const struct tokenizer *tokenizer = batch->tokenizer;
    for (size_t i = 0; i < batch->left.n; i++) {
        const uint32_t start = batch->left.starts[i], end = batch->left.ends[i];
        const uint8_t *at = batch->text + start, *to = batch->text + end;
        int32_t *ids = (int32_t *)batch->marks + start;
        size_t n = 1;
        if (is_plain_word(tokenizer, at, to)) {
            ids[0] = tokenizer->unk_id;
        } else {
            n = wordpiece_encode(tokenizer, at, to, ids);
        }
        for (size_t j = 0; j < n; j++) ids[j]++;
        memset(ids + n, 0, (end - start - n) * sizeof *ids);
    }
}

// Cuts the round's titles to the length allowed and closes the gaps.
static void finish_titles(struct tokenizer_batch *batch) {
    int32_t *to = batch->ids + batch->n_ids;
    const int32_t *from = to;
    const size_t max = batch->max_length > 0 ? (size_t)batch->max_length : SIZE_MAX;
    for (size_t i = 0; i < batch->n_round; i++) {
        const size_t n = batch->n_before[i] - (i > 0 ? batch->n_before[i - 1] : 0);
        const size_t kept = n < max ? n : max;
        if (to != from) memmove(to, from, kept * sizeof *to);
        to[kept - 1] = batch->tokenizer->sep_id;
        batch->encodings[batch->n_titles++] =
            (struct encoding){.n_ids = (int32_t)kept, .truncated = n > kept};
        from += n;
        to += kept;
    }
    batch->n_ids = (size_t)(to - batch->ids);
}

static void run_round(struct tokenizer_batch *batch) {
    if (batch->n_round == 0) return;
    const struct lanes *lanes = batch->lanes;
    batch->left.n = 0;
    lanes->split(batch->text, batch->n_bytes, &batch->words);
    lanes->walk(&batch->tokenizer->trie, batch->text, &batch->words,
                (uint32_t)batch->tokenizer->max_word_chars, batch->marks, &batch->tokens,
                &batch->left);
    encode_left(batch);
    lanes->gather(batch->marks, batch->n_bytes, batch->title_ends, batch->n_round,
                  batch->ids + batch->n_ids, batch->n_before);
    finish_titles(batch);
    batch->n_round = batch->n_bytes = 0;
}

// ---- a batch

void tokenizer_batch_start(struct tokenizer_batch *batch, int32_t *ids,
                           struct encoding *encodings) {
    batch->ids = ids;
    batch->encodings = encodings;
    batch->n_ids = batch->n_titles = 0;
}

static void add_plainly(struct tokenizer_batch *batch, struct span title) {
    run_round(batch);
    struct encoding encoding = wordpiece_encode_title(batch->tokenizer, title, batch->max_length,
                                                      batch->ids + batch->n_ids, batch->scratch);
    batch->encodings[batch->n_titles++] = encoding;
    batch->n_ids += (size_t)encoding.n_ids;
}

void tokenizer_batch_add(struct tokenizer_batch *batch, struct span title) {
    assert(title.len <= batch->max_title_nbytes);
    const struct tokenizer *tokenizer = batch->tokenizer;
    const uint8_t *from = (const uint8_t *)title.ptr, *end = from + title.len, *where;
    struct trie_match match;
    if (batch->lanes == NULL || title.len > TITLE_NBYTES_MAX ||
        (batch->rules.added_lead < 0 &&
         wordpiece_find_added(tokenizer, from, end, &where, &match))) {
        add_plainly(batch, title);
        return;
    }
    if (batch->n_bytes + TEXT_PER_BYTE * title.len + 2 > ROUND_NBYTES ||
        batch->n_round == ROUND_TITLES) {
        run_round(batch);
    }
    uint8_t *begin = batch->text + batch->n_bytes;
    *begin = ' ';
    uint8_t *at = put_title(batch, from, end, begin);
    if (at == NULL) {
        memset(batch->marks + batch->n_bytes, 0,
               (TEXT_PER_BYTE * title.len + 2) * sizeof *batch->marks);
        add_plainly(batch, title);
        return;
    }
    *at = ' ';
    batch->marks[begin - batch->text] = (mark)tokenizer->cls_id + 1;
    batch->marks[at - batch->text] = (mark)tokenizer->sep_id + 1;
    batch->title_ends[batch->n_round++] = (uint32_t)(at - batch->text);
    batch->n_bytes = (size_t)(at + 1 - batch->text);
}

size_t tokenizer_batch_finish(struct tokenizer_batch *batch) {
    run_round(batch);
    return batch->n_ids;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/bench/words.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer/wordpiece.h"

enum { SINGLE_MAX = 8192, COMPOUND_MAX = 4096, PIECE_NBYTES_MAX = 64, TOKENS_MAX = 6 };

// Pieces of a vocabulary, each as likely to be in it as any other (Vitter's algorithm R, 1985).
struct pieces {
    struct bench_random *random;
    char (*text)[PIECE_NBYTES_MAX];
    uint8_t *len;
    size_t n, cap, n_seen;
};

static void take(void *context, struct span token, int32_t id) {
    struct pieces *pieces = context;
    (void)id;
    if (token.len > PIECE_NBYTES_MAX || memchr(token.ptr, '[', token.len) != NULL) return;
    pieces->n_seen++;
    size_t at = pieces->n;
    if (pieces->n < pieces->cap) {
        pieces->n++;
    } else {
        at = bench_below(pieces->random, pieces->n_seen);
        if (at >= pieces->cap) return;
    }
    memcpy(pieces->text[at], token.ptr, token.len);
    pieces->len[at] = (uint8_t)token.len;
}

static enum status pieces_make(const struct tokenizer *tokenizer, enum trie_root root, size_t cap,
                               struct bench_random *random, struct pieces *pieces,
                               struct error *error) {
    void *memory;
    *pieces = (struct pieces){.random = random, .cap = cap};
    enum status status = alloc_array(&memory, cap, PIECE_NBYTES_MAX, "words", error);
    if (status != STATUS_OK) return status;
    pieces->text = memory;
    status = alloc_array(&memory, cap, 1, "words", error);
    if (status != STATUS_OK) return status;
    pieces->len = memory;
    trie_each(&tokenizer->trie, root, take, pieces);
    return STATUS_OK;
}

static void pieces_free(struct pieces *pieces) {
    free(pieces->text);
    free(pieces->len);
}

// What is being made.
struct maker {
    const struct tokenizer *tokenizer;
    struct tokenizer_batch *batch;
    struct words *words;
    size_t n_nbytes;
};

// How many tokens `text` is by itself; 0 where it is none, or holds [UNK].
static int32_t count_tokens(const struct maker *maker, struct span text) {
    int32_t ids[2 * PIECE_NBYTES_MAX + 2 + TOKENIZER_IDS_SLACK];
    struct encoding encoding;
    tokenizer_batch_start(maker->batch, ids, &encoding);
    tokenizer_batch_add(maker->batch, text);
    tokenizer_batch_finish(maker->batch);
    for (int32_t i = 0; i < encoding.n_ids; i++) {
        if (ids[i] == maker->tokenizer->unk_id) return 0;
    }
    return encoding.n_ids - 2;
}

static bool add(struct maker *maker, struct span text, int32_t n_min, int32_t n_max) {
    const int32_t n_tokens = count_tokens(maker, text);
    if (n_tokens < n_min || n_tokens > n_max) return false;
    struct words *words = maker->words;
    char *bytes = words->bytes + maker->n_nbytes;
    memcpy(bytes, text.ptr, text.len);
    maker->n_nbytes += text.len;
    words->all[words->n_words++] = (struct word){bytes, (int32_t)text.len, n_tokens};
    return true;
}

// Frequent words are short ones (Zipf 1935), by and large: by length, with chance in it.
static void order(struct word *words, size_t n, struct bench_random *random) {
    enum { CHANCE = 8, KEYS = PIECE_NBYTES_MAX + CHANCE };
    size_t begin[KEYS + 1] = {0};
    struct word sorted[SINGLE_MAX];
    uint8_t keys[SINGLE_MAX];
    for (size_t i = 0; i < n; i++) {
        keys[i] = (uint8_t)((size_t)words[i].len + bench_below(random, CHANCE));
        begin[keys[i] + 1]++;
    }
    for (size_t k = 0; k < KEYS; k++) begin[k + 1] += begin[k];
    for (size_t i = 0; i < n; i++) sorted[begin[keys[i]]++] = words[i];
    memcpy(words, sorted, n * sizeof *words);
}

// Two pieces of one script, as far as their first bytes tell.
static void add_compounds(struct maker *maker, const struct pieces *starts,
                          const struct pieces *ends, struct bench_random *random) {
    char text[2 * PIECE_NBYTES_MAX];
    for (int tried = 0; starts->n > 0 && ends->n > 0 && tried < 2 * COMPOUND_MAX; tried++) {
        const size_t s = bench_below(random, starts->n), e = bench_below(random, ends->n);
        const uint8_t a = (uint8_t)starts->text[s][0], b = (uint8_t)ends->text[e][0];
        if (a != b && (a >= 0x80 || b >= 0x80)) continue;
        memcpy(text, starts->text[s], starts->len[s]);
        memcpy(text + starts->len[s], ends->text[e], ends->len[e]);
        const size_t len = (size_t)starts->len[s] + ends->len[e];
        add(maker, (struct span){text, len}, 2, TOKENS_MAX);
        if (maker->words->n_words == maker->words->n_single + COMPOUND_MAX) return;
    }
}

static enum status fill(struct maker *maker, struct bench_random *random, struct pieces *starts,
                        struct pieces *ends, struct error *error) {
    struct words *words = maker->words;
    void *memory;
    enum status status =
        pieces_make(maker->tokenizer, TRIE_START, SINGLE_MAX, random, starts, error);
    if (status == STATUS_OK) {
        status = pieces_make(maker->tokenizer, TRIE_CONTINUE, COMPOUND_MAX, random, ends, error);
    }
    if (status != STATUS_OK) return status;
    status = alloc_array(&memory, SINGLE_MAX + COMPOUND_MAX, sizeof *words->all, "words", error);
    if (status != STATUS_OK) return status;
    words->all = memory;
    status = alloc_array(&memory, SINGLE_MAX + 2 * COMPOUND_MAX, PIECE_NBYTES_MAX, "words", error);
    if (status != STATUS_OK) return status;
    words->bytes = memory;
    for (size_t i = 0; i < starts->n; i++) {
        add(maker, (struct span){starts->text[i], starts->len[i]}, 1, 1);
    }
    words->n_single = words->n_words;
    if (words->n_single == 0) {
        return error_set(error, STATUS_MODEL,
                         "the vocabulary has no words to make titles of; give an INPUT");
    }
    order(words->all, words->n_single, random);
    add_compounds(maker, starts, ends, random);
    return STATUS_OK;
}

enum status words_make(const struct tokenizer *tokenizer, struct bench_random *random,
                       struct words *words, struct error *error) {
    *words = (struct words){0};
    struct maker maker = {.tokenizer = tokenizer, .words = words};
    struct pieces starts = {0}, ends = {0};
    enum status status = tokenizer_batch_create(tokenizer, 2 * PIECE_NBYTES_MAX + 2,
                                                2 * PIECE_NBYTES_MAX, &maker.batch, error);
    if (status == STATUS_OK) status = fill(&maker, random, &starts, &ends, error);
    tokenizer_batch_destroy(maker.batch);
    pieces_free(&starts);
    pieces_free(&ends);
    return status;
}

void words_free(struct words *words) {
    free(words->all);
    free(words->bytes);
    *words = (struct words){0};
}

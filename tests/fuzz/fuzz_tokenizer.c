// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a title, on a toy vocabulary with several settings: ids in range, no more of them
// than the contract says, a limit keeps a beginning of them and says so exactly when it cuts, a
// space between two titles is a border (unless an added token lies across it, which none with a
// space in it can), and titles in batches give the same ids as one by one.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vocab[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\nab\n##ab\naba\n##bab\nA\n##A\n[\n]\n#\n."
    "\nC\n"
    "##L\n##S\nCL\n##LS\né\n##é\n日\n##日\n本\n😀\n##😀\né😀\n\xcc\x81\n##\xcc\x81\n-\n0\n##0\n1\n##"
    "1\n";

static const char *const configs[] = {
    "{\"do_lower_case\": false}", "{\"do_lower_case\": true}",
    "{\"do_lower_case\": false, \"strip_accents\": true}",
    "{\"do_lower_case\": true, \"strip_accents\": false, \"tokenize_chinese_chars\": false}"};

static struct tokenizer *make(const char *config) {
    struct tokenizer_files files = {.vocab = {"vocab.txt", {vocab, sizeof vocab - 1}},
                                    .config = {"tokenizer_config.json", span_text(config)}};
    struct tokenizer *tokenizer = NULL;
    struct error error;
    enum status status = tokenizer_make(&files, &tokenizer, &error);
    assert(status == STATUS_OK && tokenizer != NULL);
    return tokenizer;
}

// Encodes a copy of exactly the title's size to exactly the room the contract asks for.
static int32_t *encode(const struct tokenizer *tokenizer, const uint8_t *bytes, size_t len,
                       int32_t max_length, struct encoding *encoding) {
    size_t cap = len + 2;
    if (max_length > 0 && (size_t)max_length < cap) cap = (size_t)max_length;
    char *title = malloc(len > 0 ? len : 1);
    int32_t *ids = malloc(cap * sizeof *ids);
    assert(title != NULL && ids != NULL);
    if (len > 0) memcpy(title, bytes, len);
    *encoding =
        tokenizer_encode(tokenizer, (struct span){len > 0 ? title : NULL, len}, max_length, ids);
    assert(encoding->n_ids >= 2 && (size_t)encoding->n_ids <= cap);
    assert(ids[0] == 2 && ids[encoding->n_ids - 1] == 3);
    for (int32_t i = 0; i < encoding->n_ids; i++) {
        assert(ids[i] >= 0 && ids[i] < tokenizer_vocab_size(tokenizer));
    }
    free(title);
    return ids;
}

static void check_limit(const struct tokenizer *tokenizer, const uint8_t *bytes, size_t len,
                        int32_t max_length, const int32_t *all, int32_t n_all) {
    struct encoding cut;
    int32_t *ids = encode(tokenizer, bytes, len, max_length, &cut);
    assert(cut.truncated == (n_all > max_length));
    assert(cut.n_ids == (n_all > max_length ? max_length : n_all));
    assert(memcmp(ids, all, (size_t)(cut.n_ids - 1) * sizeof *ids) == 0);
    free(ids);
}

static void check_border(const struct tokenizer *tokenizer, const uint8_t *bytes, size_t len,
                         size_t at) {
    uint8_t *spaced = malloc(len + 1);
    assert(spaced != NULL);
    if (len > 0) memcpy(spaced, bytes, at);
    spaced[at] = ' ';
    if (len > at) memcpy(spaced + at + 1, bytes + at, len - at);
    struct encoding left, right, both;
    int32_t *left_ids = encode(tokenizer, spaced, at, 0, &left);
    int32_t *right_ids = encode(tokenizer, spaced + at + 1, len - at, 0, &right);
    int32_t *ids = encode(tokenizer, spaced, len + 1, 0, &both);
    assert(both.n_ids == left.n_ids + right.n_ids - 2);
    size_t n_left = (size_t)left.n_ids - 1;
    assert(memcmp(ids, left_ids, n_left * sizeof *ids) == 0);
    assert(memcmp(ids + n_left, right_ids + 1, ((size_t)right.n_ids - 1) * sizeof *ids) == 0);
    free(left_ids);
    free(right_ids);
    free(ids);
    free(spaced);
}

// Three titles in a batch, each twice: the left part, the right part and the whole.
static void check_batch(const struct tokenizer *tokenizer, struct tokenizer_batch *batch,
                        const uint8_t *bytes, size_t len, size_t at) {
    const struct span titles[] = {{(const char *)bytes, at},
                                  {(const char *)bytes + at, len - at},
                                  {(const char *)bytes, len}};
    struct encoding got[6], want;
    int32_t *ids = malloc((4 * len + 12 + TOKENIZER_IDS_SLACK) * sizeof *ids), *next = ids;
    assert(ids != NULL);
    tokenizer_batch_start(batch, ids, got);
    for (size_t i = 0; i < 6; i++) tokenizer_batch_add(batch, titles[i % 3]);
    const size_t n_ids = tokenizer_batch_finish(batch);
    for (size_t i = 0; i < 6; i++) {
        const struct span title = titles[i % 3];
        int32_t *right = encode(tokenizer, (const uint8_t *)title.ptr, title.len, 0, &want);
        assert(got[i].n_ids == want.n_ids && !got[i].truncated);
        assert(memcmp(next, right, (size_t)want.n_ids * sizeof *next) == 0);
        next += want.n_ids;
        free(right);
    }
    assert(n_ids == (size_t)(next - ids));
    free(ids);
}

// The first byte says where to cut and which settings to take; the others are the title.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // Made once: the harness calls from one thread.
    static struct tokenizer *tokenizers[ARRAY_LEN(configs)];
    static struct tokenizer_batch *batches[ARRAY_LEN(configs)];
    for (size_t i = 0; i < ARRAY_LEN(configs) && tokenizers[i] == NULL; i++) {
        struct error error;
        tokenizers[i] = make(configs[i]);
        enum status status = tokenizer_batch_create(tokenizers[i], 0, 1 << 16, &batches[i], &error);
        assert(status == STATUS_OK);
    }
    if (size == 0 || size > 1 << 16) return 0;
    uint8_t knob = data[0];
    const size_t which = knob % ARRAY_LEN(configs);
    const struct tokenizer *tokenizer = tokenizers[which];
    const uint8_t *bytes = data + 1;
    size_t len = size - 1;
    struct encoding all;
    int32_t *ids = encode(tokenizer, bytes, len, 0, &all);
    assert(!all.truncated);
    check_limit(tokenizer, bytes, len, 2 + knob % 32, ids, all.n_ids);
    check_limit(tokenizer, bytes, len, all.n_ids, ids, all.n_ids);
    if (all.n_ids > 2) check_limit(tokenizer, bytes, len, all.n_ids - 1, ids, all.n_ids);
    check_border(tokenizer, bytes, len, knob % (len + 1));
    check_batch(tokenizer, batches[which], bytes, len, knob % (len + 1));
    free(ids);
    return 0;
}

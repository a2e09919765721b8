// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a title, on a toy vocabulary: ids in range, no more of them than the contract says,
// a limit keeps a beginning of them and says so exactly when it cuts, and a space between two
// titles is a border (unless an added token lies across it, which none with a space in it can).
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

static struct tokenizer *make(void) {
    struct tokenizer_files files = {.vocab = {"vocab.txt", {vocab, sizeof vocab - 1}}};
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

// The first byte says where to cut; the others are the title.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct tokenizer *tokenizer;  // made once: the harness calls from one thread
    if (tokenizer == NULL) tokenizer = make();
    if (size == 0 || size > 1 << 16) return 0;
    uint8_t knob = data[0];
    const uint8_t *bytes = data + 1;
    size_t len = size - 1;
    struct encoding all;
    int32_t *ids = encode(tokenizer, bytes, len, 0, &all);
    assert(!all.truncated);
    check_limit(tokenizer, bytes, len, 2 + knob % 32, ids, all.n_ids);
    check_limit(tokenizer, bytes, len, all.n_ids, ids, all.n_ids);
    if (all.n_ids > 2) check_limit(tokenizer, bytes, len, all.n_ids - 1, ids, all.n_ids);
    check_border(tokenizer, bytes, len, knob % (len + 1));
    free(ids);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the files of a model directory, separated by 0xFF (which no UTF-8 text has), the
// first byte telling which they are: a tokenizer is made that keeps its promises, or there is an
// error with a message.
#include <assert.h>
#include <string.h>

#include "tokenizer/normalize.h"
#include "tokenizer/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tokenizer(const struct tokenizer *tokenizer) {
    static const char title[] =
        "aab [MASK] a\xc2\xad"
        "b, \xe6\x97\xa5"
        "a [CLS]\xff x##y A\xc3\x84 xaxxb \xc4\xb0 \xed\x95\x9c";
    int32_t ids[sizeof title + 1];
    uint8_t scratch[4 * sizeof title + 2 * CHAR_TEXT_MAX];
    assert(normalize_nbytes(sizeof title - 1) <= sizeof scratch);
    int32_t size = tokenizer_vocab_size(tokenizer);
    assert(size > 0);
    assert(tokenizer->max_word_chars >= 0 && tokenizer->max_word_chars <= WORD_CHARS_MAX);
    for (int32_t max_length = 0; max_length < 12; max_length += max_length == 0 ? 2 : 1) {
        struct encoding encoding = wordpiece_encode_title(
            tokenizer, (struct span){title, sizeof title - 1}, max_length, ids, scratch);
        assert(encoding.n_ids >= 2 && encoding.n_ids <= (int32_t)sizeof title + 1);
        assert(max_length == 0 || encoding.n_ids <= max_length);
        for (int32_t i = 0; i < encoding.n_ids; i++) assert(ids[i] >= 0 && ids[i] < size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tokenizer_files files = {0};
    struct tokenizer_file *const slots[] = {&files.vocab, &files.json, &files.config};
    static const char *const names[] = {"vocab.txt", "tokenizer.json", "tokenizer_config.json"};
    if (size == 0) return 0;
    unsigned which = data[0] % 8;
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    for (unsigned i = 0; i < 3; i++) {
        if ((which >> i & 1) == 0) continue;
        const char *border = at < end ? memchr(at, 0xFF, (size_t)(end - at)) : NULL;
        const char *stop = border != NULL ? border : end;
        *slots[i] = (struct tokenizer_file){names[i], {at, (size_t)(stop - at)}};
        at = border != NULL ? border + 1 : end;
    }
    if (files.vocab.name == NULL && files.json.name == NULL) return 0;
    struct error error = {""};
    struct tokenizer *tokenizer = NULL;
    enum status status = tokenizer_make(&files, &tokenizer, &error);
    assert((status == STATUS_OK) == (tokenizer != NULL));
    assert(status == STATUS_OK || (status == STATUS_MODEL && error.text[0] != 0));
    if (tokenizer != NULL) check_tokenizer(tokenizer);
    tokenizer_close(tokenizer);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The files of a small tokenizer as texts, to be changed and to make tokenizers from.
#ifndef WADER_TESTS_SUPPORT_TOKENIZER_FILES_H
#define WADER_TESTS_SUPPORT_TOKENIZER_FILES_H

#include "tests/check.h"
#include "tokenizer/normalize.h"
#include "tokenizer/wordpiece.h"

static const char good_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\nB\n";
static const char good_config[] =
    "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizer\"}";
static const char good_json[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":8},\"padding\":null,"
    "\"added_tokens\":[{\"id\":2,\"content\":\"[CLS]\",\"single_word\":false,\"lstrip\":false,"
    "\"rstrip\":false,\"normalized\":false,\"special\":true}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":false},"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
    "{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}"
    "},"
    "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{"
    "\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":[3],\"tokens\":[\"[SEP]\"]},"
    "\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[2],\"tokens\":[\"[CLS]\"]}}},"
    "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
    "\"model\":{\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
    "\"max_input_chars_per_word\":100,\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,"
    "\"[MASK]\":4,\"a\":5,\"##a\":6,\"b\":7,\"B\":8}}}";

// `text` with its one `from` replaced by `to`. Eight results may be in use at a time.
static inline const char *swap(const char *text, const char *from, const char *to) {
    static char results[8][4000];
    static int turn;
    char *result = results[turn++ % 8];
    const char *at = strstr(text, from);
    if (at == NULL) {
        CHECK_FAIL("the test's own text lacks %s", from);
        at = text;
    }
    snprintf(result, sizeof results[0], "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return result;
}

static inline struct tokenizer_file file(const char *name, const char *text) {
    if (text == NULL) return (struct tokenizer_file){0};
    return (struct tokenizer_file){name, {text, strlen(text)}};
}

static inline struct tokenizer *make(const char *vocab, const char *json, const char *config,
                                     struct error *error) {
    struct tokenizer_files files = {.vocab = file("vocab.txt", vocab),
                                    .json = file("tokenizer.json", json),
                                    .config = file("tokenizer_config.json", config)};
    struct tokenizer *tokenizer = (struct tokenizer *)(uintptr_t)1;
    *error = (struct error){""};
    enum status status = tokenizer_make(&files, &tokenizer, error);
    CHECK((status == STATUS_OK) == (tokenizer != NULL));
    CHECK(status == STATUS_OK || status == STATUS_MODEL);
    return tokenizer;
}

// That the files make a tokenizer which gives `title` these ids.
static inline void check_made(const char *vocab, const char *json, const char *config,
                              const char *title, const char *ids) {
    struct error error;
    struct tokenizer *tokenizer = make(vocab, json, config, &error);
    if (tokenizer == NULL) {
        CHECK_FAIL("refused: %s", error.text);
        return;
    }
    int32_t got[100];
    uint8_t scratch[4000];
    CHECK(normalize_nbytes(strlen(title)) <= sizeof scratch);
    struct encoding encoding =
        wordpiece_encode_title(tokenizer, span_text(title), 100, got, scratch);
    char text[1000] = "";
    for (int32_t i = 0; i < encoding.n_ids; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%d", i > 0 ? " " : "", got[i]);
        CHECK(got[i] < tokenizer_vocab_size(tokenizer));
    }
    CHECK_STR(text, ids);
    tokenizer_close(tokenizer);
}

// That the files are refused with a message that has both parts in it.
static inline void check_refused(const char *vocab, const char *json, const char *config,
                                 const char *part, const char *other_part) {
    struct error error;
    struct tokenizer *tokenizer = make(vocab, json, config, &error);
    CHECK_CONTAINS(error.text, part);
    CHECK_CONTAINS(error.text, other_part);
    tokenizer_close(tokenizer);
}

#endif

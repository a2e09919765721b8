// SPDX-License-Identifier: Apache-2.0
//
// tokenizer.json. The fields are those that Hugging Face tokenizers serializes
// (normalizers/bert.rs, processors/template.rs, models/wordpiece/serialization.rs,
// tokenizer/added_vocabulary.rs).
#include "tokenizer/settings.h"

#include <string.h>

#include "tokenizer/settings_parts.h"

static enum status check_type(struct json_value object, const char *type, const char *name,
                              const char *what, struct error *error) {
    struct json_value value;
    if (object.type != JSON_OBJECT || !json_member(object, "type", &value)) {
        return settings_refuse(name, what, object, type, error);
    }
    if (json_string_equal(value, type)) return STATUS_OK;
    return settings_refuse(name, what, value, type, error);
}

static enum status read_added_tokens(struct settings *settings, struct json_value array,
                                     const char *name, struct error *error) {
    if (array.type != JSON_ARRAY) {
        return settings_refuse(name, "added_tokens", array, "an array", error);
    }
    for (struct json_walk walk = json_walk(array); json_next(&walk);) {
        struct added_token token;
        struct json_value id;
        enum status status =
            settings_read_token(&token, walk.value, name, "an entry of added_tokens", error);
        if (status != STATUS_OK) return status;
        if (!json_member(walk.value, "id", &id)) {
            return settings_refuse_missing(name, "the id of an entry of added_tokens", "a number",
                                           error);
        }
        status = settings_read_id(&token.id, id, name, "the id of an entry of added_tokens", error);
        if (status == STATUS_OK) status = settings_add(settings, token, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status read_normalizer(struct settings *settings, struct json_value normalizer,
                                   const char *name, struct error *error) {
    enum status status = check_type(normalizer, "BertNormalizer", name, "normalizer", error);
    if (status != STATUS_OK) return status;
    struct wanted wanted[] = {{.key = "lowercase"},
                              {.key = "strip_accents"},
                              {.key = "handle_chinese_chars"},
                              {.key = "clean_text"}};
    static const char *const paths[] = {"normalizer.lowercase", "normalizer.strip_accents",
                                        "normalizer.handle_chinese_chars", "normalizer.clean_text"};
    enum says says[ARRAY_LEN(wanted)];
    settings_find(normalizer, wanted, ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        bool nullable = i == 1;
        if (!nullable && !wanted[i].found) {
            return settings_refuse_missing(name, paths[i], "true and false", error);
        }
        status = settings_read_switch(&says[i], &wanted[i], nullable, name, paths[i], error);
        if (status != STATUS_OK) return status;
    }
    settings->lowercase = says[0];
    settings->strip_accents = says[1];
    settings->handle_chinese_chars = says[2] == SAYS_TRUE;
    settings->clean_text = says[3] == SAYS_TRUE;
    return STATUS_OK;
}

static const char only_template[] =
    "TemplateProcessing of [CLS] $A [SEP] with type_id 0, or BertProcessing";

static enum status read_template(struct settings *settings, struct json_value processor,
                                 const char *name, struct error *error) {
    static const char *const names[] = {"/single/0/SpecialToken/id", "/single/2/SpecialToken/id"};
    static const char *const types[] = {"/single/0/SpecialToken/type_id",
                                        "/single/1/Sequence/type_id",
                                        "/single/2/SpecialToken/type_id"};
    static const enum special specials[] = {SPECIAL_CLS, SPECIAL_SEP};
    struct json_value value;
    int64_t number;
    bool good = json_pointer(processor, "/single/1/Sequence/id", &value) &&
                json_string_equal(value, "A") && !json_pointer(processor, "/single/3", &value);
    for (size_t i = 0; i < ARRAY_LEN(types) && good; i++) {
        good =
            json_pointer(processor, types[i], &value) && json_int64(value, &number) && number == 0;
    }
    if (!good) return settings_refuse(name, "post_processor", processor, only_template, error);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!json_pointer(processor, names[i], &value)) {
            return settings_refuse(name, "post_processor", processor, only_template, error);
        }
        struct added_token token;
        enum status status = settings_read_text(&token, value, name, names[i], error);
        if (status != STATUS_OK) return status;
        struct json_value tokens, entry, id;
        if (!json_member(processor, "special_tokens", &tokens) ||
            !json_member(tokens, token.text, &entry) || !json_pointer(entry, "/ids/0", &id) ||
            json_pointer(entry, "/ids/1", &value)) {
            return settings_refuse(name, "post_processor", processor,
                                   "one id for each of its tokens in special_tokens", error);
        }
        status =
            settings_read_id(&token.id, id, name, "an id of post_processor.special_tokens", error);
        if (status == STATUS_OK) status = settings_set_special(settings, specials[i], token, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status read_bert_processing(struct settings *settings, struct json_value processor,
                                        const char *name, struct error *error) {
    static const char *const paths[2][2] = {{"/cls/0", "/cls/1"}, {"/sep/0", "/sep/1"}};
    static const enum special specials[] = {SPECIAL_CLS, SPECIAL_SEP};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct json_value text, id;
        if (!json_pointer(processor, paths[i][0], &text) ||
            !json_pointer(processor, paths[i][1], &id)) {
            return settings_refuse(name, "post_processor", processor, only_template, error);
        }
        struct added_token token;
        enum status status = settings_read_text(&token, text, name, "post_processor", error);
        if (status == STATUS_OK) {
            status = settings_read_id(&token.id, id, name, "post_processor", error);
        }
        if (status == STATUS_OK) status = settings_set_special(settings, specials[i], token, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status read_post_processor(struct settings *settings, struct json_value processor,
                                       const char *name, struct error *error) {
    struct json_value type;
    if (json_member(processor, "type", &type)) {
        if (json_string_equal(type, "TemplateProcessing")) {
            return read_template(settings, processor, name, error);
        }
        if (json_string_equal(type, "BertProcessing")) {
            return read_bert_processing(settings, processor, name, error);
        }
    }
    return settings_refuse(name, "post_processor", processor, only_template, error);
}

static enum status read_prefix(struct settings *settings, struct json_value prefix,
                               const char *name, const char *what, struct error *error) {
    if (json_string_equal(prefix, "")) {
        settings->prefix_len = 0;
        return STATUS_OK;
    }
    struct added_token token;
    enum status status = settings_read_text(&token, prefix, name, what, error);
    if (status != STATUS_OK) return status;
    memcpy(settings->prefix, token.text, token.len);
    settings->prefix_len = token.len;
    return STATUS_OK;
}

static enum status read_model(struct settings *settings, struct json_value model, const char *name,
                              struct error *error) {
    if (model.type != JSON_OBJECT) return settings_refuse(name, "model", model, "WordPiece", error);
    struct wanted wanted[] = {{.key = "type"},
                              {.key = "unk_token"},
                              {.key = "continuing_subword_prefix"},
                              {.key = "max_input_chars_per_word"},
                              {.key = "vocab"}};
    settings_find(model, wanted, ARRAY_LEN(wanted));
    // Files of early versions have no type; the prefix tells WordPiece from the others.
    if (wanted[0].found && !json_string_equal(wanted[0].value, "WordPiece")) {
        return settings_refuse(name, "model.type", wanted[0].value, "\"WordPiece\"", error);
    }
    static const char *const paths[] = {"model.type", "model.unk_token",
                                        "model.continuing_subword_prefix",
                                        "model.max_input_chars_per_word", "model.vocab"};
    for (size_t i = 1; i < ARRAY_LEN(wanted); i++) {
        if (!wanted[i].found) {
            return settings_refuse_missing(name, paths[i], "WordPiece models", error);
        }
    }
    struct added_token token;
    enum status status = settings_read_text(&token, wanted[1].value, name, paths[1], error);
    if (status == STATUS_OK) status = settings_set_special(settings, SPECIAL_UNK, token, error);
    if (status != STATUS_OK) return status;
    status = read_prefix(settings, wanted[2].value, name, paths[2], error);
    if (status != STATUS_OK) return status;
    int64_t chars;
    if (!json_int64(wanted[3].value, &chars) || chars < 0 || chars > WORD_CHARS_MAX) {
        return settings_refuse(name, paths[3], wanted[3].value, "0 to 1000", error);
    }
    settings->max_word_chars = (int32_t)chars;
    settings->vocab = wanted[4].value;
    return STATUS_OK;
}

enum status settings_read_tokenizer(struct settings *settings, struct json_value root,
                                    const char *name, struct error *error) {
    struct wanted wanted[] = {{.key = "model"},
                              {.key = "normalizer"},
                              {.key = "pre_tokenizer"},
                              {.key = "post_processor"},
                              {.key = "added_tokens"}};
    settings_find(root, wanted, ARRAY_LEN(wanted));
    for (size_t i = 0; i < 4; i++) {
        if (settings_absent(&wanted[i])) {
            return settings_refuse_missing(name, wanted[i].key, "BERT tokenizers", error);
        }
    }
    settings->json_name = name;
    enum status status = read_model(settings, wanted[0].value, name, error);
    if (status == STATUS_OK) status = read_normalizer(settings, wanted[1].value, name, error);
    if (status == STATUS_OK) {
        status = check_type(wanted[2].value, "BertPreTokenizer", name, "pre_tokenizer", error);
    }
    if (status == STATUS_OK) status = read_post_processor(settings, wanted[3].value, name, error);
    if (status == STATUS_OK && !settings_absent(&wanted[4])) {
        status = read_added_tokens(settings, wanted[4].value, name, error);
    }
    return status;
}

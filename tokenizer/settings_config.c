// SPDX-License-Identifier: Apache-2.0
//
// tokenizer_config.json, as transformers keeps it (tokenization_utils_base.py).

#include "tokenizer/settings_parts.h"

// Classes whose tokens are BERT's. Others bring rules of their own (BertJapaneseTokenizer).
static const char *const classes[] = {
    "BertTokenizer",           "BertTokenizerFast", "DistilBertTokenizer",
    "DistilBertTokenizerFast", "ElectraTokenizer",  "ElectraTokenizerFast",
    "PreTrainedTokenizerFast", "TokenizersBackend",
};

static enum status check_class(const struct wanted *wanted, const char *name, struct error *error) {
    if (settings_absent(wanted)) return STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        if (json_string_equal(wanted->value, classes[i])) return STATUS_OK;
    }
    return settings_refuse(name, "tokenizer_class", wanted->value,
                           "BertTokenizer, BertTokenizerFast and those that give the same tokens",
                           error);
}

// The settings that would change ids.
static enum status check_flags(struct settings *settings, struct json_value root, const char *name,
                               struct error *error) {
    static const struct {
        const char *key;
        bool must_be;
    } flags[] = {{"do_lower_case", false},       {"lowercase", false},
                 {"strip_accents", false},       {"tokenize_chinese_chars", true},
                 {"handle_chinese_chars", true}, {"clean_text", true},
                 {"split_special_tokens", false}};
    struct wanted wanted[ARRAY_LEN(flags)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) wanted[i].key = flags[i].key;
    settings_find(root, wanted, ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const char *supported = i < 3 ? settings_only_cased : flags[i].must_be ? "true" : "false";
        enum status status = settings_check_bool(&wanted[i], false, flags[i].must_be, name,
                                                 flags[i].key, supported, error);
        if (status != STATUS_OK) return status;
    }
    if (!settings_absent(&wanted[0]) || !settings_absent(&wanted[1])) settings->case_stated = true;
    struct wanted others[] = {{.key = "tokenizer_class"}, {.key = "truncation_side"}};
    settings_find(root, others, ARRAY_LEN(others));
    enum status status = check_class(&others[0], name, error);
    if (status != STATUS_OK) return status;
    if (!settings_absent(&others[1]) && !json_string_equal(others[1].value, "right")) {
        return settings_refuse(name, "truncation_side", others[1].value, "\"right\"", error);
    }
    return STATUS_OK;
}

static enum status read_specials(struct settings *settings, struct json_value root,
                                 const char *name, struct error *error) {
    struct wanted wanted[SPECIALS] = {0};
    for (int i = 0; i < SPECIALS; i++) wanted[i].key = settings_special_keys[i];
    settings_find(root, wanted, SPECIALS);
    for (int i = 0; i < SPECIALS; i++) {
        if (settings_absent(&wanted[i])) continue;
        struct added_token token;
        enum status status =
            settings_read_token(&token, wanted[i].value, name, wanted[i].key, error);
        if (status == STATUS_OK) {
            status = settings_set_special(settings, (enum special)i, token, error);
        }
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// added_tokens_decoder: an object from id, as a string, to token.
static enum status read_decoder(struct settings *settings, struct json_value decoder,
                                const char *name, struct error *error) {
    for (struct json_walk walk = json_walk(decoder); json_next(&walk);) {
        struct added_token token;
        enum status status = settings_read_token(&token, walk.value, name,
                                                 "an entry of added_tokens_decoder", error);
        if (status != STATUS_OK) return status;
        struct json_value digits = walk.key;
        digits.type = JSON_NUMBER;
        digits.raw.ptr++;
        digits.raw.len -= 2;
        bool plain = digits.raw.len > 0 && digits.raw.len < 10;
        for (size_t i = 0; i < digits.raw.len && plain; i++) {
            plain = digits.raw.ptr[i] >= '0' && digits.raw.ptr[i] <= '9';
        }
        if (!plain) {
            return settings_refuse(name, "a key of added_tokens_decoder", walk.key, "ids", error);
        }
        status = settings_read_id(&token.id, digits, name, "a key of added_tokens_decoder", error);
        if (status == STATUS_OK) status = settings_add(settings, token, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// Lists (or, for extra_special_tokens, objects) of tokens without ids.
static enum status read_more(struct settings *settings, const struct wanted *wanted,
                             const char *name, struct error *error) {
    if (settings_absent(wanted)) return STATUS_OK;
    if (wanted->value.type != JSON_ARRAY && wanted->value.type != JSON_OBJECT) {
        return settings_refuse(name, wanted->key, wanted->value, "a list of tokens", error);
    }
    for (struct json_walk walk = json_walk(wanted->value); json_next(&walk);) {
        struct added_token token;
        enum status status = settings_read_token(&token, walk.value, name, wanted->key, error);
        if (status == STATUS_OK) status = settings_add(settings, token, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

enum status settings_read_config(struct settings *settings, struct json_value root,
                                 const char *name, struct error *error) {
    if (root.type != JSON_OBJECT) return settings_refuse(name, "it", root, "an object", error);
    enum status status = check_flags(settings, root, name, error);
    if (status == STATUS_OK) status = read_specials(settings, root, name, error);
    if (status != STATUS_OK) return status;
    struct wanted wanted[] = {{.key = "added_tokens_decoder"},
                              {.key = "additional_special_tokens"},
                              {.key = "extra_special_tokens"}};
    settings_find(root, wanted, ARRAY_LEN(wanted));
    if (!settings_absent(&wanted[0])) {
        status = read_decoder(settings, wanted[0].value, name, error);
    }
    if (status == STATUS_OK) status = read_more(settings, &wanted[1], name, error);
    if (status == STATUS_OK) status = read_more(settings, &wanted[2], name, error);
    return status;
}

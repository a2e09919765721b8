// SPDX-License-Identifier: Apache-2.0
//
// tokenizer_config.json, as transformers keeps it (tokenization_utils_base.py).
#include "tokenizer/settings_parts.h"

// Classes whose tokens are BERT's. Others bring rules of their own (BertJapaneseTokenizer). The
// first of them set the normalizer themselves, the last two take it from tokenizer.json.
static const char *const classes[] = {
    "BertTokenizer",           "BertTokenizerFast", "DistilBertTokenizer",
    "DistilBertTokenizerFast", "ElectraTokenizer",  "ElectraTokenizerFast",
    "PreTrainedTokenizerFast", "TokenizersBackend",
};
enum { OWN_NORMALIZER = 6 };

static enum status check_class(const struct wanted *wanted, bool *own_normalizer, const char *name,
                               struct error *error) {
    *own_normalizer = true;
    if (settings_absent(wanted)) return STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        *own_normalizer = i < OWN_NORMALIZER;
        if (json_string_equal(wanted->value, classes[i])) return STATUS_OK;
    }
    return settings_refuse(name, "tokenizer_class", wanted->value,
                           "BertTokenizer, BertTokenizerFast and those that give the same tokens",
                           error);
}

static const char *shown(bool value) {
    return value ? "true" : "false";
}

// A setting that tokenizer_config.json does not have, and whose default in transformers is not what
// tokenizer.json says. transformers would use its default, tokenizers what tokenizer.json says.
static enum status refuse_silence(const struct settings *settings, const char *path, bool value,
                                  const char *key, const char *by_default, const char *name,
                                  struct error *error) {
    return error_set(error, STATUS_MODEL,
                     "%s: %s is %s, but %s does not have %s, which transformers then takes for %s: "
                     "no telling which is meant; put it there",
                     settings->json_name, path, shown(value), name, key, by_default);
}

// The normalizer of a BertTokenizerFast: where its arguments differ from tokenizer.json it replaces
// what that says (transformers 4.15 to 5.24, tokenization_bert_fast.py and tokenization_bert.py).
static enum status override_normalizer(struct settings *settings, const struct wanted *wanted,
                                       const enum says *says, const char *name,
                                       struct error *error) {
    bool lowercase = settings->lowercase == SAYS_TRUE;
    if (says[0] != SAYS_NOTHING) {
        settings->lowercase = says[0];
    } else if (!lowercase) {
        return refuse_silence(settings, "normalizer.lowercase", false, wanted[0].key, "true", name,
                              error);
    }
    lowercase = settings->lowercase == SAYS_TRUE;
    bool strips = settings->strip_accents == SAYS_TRUE;
    if (wanted[1].found || settings->strip_accents == SAYS_NOTHING) {
        settings->strip_accents = says[1];
    } else if (strips != lowercase) {
        return refuse_silence(settings, "normalizer.strip_accents", strips, wanted[1].key,
                              lowercase ? "null, that is true" : "null, that is false", name,
                              error);
    }
    bool chinese = settings->handle_chinese_chars;
    if (says[2] == SAYS_NOTHING && !chinese) {
        return refuse_silence(settings, "normalizer.handle_chinese_chars", false, wanted[2].key,
                              "true", name, error);
    }
    if (says[2] == SAYS_NOTHING || chinese == (says[2] == SAYS_TRUE)) return STATUS_OK;
    return error_set(error, STATUS_MODEL,
                     "%s: tokenize_chinese_chars is %s, but normalizer.handle_chinese_chars of %s "
                     "is %s: some versions of transformers follow the one file, some the other; "
                     "make them agree",
                     name, shown(!chinese), settings->json_name, shown(chinese));
}

static enum status read_normalizer(struct settings *settings, struct json_value root,
                                   const char *name, struct error *error) {
    struct wanted wanted[] = {
        {.key = "do_lower_case"}, {.key = "strip_accents"}, {.key = "tokenize_chinese_chars"}};
    enum says says[ARRAY_LEN(wanted)];
    settings_find(root, wanted, ARRAY_LEN(wanted));
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        enum status status =
            settings_read_switch(&says[i], &wanted[i], i == 1, name, wanted[i].key, error);
        if (status != STATUS_OK) return status;
    }
    if (settings->json_name != NULL) {
        return override_normalizer(settings, wanted, says, name, error);
    }
    settings->lowercase = says[0];
    settings->strip_accents = says[1];
    settings->handle_chinese_chars = says[2] != SAYS_FALSE;
    return STATUS_OK;
}

// The settings that would change ids.
static enum status read_flags(struct settings *settings, struct json_value root, const char *name,
                              struct error *error) {
    struct wanted wanted[] = {
        {.key = "tokenizer_class"}, {.key = "truncation_side"}, {.key = "split_special_tokens"}};
    settings_find(root, wanted, ARRAY_LEN(wanted));
    bool own_normalizer;
    enum status status = check_class(&wanted[0], &own_normalizer, name, error);
    if (status != STATUS_OK) return status;
    if (!settings_absent(&wanted[1]) && !json_string_equal(wanted[1].value, "right")) {
        return settings_refuse(name, "truncation_side", wanted[1].value, "\"right\"", error);
    }
    status = settings_check_bool(&wanted[2], false, name, "split_special_tokens", "false", error);
    if (status != STATUS_OK) return status;
    if (settings->json_name != NULL && !own_normalizer) return STATUS_OK;
    return read_normalizer(settings, root, name, error);
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
    enum status status = read_flags(settings, root, name, error);
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

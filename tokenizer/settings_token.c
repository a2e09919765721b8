// SPDX-License-Identifier: Apache-2.0
//
// What the readers of both settings files share: refusing by name, and reading one token.
#include "tokenizer/settings_parts.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"
#include "tokenizer/trie.h"

_Static_assert(TRIE_NO_ID == 16777215, "settings_read_id names the largest id");

enum { RAW_TEXT_MAX = 6 * ADDED_TEXT_MAX + 2 };  // each byte as \u00XX, and the quotes

const char *const settings_special_keys[SPECIALS] = {"unk_token", "cls_token", "sep_token",
                                                     "pad_token", "mask_token"};

void settings_find(struct json_value object, struct wanted *wanted, size_t n) {
    for (struct json_walk walk = json_walk(object); json_next(&walk);) {
        for (size_t i = 0; i < n; i++) {
            if (!json_string_equal(walk.key, wanted[i].key)) continue;
            wanted[i].value = walk.value;
            wanted[i].found = true;
        }
    }
}

bool settings_absent(const struct wanted *wanted) {
    return !wanted->found || wanted->value.type == JSON_NULL;
}

void settings_init(struct settings *settings) {
    static const char *const defaults[SPECIALS] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
    *settings = (struct settings){.max_word_chars = 100,
                                  .prefix = "##",
                                  .prefix_len = 2,
                                  .clean_text = true,
                                  .handle_chinese_chars = true};
    for (int i = 0; i < SPECIALS; i++) {
        struct added_token *token = &settings->special[i];
        token->len = strlen(defaults[i]);
        memcpy(token->text, defaults[i], token->len);
        token->id = -1;
        token->file = "(default)";
    }
}

void settings_free(struct settings *settings) {
    free(settings->added);
    *settings = (struct settings){0};
}

enum status settings_refuse(const char *name, const char *what, struct json_value value,
                            const char *supported, struct error *error) {
    int shown = (int)(value.raw.len < 80 ? value.raw.len : 80);
    return error_set(error, STATUS_MODEL, "%s: %s is %.*s; supported: %s", name, what, shown,
                     value.raw.ptr, supported);
}

enum status settings_refuse_missing(const char *name, const char *what, const char *supported,
                                    struct error *error) {
    return error_set(error, STATUS_MODEL, "%s: %s is missing; supported: %s", name, what,
                     supported);
}

void settings_finish(struct settings *settings, bool has_upper) {
    // Hugging Face lower-cases unless told not to. Of a vocabulary with capitals, which could then
    // never match, it is likelier that whoever published it forgot to say so.
    bool lowercase =
        settings->lowercase == SAYS_NOTHING ? !has_upper : settings->lowercase == SAYS_TRUE;
    settings->normalizer =
        (struct normalizer){.clean_text = settings->clean_text,
                            .handle_chinese_chars = settings->handle_chinese_chars,
                            .strip_accents = settings->strip_accents == SAYS_NOTHING
                                                 ? lowercase
                                                 : settings->strip_accents == SAYS_TRUE,
                            .lowercase = lowercase};
}

enum status settings_read_switch(enum says *says, const struct wanted *wanted, bool nullable,
                                 const char *name, const char *what, struct error *error) {
    *says = SAYS_NOTHING;
    if (!wanted->found || (nullable && wanted->value.type == JSON_NULL)) return STATUS_OK;
    bool value;
    if (!json_bool(wanted->value, &value)) {
        return settings_refuse(name, what, wanted->value,
                               nullable ? "true, false and null" : "true and false", error);
    }
    *says = value ? SAYS_TRUE : SAYS_FALSE;
    return STATUS_OK;
}

enum status settings_check_bool(const struct wanted *wanted, bool must_be, const char *name,
                                const char *what, const char *supported, struct error *error) {
    if (settings_absent(wanted)) return STATUS_OK;
    bool value;
    if (!json_bool(wanted->value, &value) || value != must_be) {
        return settings_refuse(name, what, wanted->value, supported, error);
    }
    return STATUS_OK;
}

enum status settings_read_text(struct added_token *token, struct json_value string,
                               const char *name, const char *what, struct error *error) {
    if (string.type != JSON_STRING) return settings_refuse(name, what, string, "a string", error);
    char text[RAW_TEXT_MAX];
    size_t len = 0;
    if (string.raw.len <= RAW_TEXT_MAX) len = json_string(string, text);
    if (len == 0 || len > ADDED_TEXT_MAX) {
        return settings_refuse(name, what, string, "a string of 1 to 255 bytes", error);
    }
    bool plain = memchr(text, 0, len) == NULL && utf8_check(text, len) == len;
    for (size_t i = 0; plain && i + 3 <= len; i++) plain = memcmp(text + i, "\xEF\xBF\xBD", 3) != 0;
    if (!plain) {
        return settings_refuse(name, what, string, "UTF-8 without U+0000 and U+FFFD", error);
    }
    *token = (struct added_token){.len = len, .id = -1, .file = name};
    memcpy(token->text, text, len);
    return STATUS_OK;
}

enum status settings_read_token(struct added_token *token, struct json_value value,
                                const char *name, const char *what, struct error *error) {
    if (value.type == JSON_STRING) return settings_read_text(token, value, name, what, error);
    struct wanted wanted[] = {{.key = "content"},     {.key = "lstrip"},     {.key = "rstrip"},
                              {.key = "single_word"}, {.key = "normalized"}, {.key = "special"}};
    settings_find(value, wanted, ARRAY_LEN(wanted));
    if (!wanted[0].found) {
        return settings_refuse(name, what, value, "a string, or an object with \"content\"", error);
    }
    enum status status = settings_read_text(token, wanted[0].value, name, what, error);
    enum says says[ARRAY_LEN(wanted)];
    for (size_t i = 1; i < ARRAY_LEN(wanted) && status == STATUS_OK; i++) {
        status = settings_read_switch(&says[i], &wanted[i], true, name, wanted[i].key, error);
    }
    if (status != STATUS_OK) return status;
    if (says[3] == SAYS_TRUE) {
        return settings_refuse(name, what, value,
                               "added tokens with single_word false (what a word is would be up to "
                               "the Unicode version of a regular expression library)",
                               error);
    }
    token->strips = says[1] == SAYS_TRUE || says[2] == SAYS_TRUE;
    token->normalized = says[4];
    if (says[4] != SAYS_NOTHING) return STATUS_OK;
    // A special one is not, then; of others, programs think differently.
    token->normalized = SAYS_FALSE;
    return says[5] == SAYS_TRUE
               ? STATUS_OK
               : settings_refuse(name, what, value,
                                 "added tokens that say whether they are normalized", error);
}

enum status settings_add(struct settings *settings, struct added_token token, struct error *error) {
    if (settings->n_added == settings->added_cap) {
        size_t cap = settings->added_cap > 0 ? settings->added_cap * 2 : 16;
        struct added_token *added = realloc(settings->added, cap * sizeof *added);
        if (added == NULL) {
            return error_set(error, STATUS_IO, "out of memory: %zu added tokens", cap);
        }
        settings->added = added;
        settings->added_cap = cap;
    }
    settings->added[settings->n_added++] = token;
    return STATUS_OK;
}

enum status settings_set_special(struct settings *settings, enum special special,
                                 struct added_token token, struct error *error) {
    struct added_token *now = &settings->special[special];
    if (settings->stated[special] &&
        (now->len != token.len || memcmp(now->text, token.text, token.len) != 0)) {
        return error_set(error, STATUS_MODEL, "%s is \"%s\" in %s but \"%s\" in %s",
                         settings_special_keys[special], now->text, now->file, token.text,
                         token.file);
    }
    if (now->id >= 0) {
        token.id = now->id;
        token.file = now->file;
    }
    // A name alone does not undo the flags that came with another one.
    if (token.normalized == SAYS_NOTHING) {
        token.normalized = now->normalized;
        token.strips = now->strips;
    }
    *now = token;
    settings->stated[special] = true;
    return STATUS_OK;
}

enum status settings_read_id(int32_t *id, struct json_value value, const char *name,
                             const char *what, struct error *error) {
    int64_t number;
    if (!json_int64(value, &number) || number < 0 || number >= TRIE_NO_ID) {
        return settings_refuse(name, what, value, "an id from 0 to 16777214", error);
    }
    *id = (int32_t)number;
    return STATUS_OK;
}

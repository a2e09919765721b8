// SPDX-License-Identifier: Apache-2.0
//
// What the readers of tokenizer.json and tokenizer_config.json share.
#ifndef WADER_TOKENIZER_SETTINGS_PARTS_H
#define WADER_TOKENIZER_SETTINGS_PARTS_H

#include "tokenizer/settings.h"

// A member wanted from an object. Looking for several at once walks a large file only once.
struct wanted {
    const char *key;
    struct json_value value;
    bool found;
};

void settings_find(struct json_value object, struct wanted *wanted, size_t n);

// Missing or null.
bool settings_absent(const struct wanted *wanted);

extern const char *const settings_special_keys[SPECIALS];  // "unk_token", ...

// Refuses `what` (a path of keys) for its value, shown as it is written and cut to fit.
enum status settings_refuse(const char *name, const char *what, struct json_value value,
                            const char *supported, struct error *error);
enum status settings_refuse_missing(const char *name, const char *what, const char *supported,
                                    struct error *error);

// That a member is the bool it must be, or missing or null.
enum status settings_check_bool(const struct wanted *wanted, bool must_be, const char *name,
                                const char *what, const char *supported, struct error *error);

// A switch of the normalizer; missing is SAYS_NOTHING. `nullable`: so is null.
enum status settings_read_switch(enum says *says, const struct wanted *wanted, bool nullable,
                                 const char *name, const char *what, struct error *error);

// The text of a token into `token`. Tokens that could not be found byte by byte are refused.
enum status settings_read_text(struct added_token *token, struct json_value string,
                               const char *name, const char *what, struct error *error);

// A token as a string or as an object with "content" and flags.
enum status settings_read_token(struct added_token *token, struct json_value value,
                                const char *name, const char *what, struct error *error);
enum status settings_read_id(int32_t *id, struct json_value value, const char *name,
                             const char *what, struct error *error);

enum status settings_add(struct settings *settings, struct added_token token, struct error *error);

// Names a special token; two files must name the same one.
enum status settings_set_special(struct settings *settings, enum special special,
                                 struct added_token token, struct error *error);

#endif

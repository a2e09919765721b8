// SPDX-License-Identifier: Apache-2.0
//
// What tokenizer.json and tokenizer_config.json say beside the vocabulary, checked against the one
// kind of tokenizer that is supported. A setting that would change ids and is not supported is
// refused by name; settings of padding and truncation are not read, for the caller decides those.
#ifndef WADER_TOKENIZER_SETTINGS_H
#define WADER_TOKENIZER_SETTINGS_H

#include "host/base/base.h"
#include "host/base/json.h"

enum special { SPECIAL_UNK, SPECIAL_CLS, SPECIAL_SEP, SPECIAL_PAD, SPECIAL_MASK, SPECIALS };

enum {
    ADDED_TEXT_MAX = 255,  // bytes of an added or special token
    WORD_CHARS_MAX = 1000  // the largest max_input_chars_per_word; BERT has 100
};

// A token that is looked for in the raw title, before anything else.
struct added_token {
    char text[ADDED_TEXT_MAX + 1];
    size_t len;
    int32_t id;        // -1: the file names the token, not its id
    const char *file;  // which file says so
};

struct settings {
    struct added_token special[SPECIALS];  // "[UNK]"... unless a file names another
    bool stated[SPECIALS];
    struct added_token *added;  // [n_added], in the order of the files
    size_t n_added, added_cap;
    int32_t max_word_chars;
    bool case_stated;         // some file says that the tokenizer does not lower-case
    struct json_value vocab;  // model.vocab of tokenizer.json
};

void settings_init(struct settings *settings);
void settings_free(struct settings *settings);

// Both return STATUS_MODEL, naming the file, the setting and what is supported. `name` must outlive
// the settings. tokenizer.json is read first where both are there.
enum status settings_read_tokenizer(struct settings *settings, struct json_value root,
                                    const char *name, struct error *error);
enum status settings_read_config(struct settings *settings, struct json_value root,
                                 const char *name, struct error *error);

#endif

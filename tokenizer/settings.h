// SPDX-License-Identifier: Apache-2.0
//
// What tokenizer.json and tokenizer_config.json say beside the vocabulary. A setting that would
// change ids and is not supported is refused by name; settings of padding and truncation are not
// read, for the caller decides those.
#ifndef WADER_TOKENIZER_SETTINGS_H
#define WADER_TOKENIZER_SETTINGS_H

#include "host/base/base.h"
#include "host/base/json.h"
#include "tokenizer/chars.h"

enum special { SPECIAL_UNK, SPECIAL_CLS, SPECIAL_SEP, SPECIAL_PAD, SPECIAL_MASK, SPECIALS };

enum {
    ADDED_TEXT_MAX = 255,  // bytes of an added or special token, and of the prefix
    WORD_CHARS_MAX = 1000  // the largest max_input_chars_per_word; BERT has 100
};

// What the files say of a switch.
enum says { SAYS_NOTHING, SAYS_FALSE, SAYS_TRUE };

// A token that is looked for before anything else.
struct added_token {
    char text[ADDED_TEXT_MAX + 1];
    size_t len;
    int32_t id;            // -1: the file names the token, not its id
    const char *file;      // which file says so
    enum says normalized;  // looked for in the normalized title; SAYS_NOTHING: as another file says
    bool strips;           // takes the white space beside it
};

struct settings {
    struct added_token special[SPECIALS];  // "[UNK]"... unless a file names another
    bool stated[SPECIALS];
    struct added_token *added;  // [n_added], in the order of the files
    size_t n_added, added_cap;
    int32_t max_word_chars;
    char prefix[ADDED_TEXT_MAX];  // continuing_subword_prefix, "##" unless tokenizer.json says else
    size_t prefix_len;
    struct normalizer normalizer;  // settings_finish sets it
    struct json_value vocab;       // model.vocab of tokenizer.json
    // private
    const char *json_name;  // NULL: tokenizer.json was not read
    enum says lowercase, strip_accents;
    bool clean_text, handle_chinese_chars;
};

void settings_init(struct settings *settings);
void settings_free(struct settings *settings);

// Both return STATUS_MODEL, naming the file, the setting and what is supported. `name` must outlive
// the settings. tokenizer.json is read first where both are there.
enum status settings_read_tokenizer(struct settings *settings, struct json_value root,
                                    const char *name, struct error *error);
enum status settings_read_config(struct settings *settings, struct json_value root,
                                 const char *name, struct error *error);

// Decides, after both, what no file states. `has_upper`: some token has a capital letter.
void settings_finish(struct settings *settings, bool has_upper);

#endif

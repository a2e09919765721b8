// SPDX-License-Identifier: Apache-2.0
//
// Options in force, for reports.
#include "host/base/buffer.h"
#include "host/cli/options_table.h"

static void add_value(const struct options *options, const struct option *option,
                      struct buffer *out) {
    const void *field = (const char *)options + option->offset;
    char word[OPTIONS_WORD_NBYTES];
    const char *text = NULL;
    switch (option->kind) {
        case KIND_FLAG:
            buffer_add_text(out, *(const bool *)field ? "true" : "false");
            return;
        case KIND_INT:
            if (*(const int *)field >= option->min) {
                buffer_add_format(out, "%d", *(const int *)field);
                return;
            }
            break;  // what is chosen later
        case KIND_TEXT:
            text = *(const char *const *)field;
            break;
        case KIND_WORD:
            text = options_word(option->name, *(const int *)field, word);
            break;
        case KIND_LIST: {
            const struct text_list *list = field;
            buffer_add_text(out, "[");
            for (int i = 0; i < list->n; i++) {
                buffer_add_text(out, i > 0 ? ", " : "");
                buffer_add_json_string(out, span_text(list->items[i]));
            }
            buffer_add_text(out, "]");
            return;
        }
    }
    if (text != NULL) {
        buffer_add_json_string(out, span_text(text));
    } else {
        buffer_add_text(out, "null");
    }
}

void options_add_json(const struct options *options, struct buffer *out) {
    static const char *const origins[] = {"default", "flag", "environment", "file"};
    const char *separator = "";
    buffer_add_text(out, "{");
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        const struct option *option = &option_table[i];
        if ((option->commands & command_table[options->command].commands) == 0) continue;
        const unsigned origin = options->origin[i];
        buffer_add_format(out, "%s\n    \"%s\": {\"value\": ", separator, option->name);
        add_value(options, option, out);
        buffer_add_format(out, ", \"from\": \"%s\"}", origins[origin]);
        separator = ",";
    }
    buffer_add_text(out, "}");
}

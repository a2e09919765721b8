// SPDX-License-Identifier: Apache-2.0
//
// Values of options from text, and words of their values.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/options_table.h"

// The position of `word` among "a|b|c", or -1.
static int word_index(const char *words, const char *word) {
    const size_t len = strlen(word);
    int i = 0;
    for (const char *at = words; at != NULL; i++) {
        const char *bar = strchr(at, '|');
        const size_t n = bar != NULL ? (size_t)(bar - at) : strlen(at);
        if (n == len && memcmp(at, word, n) == 0) return i;
        at = bar != NULL ? bar + 1 : NULL;
    }
    return -1;
}

const char *options_word(const char *name, int value, char text[OPTIONS_WORD_NBYTES]) {
    text[0] = '\0';
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        if (option_table[i].kind != KIND_WORD || strcmp(option_table[i].name, name) != 0) continue;
        const char *at = option_table[i].words;
        for (int skipped = 0; skipped < value; skipped++) at = strchr(at, '|') + 1;
        snprintf(text, OPTIONS_WORD_NBYTES, "%.*s", (int)strcspn(at, "|"), at);
    }
    return text;
}

static enum status set_int(const struct option *option, const char *text, int *out,
                           const char *shown, struct error *error) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*text != '\0' && *end == '\0' && value > INT_MAX) {
        return error_set(error, STATUS_USAGE, "%s: %s is more than %d", shown, text, INT_MAX);
    }
    if (*text == '\0' || *end != '\0' || errno != 0 || value < option->min) {
        return error_set(error, STATUS_USAGE, "%s: \"%s\" is not a whole number of at least %d",
                         shown, text, option->min);
    }
    *out = (int)value;
    return STATUS_OK;
}

static enum status set_flag(const char *text, bool *out, const char *shown, struct error *error) {
    static const char yes[] = "1|true|yes|on", no[] = "0|false|no|off";
    *out = word_index(yes, text) >= 0;
    if (*out || word_index(no, text) >= 0) return STATUS_OK;
    return error_set(error, STATUS_USAGE, "%s: \"%s\" is none of %s|%s", shown, text, yes, no);
}

static enum status append(const char *text, struct text_list *list, const char *shown,
                          struct error *error) {
    if (list->n == OPTIONS_LIST_MAX) {
        return error_set(error, STATUS_USAGE, "%s: at most %d are taken", shown,
                         (int)OPTIONS_LIST_MAX);
    }
    list->items[list->n++] = text;
    return STATUS_OK;
}

enum status option_set(const struct option *option, const char *text, const char *shown,
                       struct options *options, struct error *error) {
    char *field = (char *)options + option->offset;
    switch (option->kind) {
        case KIND_FLAG:
            return set_flag(text, (bool *)(void *)field, shown, error);
        case KIND_TEXT:
            *(const char **)(void *)field = text;
            return STATUS_OK;
        case KIND_INT:
            return set_int(option, text, (int *)(void *)field, shown, error);
        case KIND_LIST:
            return append(text, (struct text_list *)(void *)field, shown, error);
        case KIND_WORD:
            break;
    }
    int i = word_index(option->words, text);
    if (i < 0) {
        return error_set(error, STATUS_USAGE, "%s: \"%s\" is none of %s", shown, text,
                         option->words);
    }
    *(int *)(void *)field = i;
    return STATUS_OK;
}

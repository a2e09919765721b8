// SPDX-License-Identifier: Apache-2.0
//
// Command lines as one text, for tests of the options.
#ifndef WADER_TESTS_SUPPORT_COMMAND_LINE_H
#define WADER_TESTS_SUPPORT_COMMAND_LINE_H

#include "host/cli/options.h"
#include "tests/check.h"

enum { ARGS_MAX = 24 };

// Parses "wader" and the words of `line`, parted by single spaces; "" stands as two quotes. The
// words live until the next call.
static inline enum status parse(const char *line, struct options *options, struct error *error) {
    static char words[1000];
    static char *argv[ARGS_MAX];
    static char program[] = "wader";
    int argc = 1;
    argv[0] = program;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        if (strcmp(word, "''") == 0) *word = '\0';
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    *error = (struct error){""};
    return options_parse(argc, argv, options, error);
}

static inline struct options good(const char *line) {
    struct options options;
    struct error error;
    if (parse(line, &options, &error) != STATUS_OK) CHECK_FAIL("%s: %s", line, error.text);
    return options;
}

static inline void check_refused(const char *line, const char *part) {
    struct options options;
    struct error error;
    CHECK_INT(parse(line, &options, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, part);
    options_free(&options);
}

#endif

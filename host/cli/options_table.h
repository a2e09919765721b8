// SPDX-License-Identifier: Apache-2.0
//
// Every command and every option, each once. Private to options*.c.
#ifndef WADER_HOST_CLI_OPTIONS_TABLE_H
#define WADER_HOST_CLI_OPTIONS_TABLE_H

#include "host/cli/options.h"

enum option_kind { KIND_FLAG, KIND_TEXT, KIND_INT, KIND_WORD, KIND_LIST };

// A name may come more than once, for different commands.
struct option {
    const char *name;  // --name; WADER_NAME in the environment, - becoming _
    char letter;       // -l, or 0
    enum option_kind kind;
    size_t offset;      // of its value in struct options: bool, text, int, int, text_list
    unsigned commands;  // who takes it
    int min;            // KIND_INT
    const char *words;  // KIND_WORD: its values, parted by |
    const char *value;  // what --help calls the value
    const char *help;   // lines parted by \n
};

// Behind the last one there is one without a name.
enum { OPTIONS_MAX = 65 };
extern const struct option option_table[OPTIONS_MAX + 1];

struct command_entry {
    const char *name;
    unsigned commands;  // its bit in struct option, 0 where it takes no options
    unsigned also;      // the bit of a command whose options it takes too, and leaves aside
    const char *usage;
    const char *summary;
};

enum { COMMANDS_END = COMMAND_HELP + 1 };
extern const struct command_entry command_table[COMMANDS_END];  // from COMMAND_LABEL on

#endif

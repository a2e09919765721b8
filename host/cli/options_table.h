// SPDX-License-Identifier: Apache-2.0
//
// Every command and every option, each once. For options*.c, and for host/manual, which makes the
// manual page and the completions of it.
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
enum { OPTIONS_MAX = 69 };
_Static_assert((int)OPTIONS_MAX <= (int)OPTIONS_ROOM, "struct options has no room for all origins");
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

struct exit_entry {
    int code;
    const char *meaning;
};
extern const struct exit_entry exit_table[];  // behind the last one there is one without a meaning

// COMMAND_NONE for what is none.
enum command command_named(const char *name);

// The row of the option `name` (`len` bytes) that one of `commands` takes, or NULL.
const struct option *option_named(const char *name, size_t len, unsigned commands);

// Gives the option its value. `shown` is how the user gave it, for messages (STATUS_USAGE).
enum status option_set(const struct option *option, const char *text, const char *shown,
                       struct options *options, struct error *error);

// options_file.c: fills in what neither command line nor environment gave from the configuration
// file that options->config names. STATUS_USAGE, with file and line, for what makes no sense in it.
enum status options_read_file(struct options *options, struct error *error);

// The same from `text` [len], behind which stands a NUL; it is cut apart, and lives as long as
// `options`. `name` is the file's.
enum status options_read_text(char *text, size_t len, const char *name, struct options *options,
                              struct error *error);

#endif

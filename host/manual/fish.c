// SPDX-License-Identifier: Apache-2.0
//
// The completion of fish: a line for each option of each command.
#include <string.h>

#include "host/manual/manual.h"

// In single quotes of fish only the quote and the backslash are special.
static void put_quoted(FILE *file, struct span text) {
    fputc('\'', file);
    put_escaped(file, text, "'\\", "\\");
    fputc('\'', file);
}

static void put_option(FILE *file, const char *command, const struct option *option) {
    fprintf(file, "complete -c wader -n '__fish_seen_subcommand_from %s' -l %s", command,
            option->name);
    if (option->letter != 0) fprintf(file, " -s %c", option->letter);
    switch (value_kind_of(option)) {
        case VALUE_NONE:
            break;
        case VALUE_DIRECTORY:
            fputs(" -x -a '(__fish_complete_directories)'", file);
            break;
        case VALUE_FILE:
            fputs(" -r -F", file);
            break;
        case VALUE_WORDS:
            fputs(" -x -a '", file);
            for (const char *at = option->words; *at != '\0'; at++) {
                fputc(*at == '|' ? ' ' : *at, file);
            }
            fputs("'", file);
            break;
        case VALUE_OTHER:
            fputs(" -x", file);
    }
    fputs(" -d ", file);
    put_quoted(file, first_line_of(option->help));
    fputs("\n", file);
}

void manual_fish(FILE *file) {
    fputs(
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Completion of wader for fish, made by wader_manual of host/cli/options_table.c.\n"
        "complete -c wader -n __fish_use_subcommand -f -l version -d 'print the version'\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        fprintf(file, "complete -c wader -n __fish_use_subcommand -f -a %s -d ",
                command_table[i].name);
        put_quoted(file, first_line_of(command_table[i].summary));
        fputs("\n", file);
    }
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        for (size_t k = 0; option_table[k].name != NULL; k++) {
            if (!command_takes((enum command)i, &option_table[k])) continue;
            put_option(file, command_table[i].name, &option_table[k]);
        }
    }
}

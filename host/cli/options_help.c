// SPDX-License-Identifier: Apache-2.0
//
// What `wader help` prints.
#include <string.h>

#include "host/cli/options_table.h"

// Lines of `text`, parted by \n: `first` before the first one, `space` before the others.
static void print_lines(FILE *file, const char *text, const char *first, const char *space) {
    const char *before = first;
    for (const char *line = text; line != NULL; before = space) {
        const char *end = strchr(line, '\n');
        const int len = end != NULL ? (int)(end - line) : (int)strlen(line);
        fprintf(file, "%s%.*s\n", before, len, line);
        line = end != NULL ? end + 1 : NULL;
    }
}

static void print_option(FILE *file, const struct option *option) {
    char letter[8] = "    ";
    if (option->letter != 0) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    fprintf(file, "  %s--%s%s%s\n", letter, option->name, option->value != NULL ? " " : "",
            option->value != NULL ? option->value : "");
    print_lines(file, option->help, "          ", "          ");
    if (option->words != NULL) fprintf(file, "          one of: %s\n", option->words);
}

void options_print_help(FILE *file, enum command command) {
    if (command == COMMAND_NONE) {
        fputs("wader: labels a whole catalog of content titles with a BERT classifier\n\n", file);
        for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
            fprintf(file, "  %s\n      %s\n", command_table[i].usage, command_table[i].summary);
        }
        fputs("  wader --version\n      Prints the version.\n", file);
    } else {
        fprintf(file,
                "%s\n\n%s\n\nOptions (each also as WADER_NAME in the environment, or in --config's "
                "file):\n",
                command_table[command].usage, command_table[command].summary);
        for (size_t i = 0; option_table[i].name != NULL; i++) {
            if ((option_table[i].commands & command_table[command].commands) != 0) {
                print_option(file, &option_table[i]);
            }
        }
    }
    fputs("\nExit codes:\n", file);
    for (const struct exit_entry *entry = exit_table; entry->meaning != NULL; entry++) {
        char code[16];
        snprintf(code, sizeof code, "%5d  ", entry->code);
        print_lines(file, entry->meaning, code, "       ");
    }
}

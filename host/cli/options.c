// SPDX-License-Identifier: Apache-2.0
#include "host/cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/options_table.h"
#include "host/stream/chunk.h"

static enum command command_named(const char *name) {
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        if (strcmp(name, command_table[i].name) == 0) return (enum command)i;
    }
    return COMMAND_NONE;
}

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

// `shown` is how the user gave the option, for messages.
static enum status set(const struct option *option, const char *text, const char *shown,
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

// Fills in what the command line left open; an empty variable is as good as none.
static enum status read_environment(unsigned command, const bool given[OPTIONS_MAX],
                                    struct options *options, struct error *error) {
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        if ((option_table[i].commands & command) == 0 || given[i]) continue;
        char name[64] = "WADER_";
        size_t n = strlen(name);
        for (const char *c = option_table[i].name; *c != '\0' && n + 1 < sizeof name; c++) {
            name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        }
        const char *text = getenv(name);
        if (text == NULL || *text == '\0') continue;
        enum status status = set(&option_table[i], text, name, options, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// The option that `argument` names: "--name", "--name=value" or "-l". `*value` is the text behind
// the =, or NULL.
static const struct option *find_option(const char *argument, unsigned command,
                                        const char **value) {
    *value = NULL;
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        const struct option *option = &option_table[i];
        if ((option->commands & command) == 0) continue;
        const size_t len = strlen(option->name);
        if (argument[1] != '-') {
            if (option->letter != 0 && argument[1] == option->letter) {
                if (argument[2] != '\0') *value = argument + 2;
                return option;
            }
        } else if (strncmp(argument + 2, option->name, len) == 0 &&
                   (argument[2 + len] == '\0' || argument[2 + len] == '=')) {
            if (argument[2 + len] == '=') *value = argument + 2 + len + 1;
            return option;
        }
    }
    return NULL;
}

static enum status parse_option(char **argv, int argc, int *i, struct options *options,
                                bool given[OPTIONS_MAX], struct error *error) {
    const char *name = command_table[options->command].name;
    const char *argument = argv[*i], *value;
    const struct command_entry *entry = &command_table[options->command];
    const struct option *option = find_option(argument, entry->commands, &value);
    if (option == NULL) option = find_option(argument, entry->also, &value);
    if (option == NULL || (option->kind == KIND_FLAG && value != NULL)) {
        return error_set(error, STATUS_USAGE,
                         "%s: no such option of `wader %s`; `wader help %s` lists them", argument,
                         name, name);
    }
    given[option - option_table] = true;
    if (option->kind == KIND_FLAG) return set(option, "1", argument, options, error);
    if (value == NULL) {
        if (*i + 1 >= argc) {
            return error_set(error, STATUS_USAGE, "%s needs a value: %s %s", argument, argument,
                             option->value);
        }
        value = argv[++*i];
    }
    return set(option, value, argument, options, error);
}

static bool takes_model(unsigned command) {
    const char *ignored;
    return find_option("--model", command, &ignored) != NULL;
}

static enum status parse_command(int argc, char **argv, struct options *options,
                                 struct error *error) {
    if (argc < 2) {
        return error_set(error, STATUS_USAGE, "give a command; `wader --help` lists them");
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        options->command = COMMAND_VERSION;
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        options->command = COMMAND_HELP;
    } else {
        options->command = command_named(word);
    }
    if (options->command == COMMAND_NONE) {
        return error_set(error, STATUS_USAGE, "%s: no such command; `wader --help` lists them",
                         word);
    }
    if (options->command == COMMAND_HELP && argc > 2) {
        options->subject = command_named(argv[2]);
        if (options->subject == COMMAND_NONE) {
            return error_set(error, STATUS_USAGE, "%s: no such command; `wader help` lists them",
                             argv[2]);
        }
    }
    return STATUS_OK;
}

enum status options_parse(int argc, char **argv, struct options *options, struct error *error) {
    *options = (struct options){.device = "auto",
                                .max_length = -1,
                                .max_bad = "1%",
                                .max_record_bytes = RECORD_NBYTES_MAX,
                                .gpu_timeout = 120,
                                .lengths = "titles",
                                .repeats = 5,
                                .seconds = 40,
                                .checkpoint_seconds = 10,
                                .sample = 32,
                                .seed = 1};
    enum status status = parse_command(argc, argv, options, error);
    if (status != STATUS_OK) return status;
    if (options->command == COMMAND_VERSION) return STATUS_OK;
    const unsigned command = command_table[options->command].commands;
    if (command == 0) return STATUS_OK;
    bool only_inputs = false, given[OPTIONS_MAX] = {false};
    options->inputs = argv;  // inputs are moved to the front as they come
    for (int i = 2; status == STATUS_OK && i < argc; i++) {
        if (only_inputs || argv[i][0] != '-' || argv[i][1] == '\0') {
            options->inputs[options->n_inputs++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_inputs = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            options->subject = options->command;
            options->command = COMMAND_HELP;
            return STATUS_OK;
        } else {
            status = parse_option(argv, argc, &i, options, given, error);
        }
    }
    if (status == STATUS_OK) status = read_environment(command, given, options, error);
    if (status == STATUS_OK && options->model == NULL && takes_model(command)) {
        return error_set(error, STATUS_USAGE, "--model DIR is required; `wader help %s` tells more",
                         command_table[options->command].name);
    }
    return status;
}

static void print_option(FILE *file, const struct option *option) {
    char letter[8] = "    ";
    if (option->letter != 0) snprintf(letter, sizeof letter, "-%c, ", option->letter);
    fprintf(file, "  %s--%s%s%s\n", letter, option->name, option->value != NULL ? " " : "",
            option->value != NULL ? option->value : "");
    for (const char *line = option->help; line != NULL;) {
        const char *end = strchr(line, '\n');
        fprintf(file, "          %.*s\n", (int)(end != NULL ? end - line : (long)strlen(line)),
                line);
        line = end != NULL ? end + 1 : NULL;
    }
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
        fprintf(file, "%s\n\n%s\n\nOptions (each also as WADER_NAME in the environment):\n",
                command_table[command].usage, command_table[command].summary);
        for (size_t i = 0; option_table[i].name != NULL; i++) {
            if ((option_table[i].commands & command_table[command].commands) != 0) {
                print_option(file, &option_table[i]);
            }
        }
    }
    fputs(
        "\nExit codes: 0 done; 1 too many bad records, or outputs that are not done or not whole; "
        "2 "
        "usage;\n3 bad input; 4 output or system; 5 output in use by another run; 6 model or "
        "device;\n7 a gate of diff tripped; 75 stopped, run again; 141 stdout closed.\n",
        file);
}

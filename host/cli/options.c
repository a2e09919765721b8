// SPDX-License-Identifier: Apache-2.0
#include "host/cli/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/log.h"
#include "host/cli/options_table.h"
#include "host/stream/chunk.h"

// Fills in what the command line left open; an empty variable is as good as none.
static enum status read_environment(unsigned command, struct options *options,
                                    struct error *error) {
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        if ((option_table[i].commands & command) == 0) continue;
        if (options->origin[i] != ORIGIN_DEFAULT) continue;
        char name[64] = "WADER_";
        size_t n = strlen(name);
        for (const char *c = option_table[i].name; *c != '\0' && n + 1 < sizeof name; c++) {
            name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        }
        const char *text = getenv(name);
        if (text == NULL || *text == '\0') continue;
        enum status status = option_set(&option_table[i], text, name, options, error);
        if (status != STATUS_OK) return status;
        options->origin[i] = ORIGIN_ENVIRONMENT;
    }
    return STATUS_OK;
}

// The option that `argument` names: "--name", "--name=value" or "-l". `*value` is the text behind
// the =, or NULL.
static const struct option *find_option(const char *argument, unsigned command,
                                        const char **value) {
    *value = NULL;
    if (argument[1] == '-') {
        const char *name = argument + 2;
        const size_t len = strcspn(name, "=");
        if (name[len] == '=') *value = name + len + 1;
        return option_named(name, len, command);
    }
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        const struct option *option = &option_table[i];
        if ((option->commands & command) == 0 || option->letter == 0) continue;
        if (argument[1] != option->letter) continue;
        if (argument[2] != '\0') *value = argument + 2;
        return option;
    }
    return NULL;
}

static enum status parse_option(char **argv, int argc, int *i, struct options *options,
                                struct error *error) {
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
    options->origin[option - option_table] = ORIGIN_FLAG;
    if (option->kind == KIND_FLAG) return option_set(option, "1", argument, options, error);
    if (value == NULL) {
        if (*i + 1 >= argc) {
            return error_set(error, STATUS_USAGE, "%s needs a value: %s %s", argument, argument,
                             option->value);
        }
        value = argv[++*i];
    }
    return option_set(option, value, argument, options, error);
}

static bool takes_model(unsigned command) {
    return option_named("model", 5, command) != NULL;
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
    bool only_inputs = false;
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
            status = parse_option(argv, argc, &i, options, error);
        }
    }
    if (status == STATUS_OK) status = read_environment(command, options, error);
    if (status == STATUS_OK && options->config != NULL && *options->config != '\0') {
        status = options_read_file(options, error);
    }
    if (status == STATUS_OK && options->model == NULL && takes_model(command)) {
        return error_set(error, STATUS_USAGE, "--model DIR is required; `wader help %s` tells more",
                         command_table[options->command].name);
    }
    return status;
}

void options_free(struct options *options) {
    free(options->config_text);
    options->config_text = NULL;
}

int options_log_format(int argc, char *const *argv) {
    static const char flag[] = "--log-format";
    const char *format = getenv("WADER_LOG_FORMAT");
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], flag, sizeof flag - 1) != 0) continue;
        const char *behind = argv[i] + sizeof flag - 1;
        if (*behind == '=') format = behind + 1;
        if (*behind == '\0' && i + 1 < argc) format = argv[i + 1];
    }
    return format != NULL && strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT;
}

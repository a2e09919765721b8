// SPDX-License-Identifier: Apache-2.0
//
// The completion of zsh, by its own _arguments. Descriptions stand in single quotes, where brackets
// and colons mean something to _arguments.
#include <string.h>

#include "host/manual/manual.h"

static const char special[] = "[]:\\";

static void put_quoted(FILE *file, struct span text, const char *escaped) {
    for (size_t i = 0; i < text.len; i++) {
        const struct span one = {text.ptr + i, 1};
        if (text.ptr[i] == '\'') {
            fputs("'\\''", file);
        } else {
            put_escaped(file, one, escaped, "\\");
        }
    }
}

static void put_value(FILE *file, const struct option *option) {
    fprintf(file, ":%s:", option->value);
    switch (value_kind_of(option)) {
        case VALUE_DIRECTORY:
            fputs("_files -/", file);
            break;
        case VALUE_FILE:
            fputs("_files", file);
            break;
        case VALUE_WORDS:
            fputs("(", file);
            for (const char *at = option->words; *at != '\0'; at++) {
                fputc(*at == '|' ? ' ' : *at, file);
            }
            fputs(")", file);
            break;
        default:
            fputs(" ", file);
    }
}

static void put_option(FILE *file, const struct option *option) {
    const bool many = option->kind == KIND_LIST;
    fputs("                '", file);
    if (many) fputs("*", file);
    const char *equals = option->kind == KIND_FLAG ? "" : "=";
    if (option->letter != 0) {
        fprintf(file, "(-%c --%s)'{-%c%s,--%s%s}'[", option->letter, option->name, option->letter,
                option->kind == KIND_FLAG ? "" : "+", option->name, equals);
    } else {
        fprintf(file, "--%s%s[", option->name, equals);
    }
    put_quoted(file, first_line_of(option->help), special);
    fputs("]", file);
    if (option->kind != KIND_FLAG) put_value(file, option);
    fputs("' \\\n", file);
}

void manual_zsh(FILE *file) {
    fputs(
        "#compdef wader\n"
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Completion of wader for zsh, made by wader_manual of host/cli/options_table.c.\n"
        "_wader() {\n"
        "    local curcontext=\"$curcontext\" state line\n"
        "    local -a commands\n"
        "    commands=(\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        fprintf(file, "        '%s:", command_table[i].name);
        put_quoted(file, first_line_of(command_table[i].summary), "\\");
        fputs("'\n", file);
    }
    fputs(
        "    )\n"
        "    _arguments -C '1:command:->command' '*::argument:->arguments' \\\n"
        "        '(- *)--version[print the version]' '(- *)--help[print help]' && return\n"
        "    case $state in\n"
        "        command) _describe -t commands command commands ;;\n"
        "        arguments)\n"
        "            case $line[1] in\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        if (command_table[i].commands == 0) continue;
        fprintf(file, "            %s)\n            _arguments -s \\\n", command_table[i].name);
        for (size_t k = 0; option_table[k].name != NULL; k++) {
            if (command_takes((enum command)i, &option_table[k])) {
                put_option(file, &option_table[k]);
            }
        }
        fputs("                '(- *)--help[print the options]' '*:input:_files' ;;\n", file);
    }
    fputs(
        "            help) _describe -t commands command commands ;;\n"
        "            esac ;;\n"
        "    esac\n"
        "}\n"
        "_wader \"$@\"\n",
        file);
}

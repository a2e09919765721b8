// SPDX-License-Identifier: Apache-2.0
//
// The completion of bash: one function, of bash's own means alone. `=` parts words there, so
// --name=value comes as three.
#include "host/manual/manual.h"

static void put_words(FILE *file, const char *words) {
    for (; *words != '\0'; words++) fputc(*words == '|' ? ' ' : *words, file);
}

// What follows each option of a command that has a value.
static void put_values(FILE *file, enum command command) {
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        const struct option *option = &option_table[i];
        if (!command_takes(command, option) || option->kind == KIND_FLAG) continue;
        fprintf(file, "        %s,--%s", command_table[command].name, option->name);
        if (option->letter != 0) {
            fprintf(file, " | %s,-%c", command_table[command].name, option->letter);
        }
        fputs(") ", file);
        switch (value_kind_of(option)) {
            case VALUE_DIRECTORY:
                fputs("kind=directory", file);
                break;
            case VALUE_FILE:
                fputs("kind=file", file);
                break;
            case VALUE_WORDS:
                fputs("kind=words words='", file);
                put_words(file, option->words);
                fputs("'", file);
                break;
            default:
                fputs("kind=other", file);
        }
        fputs(" ;;\n", file);
    }
}

static void put_options(FILE *file, enum command command) {
    fprintf(file, "        %s) words='", command_table[command].name);
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        if (command_takes(command, &option_table[i])) fprintf(file, "--%s ", option_table[i].name);
    }
    fputs("--help' ;;\n", file);
}

static void put_commands(FILE *file) {
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        fprintf(file, "%s ", command_table[i].name);
    }
}

void manual_bash(FILE *file) {
    fputs(
        "# SPDX-License-Identifier: Apache-2.0\n"
        "# Completion of wader for bash, made by wader_manual of host/cli/options_table.c.\n"
        "_wader() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local command=${COMP_WORDS[1]} kind= words=\n"
        "    COMPREPLY=()\n"
        "    if (( COMP_CWORD == 1 )) || [[ $command == help ]]; then\n"
        "        (( COMP_CWORD <= 2 )) || return 0\n"
        "        words='",
        file);
    put_commands(file);
    fputs(
        "'\n"
        "        (( COMP_CWORD == 2 )) || words+='--version --help'\n"
        "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "        return 0\n"
        "    fi\n"
        "    if [[ $cur == = ]]; then\n"
        "        cur=\n"
        "    elif [[ $prev == = ]] && (( COMP_CWORD > 2 )); then\n"
        "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
        "    fi\n"
        "    case $command,$prev in\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) put_values(file, (enum command)i);
    fputs(
        "        *)\n"
        "        if [[ $cur == -* ]]; then\n"
        "            kind=words\n"
        "            case $command in\n",
        file);
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        if (command_table[i].commands != 0) put_options(file, (enum command)i);
    }
    fputs(
        "            esac\n"
        "        else\n"
        "            kind=file\n"
        "        fi ;;\n"
        "    esac\n"
        "    case $kind in\n"
        "        words) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
        "        directory | file)\n"
        "            local IFS=$'\\n' action=-f\n"
        "            [[ $kind == file ]] || action=-d\n"
        "            COMPREPLY=($(compgen $action -- \"$cur\"))\n"
        "            compopt -o filenames 2>/dev/null ;;\n"
        "    esac\n"
        "    return 0\n"
        "}\n"
        "complete -F _wader wader\n",
        file);
}

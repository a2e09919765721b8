// SPDX-License-Identifier: Apache-2.0
//
// wader_manual page|bash|zsh|fish: prints that, for the build.
#include "host/manual/manual.h"

#include <string.h>

enum value_kind value_kind_of(const struct option *option) {
    static const char *const directories[] = {"DIR", "NEWDIR"}, *const files[] = {"FILE", "PATH"};
    if (option->kind == KIND_FLAG) return VALUE_NONE;
    if (option->kind == KIND_WORD) return VALUE_WORDS;
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        if (strcmp(option->value, directories[i]) == 0) return VALUE_DIRECTORY;
        if (strcmp(option->value, files[i]) == 0) return VALUE_FILE;
    }
    return VALUE_OTHER;
}

bool command_takes(enum command command, const struct option *option) {
    return (option->commands & command_table[command].commands) != 0;
}

struct span first_line_of(const char *help) {
    size_t len = strcspn(help, "\n");
    while (len > 0 && strchr(",;:. ", help[len - 1]) != NULL) len--;
    return (struct span){help, len};
}

void put_escaped(FILE *file, struct span text, const char *escaped, const char *with) {
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(escaped, text.ptr[i]) != NULL) fputs(with, file);
        fputc(text.ptr[i], file);
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*print)(FILE *file);
    } kinds[] = {
        {"page", manual_page}, {"bash", manual_bash}, {"zsh", manual_zsh}, {"fish", manual_fish}};
    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(kinds); i++) {
        if (strcmp(argv[1], kinds[i].name) != 0) continue;
        kinds[i].print(stdout);
        return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
    }
    fputs("usage: wader_manual page|bash|zsh|fish\n", stderr);
    return 2;
}

// SPDX-License-Identifier: Apache-2.0
//
// Options from a configuration file (options.h tells its form). All of it is checked, also what
// other commands take: a wrong line is found by the first run, not by the one that needs it.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cli/options_table.h"

enum { FILE_NBYTES_MAX = 1 << 20 };

// Where we are in a file. What is pointed to ends in NUL, written over the text.
struct walk {
    const char *name;  // of the file
    char *at, *end;    // there is a NUL at `end`
    size_t line;
    unsigned section;   // the command's bit; 0 before the first section
    unsigned sections;  // those that were begun
    bool seen[OPTIONS_MAX];
};

static enum status fault(const struct walk *walk, struct error *error, const char *text,
                         const char *what) {
    return error_set(error, STATUS_USAGE, "%s: line %zu: %.100s%s%s", walk->name, walk->line, text,
                     *text != '\0' ? ": " : "", what);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

// The text between `at` and `end` without the space around it.
static char *trim(char *at, char *end) {
    while (at < end && is_space(*at)) at++;
    while (end > at && is_space(end[-1])) end--;
    *end = '\0';
    return at;
}

// The next line, trimmed; NULL at the end.
static char *next_line(struct walk *walk) {
    if (walk->at >= walk->end) return NULL;
    char *begin = walk->at;
    char *end = memchr(begin, '\n', (size_t)(walk->end - begin));
    if (end == NULL) end = walk->end;
    walk->at = end < walk->end ? end + 1 : end;
    walk->line++;
    if (end > begin && end[-1] == '\r') end--;
    return trim(begin, end);
}

static enum status begin_section(struct walk *walk, char *line, struct error *error) {
    char *close = strchr(line, ']');
    if (close == NULL || close[1] != '\0') {
        return fault(walk, error, line, "a section is a command in brackets, [label]");
    }
    *close = '\0';
    const enum command command = command_named(trim(line + 1, close));
    const unsigned bit = command != COMMAND_NONE ? command_table[command].commands : 0;
    if (bit == 0) return fault(walk, error, line + 1, "no command with options is called so");
    if ((walk->sections & bit) != 0) return fault(walk, error, line + 1, "a section comes once");
    walk->sections |= bit;
    walk->section = bit;
    memset(walk->seen, 0, sizeof walk->seen);
    return STATUS_OK;
}

// Whether each option that is meant would take the value.
static enum status check_value(const struct walk *walk, const char *key, const char *value,
                               const char *shown, struct error *error) {
    const size_t len = strlen(key);
    for (unsigned rest = walk->section != 0 ? walk->section : ~0u; rest != 0; rest &= rest - 1) {
        const struct option *option = option_named(key, len, rest & ~(rest - 1));
        if (option == NULL) continue;
        struct options scratch = {.command = COMMAND_NONE};
        enum status status = option_set(option, value, shown, &scratch, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status take(struct walk *walk, const char *key, const char *value,
                        struct options *options, struct error *error) {
    char shown[PATH_NBYTES_MAX + 200];
    const size_t len = strlen(key);
    const struct option *any = option_named(key, len, walk->section != 0 ? walk->section : ~0u);
    if (any == NULL) {
        return fault(walk, error, key,
                     option_named(key, len, ~0u) != NULL
                         ? "no option of this section's command"
                         : "no such option; `wader help COMMAND` lists them by their long names");
    }
    if (strcmp(key, "config") == 0) return fault(walk, error, key, "one file names no other");
    if (*value == '\0') return fault(walk, error, key, "has no value");
    if (walk->seen[any - option_table] && any->kind != KIND_LIST) {
        return fault(walk, error, key, "comes twice in one section");
    }
    snprintf(shown, sizeof shown, "%s: line %zu: %.100s", walk->name, walk->line, key);
    enum status status = check_value(walk, key, value, shown, error);
    const unsigned command = command_table[options->command].commands;
    const struct option *ours = option_named(key, len, command);
    const bool meant = ours != NULL && (walk->section == 0 || walk->section == command);
    const bool is_first = !walk->seen[any - option_table];
    walk->seen[any - option_table] = true;
    if (status != STATUS_OK || !meant) return status;
    unsigned char *origin = &options->origin[ours - option_table];
    if (*origin != ORIGIN_DEFAULT && *origin != ORIGIN_FILE) return STATUS_OK;
    *origin = ORIGIN_FILE;
    if (ours->kind == KIND_LIST && is_first) {  // a section's list takes the place of the file's
        *(struct text_list *)(void *)((char *)options + ours->offset) = (struct text_list){.n = 0};
    }
    return option_set(ours, value, shown, options, error);
}

enum status options_read_text(char *text, size_t len, const char *name, struct options *options,
                              struct error *error) {
    static const char mark[] = "\xEF\xBB\xBF";
    struct walk walk = {.name = name, .at = text, .end = text + len};
    if (memchr(text, '\0', len) != NULL) {
        return error_set(error, STATUS_USAGE,
                         "%s: there are NUL bytes in it: is this a "
                         "configuration file?",
                         name);
    }
    if (len >= 3 && memcmp(text, mark, 3) == 0) walk.at += 3;
    for (char *line; (line = next_line(&walk)) != NULL;) {
        if (*line == '\0' || *line == '#') continue;
        enum status status = STATUS_OK;
        char *equals = strchr(line, '=');
        if (*line == '[') {
            status = begin_section(&walk, line, error);
        } else if (equals == NULL) {
            status = fault(&walk, error, line, "an option is given as name = value");
        } else {
            char *end = equals + strlen(equals);
            const char *key = trim(line, equals);
            status = take(&walk, key, trim(equals + 1, end), options, error);
        }
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// All of the file, with a NUL behind it.
static enum status read_all(int fd, const char *path, char *text, size_t *len,
                            struct error *error) {
    *len = 0;
    for (ssize_t n = 1; n != 0 && *len <= FILE_NBYTES_MAX;) {
        n = read(fd, text + *len, FILE_NBYTES_MAX + 1 - *len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(error, STATUS_IO, "--config %s: %s", path, strerror(errno));
        *len += (size_t)n;
    }
    if (*len > FILE_NBYTES_MAX) {
        return error_set(error, STATUS_USAGE, "--config %s: has more than %d bytes", path,
                         (int)FILE_NBYTES_MAX);
    }
    text[*len] = '\0';
    return STATUS_OK;
}

enum status options_read_file(struct options *options, struct error *error) {
    const char *path = options->config;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(error, errno == ENOENT || errno == ENOTDIR ? STATUS_USAGE : STATUS_IO,
                         "--config %s: %s", path, strerror(errno));
    }
    void *memory;
    size_t len = 0;
    enum status status = alloc_array(&memory, FILE_NBYTES_MAX + 2, 1, "a file of options", error);
    if (status == STATUS_OK) {
        options->config_text = memory;
        status = read_all(fd, path, memory, &len, error);
    }
    close(fd);
    if (status == STATUS_OK) status = options_read_text(memory, len, path, options, error);
    return status;
}

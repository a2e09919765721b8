// SPDX-License-Identifier: Apache-2.0
//
// Configuration files, and what holds for every option of the table: its twin in the environment
// and its line in a file, and who wins.
#include <unistd.h>

#include "host/cli/options_table.h"
#include "tests/support/command_line.h"

static char path[] = "/tmp/wader-options-XXXXXX";

static void write_file(const char *text) {
    FILE *file = fopen(path, "wb");
    if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0) exit(1);
}

// The command line with --config before what comes behind `command`.
static const char *with_file(const char *command, const char *rest) {
    static char line[1000];
    snprintf(line, sizeof line, "%s --config %s %s", command, path, rest);
    return line;
}

static struct options from_file(const char *text, const char *command, const char *rest) {
    write_file(text);
    return good(with_file(command, rest));
}

static void refused(const char *text, const char *part) {
    write_file(text);
    struct options options;
    struct error error;
    CHECK_INT(parse(with_file("label", "-m M"), &options, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, path);
    CHECK_CONTAINS(error.text, part);
    options_free(&options);
}

static void twin_of(const char *name, char twin[64]) {
    size_t n = (size_t)snprintf(twin, 64, "WADER_");
    for (; *name != '\0'; name++) {
        twin[n++] = *name == '-' ? '_' : *name >= 'a' ? (char)(*name - 'a' + 'A') : *name;
    }
    twin[n] = '\0';
}

// Two values that the option takes, which differ from each other; and the value it got, as text.
static void values_of(const struct option *option, char first[64], char second[64]) {
    if (strcmp(option->name, "config") == 0) {  // a file that is there
        snprintf(first, 64, "/dev/null");
        snprintf(second, 64, "%s", path);
    } else if (option->kind == KIND_WORD) {
        const char *bar = strchr(option->words, '|');
        snprintf(first, 64, "%.*s", (int)strcspn(bar + 1, "|"), bar + 1);
        snprintf(second, 64, "%.*s", (int)(bar - option->words), option->words);
    } else if (option->kind == KIND_INT) {
        snprintf(first, 64, "%d", option->min + 7);
        snprintf(second, 64, "%d", option->min + 3);
    } else {
        snprintf(first, 64, "%s", option->kind == KIND_FLAG ? "1" : "some.text");
        snprintf(second, 64, "%s", option->kind == KIND_FLAG ? "0" : "other");
    }
}

static const char *value_in(const struct options *options, const struct option *option,
                            char text[64]) {
    const void *field = (const char *)options + option->offset;
    char word[OPTIONS_WORD_NBYTES];
    switch (option->kind) {
        case KIND_FLAG:
            return *(const bool *)field ? "1" : "0";
        case KIND_TEXT:
            return *(const char *const *)field != NULL ? *(const char *const *)field : "(none)";
        case KIND_LIST: {
            const struct text_list *list = field;
            return list->n == 1 ? list->items[0] : "(not one)";
        }
        case KIND_WORD:
            snprintf(text, 64, "%s", options_word(option->name, *(const int *)field, word));
            return text;
        case KIND_INT:
            break;
    }
    snprintf(text, 64, "%d", *(const int *)field);
    return text;
}

// The command's line, with a model unless it is the option that is looked at.
static const char *line_of(const struct command_entry *entry, const struct option *option,
                           const char *rest) {
    static char line[1000];
    const bool model =
        option_named("model", 5, entry->commands) != NULL && strcmp(option->name, "model") != 0;
    snprintf(line, sizeof line, "%s%s %s", entry->name, model ? " -m M" : "", rest);
    return line;
}

static void check_one(const struct command_entry *entry, const struct option *option) {
    char first[64], second[64], twin[64], text[64], file[200], flag[400];
    const size_t row = (size_t)(option - option_table);
    values_of(option, first, second);
    write_file("");
    twin_of(option->name, twin);
    setenv(twin, first, 1);
    struct options options = good(line_of(entry, option, "x"));
    CHECK_STR(value_in(&options, option, text), first);
    CHECK_INT(options.origin[row], ORIGIN_ENVIRONMENT);
    options_free(&options);
    if (option->kind != KIND_FLAG) {
        snprintf(flag, sizeof flag, "--%s %s x", option->name, second);
        options = good(line_of(entry, option, flag));
        CHECK_STR(value_in(&options, option, text), second);
        CHECK_INT(options.origin[row], ORIGIN_FLAG);
        options_free(&options);
    }
    setenv(twin, "", 1);
    options = good(line_of(entry, option, option->kind == KIND_TEXT && row == 0 ? "x -m M" : "x"));
    CHECK(options.origin[row] != ORIGIN_ENVIRONMENT);
    unsetenv(twin);
    snprintf(file, sizeof file, "  %s =  %s\t\r\n", option->name, first);
    write_file(file);
    snprintf(flag, sizeof flag, "--config %s x", path);
    if (strcmp(option->name, "config") == 0) {
        check_refused(line_of(entry, option, flag), "one file names no other");
        return;
    }
    options = good(line_of(entry, option, flag));
    CHECK_STR(value_in(&options, option, text), first);
    CHECK_INT(options.origin[row], ORIGIN_FILE);
    options_free(&options);
    setenv(twin, second, 1);
    options = good(line_of(entry, option, flag));
    CHECK_STR(value_in(&options, option, text), second);
    options_free(&options);
    unsetenv(twin);
}

// Every option of every command.
static void table(void) {
    int n = 0;
    for (size_t c = COMMAND_LABEL; c < COMMANDS_END; c++) {
        const struct command_entry *entry = &command_table[c];
        for (size_t i = 0; option_table[i].name != NULL; i++) {
            const struct option *option = &option_table[i];
            if ((option->commands & entry->commands) == 0) continue;
            CHECK(option_named(option->name, strlen(option->name), entry->commands) == option);
            CHECK((option->kind == KIND_FLAG) == (option->value == NULL));
            CHECK((option->kind == KIND_WORD) == (option->words != NULL));
            check_one(entry, option);
            n++;
        }
    }
    CHECK(n > 100);
}

static void sections(void) {
    static const char text[] =
        "\xEF\xBB\xBF# of the night\n\nthreads = 3\nscores=all\nsvg = drawn.svg\n"
        "fail-on = psi>0.1\nfail-on = bad>1%\n"
        "[ label ]\nthreads = 5\nlabels = a = b # c\n[diff]\nfail-on = psi>0.2";
    struct options options = from_file(text, "label", "-m M");
    CHECK(options.threads == 5 && options.scores == 1 && options.svg == NULL);
    CHECK_STR(options.labels, "a = b # c");
    options_free(&options);
    options = from_file(text, "label", "-m M --threads 9 --scores top");
    CHECK(options.threads == 9 && options.scores == 0);
    options_free(&options);
    options = from_file(text, "eval", "-m M");
    CHECK_INT(options.threads, 3);
    CHECK_STR(options.svg, "drawn.svg");
    CHECK(options.labels == NULL);
    options_free(&options);
    options = from_file(text, "diff", "a b");
    CHECK_INT(options.fail_on.n, 1);
    CHECK_STR(options.fail_on.items[0], "psi>0.2");
    options_free(&options);
    options = from_file("fail-on = psi>0.1\nfail-on = bad>1%\n", "diff", "a b");
    CHECK_INT(options.fail_on.n, 2);
    CHECK_STR(options.fail_on.items[1], "bad>1%");
    options_free(&options);
    options = from_file("model = from/file\n", "label", "x");
    CHECK_STR(options.model, "from/file");
    options_free(&options);
    options = from_file("", "label", "-m M");
    options_free(&options);
    setenv("WADER_CONFIG", path, 1);
    write_file("threads = 4\n");
    options = good("label -m M");
    CHECK_INT(options.threads, 4);
    options_free(&options);
    unsetenv("WADER_CONFIG");
    CHECK_INT(good("label -m M").threads, 0);  // no file is read that nobody names
}

static void refusals(void) {
    refused("threads = 3\nthread = 3\n", "line 2: thread: no such option");
    refused("threads\n", "line 1: threads: an option is given as name = value");
    refused("\n\nthreads =\n", "line 3: threads: has no value");
    refused("= 3\n", "no such option");
    refused("m = M\n", "line 1: m: no such option");
    refused("threads = 3\n# x\nthreads = 3\n", "line 3: threads: comes twice");
    refused("threads = many\n", "line 1: threads: \"many\" is not a whole number");
    refused("[eval]\nthreads = 0\n", "line 2: threads: \"0\"");  // of another command's section too
    refused("precision = fp64\n", "none of auto|fp32");
    refused("header = maybe\n", "none of 1|true|yes|on");
    refused("[label]\nhex = 1\n", "line 2: hex: no option of this section's command");
    refused("[lable]\n", "line 1: lable: no command");
    refused("[help]\n", "no command with options");
    refused("[label\n", "a section is a command in brackets");
    refused("[label] x\n", "a section is a command in brackets");
    refused("[label]\n[diff]\n[label]\n", "line 3: label: a section comes once");
    refused("config = other\n", "one file names no other");
    write_file("threads = 3\n");
    FILE *file = fopen(path, "ab");
    if (file == NULL || fputc(0, file) == EOF || fclose(file) != 0) exit(1);
    check_refused(with_file("label", "-m M"), "NUL bytes");
    file = fopen(path, "wb");
    for (int i = 0; file != NULL && i < (1 << 20) + 1; i++) fputc('\n', file);
    if (file == NULL || fclose(file) != 0) exit(1);
    struct options options;
    struct error error;
    CHECK_INT(parse(with_file("label", "-m M"), &options, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, "more than 1048576 bytes");
    options_free(&options);
    CHECK_INT(parse("label -m M --config /nowhere/at/all", &options, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, "--config /nowhere/at/all: No such file");
    CHECK_INT(parse("label -m M --config /", &options, &error), STATUS_IO);
    options_free(&options);
}

static void log_formats(void) {
    char *good_line[] = {"wader", "label", "--log-format", "json", "--what"};
    char *equals[] = {"wader", "label", "--log-format=json"};
    char *behind[] = {"wader", "label", "--", "--log-format=json"};
    char *short_line[] = {"wader", "label", "--log-format"};
    CHECK(options_log_format(5, good_line) == 1 && options_log_format(3, equals) == 1);
    CHECK(options_log_format(4, behind) == 0 && options_log_format(3, short_line) == 0);
    setenv("WADER_LOG_FORMAT", "json", 1);
    CHECK(options_log_format(3, short_line) == 1);
    unsetenv("WADER_LOG_FORMAT");
}

int main(void) {
    const int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    table();
    sections();
    refusals();
    log_formats();
    unlink(path);
    return check_result();
}

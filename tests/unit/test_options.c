// SPDX-License-Identifier: Apache-2.0
//
// The command line: every option in every form, its twin in the environment, and what is refused.
#include "tests/support/command_line.h"

static void defaults(void) {
    const struct options options = good("label -m M");
    CHECK_INT(options.command, COMMAND_LABEL);
    CHECK_STR(options.model, "M");
    CHECK(options.output == NULL && options.labels == NULL && options.id_field == NULL);
    CHECK(options.title_field == NULL && options.passthrough == NULL && options.shard == NULL);
    CHECK(options.input_format == INPUT_AUTO && options.output_format == OUTPUT_BY_NAME);
    CHECK(options.scores == 0 && options.precision == PRECISION_AUTO);
    CHECK(options.on_bad == ON_BAD_ROW && options.progress == PROGRESS_AUTO);
    CHECK_STR(options.device, "auto");
    CHECK_STR(options.max_bad, "1%");
    CHECK(options.max_length == -1 && options.batch_tokens == 0 && options.threads == 0);
    CHECK(!options.header && !options.force && !options.hex && !options.quiet && !options.verbose);
    CHECK_INT(options.n_inputs, 0);
}

// Each option with a text or number: in both forms, and from the environment, which a flag beats.
static void values(void) {
    static const struct {
        const char *name, *twin, *value, *other;
        size_t offset;
        bool is_int;
    } cases[] = {
        {"model", "WADER_MODEL", "dir", "d2", offsetof(struct options, model), false},
        {"output", "WADER_OUTPUT", "-", "o", offsetof(struct options, output), false},
        {"id-field", "WADER_ID_FIELD", "/a/b", "3", offsetof(struct options, id_field), false},
        {"title-field", "WADER_TITLE_FIELD", "t", "u", offsetof(struct options, title_field),
         false},
        {"passthrough", "WADER_PASSTHROUGH", "a,b", "c", offsetof(struct options, passthrough),
         false},
        {"labels", "WADER_LABELS", "f=1", "g", offsetof(struct options, labels), false},
        {"device", "WADER_DEVICE", "cuda:0,1", "cpu", offsetof(struct options, device), false},
        {"max-bad", "WADER_MAX_BAD", "5%", "0", offsetof(struct options, max_bad), false},
        {"shard", "WADER_SHARD", "0/4", "1/4", offsetof(struct options, shard), false},
        {"max-length", "WADER_MAX_LENGTH", "0", "17", offsetof(struct options, max_length), true},
        {"batch-tokens", "WADER_BATCH_TOKENS", "1", "99", offsetof(struct options, batch_tokens),
         true},
        {"threads", "WADER_THREADS", "16", "3", offsetof(struct options, threads), true},
        {"max-record-bytes", "WADER_MAX_RECORD_BYTES", "64", "99",
         offsetof(struct options, max_record_bytes), true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char lines[4][200];
        snprintf(lines[0], 200, "label -m M x --%s %s y", cases[i].name, cases[i].value);
        snprintf(lines[1], 200, "label -m M x y --%s=%s", cases[i].name, cases[i].value);
        snprintf(lines[2], 200, "label -m M x --%s=%s --%s %s y", cases[i].name, cases[i].other,
                 cases[i].name, cases[i].value);  // the last one wins
        snprintf(lines[3], 200, "label --model=M x y");
        for (int form = 0; form < 4; form++) {
            if (form == 2) setenv(cases[i].twin, cases[i].other, 1);
            if (form == 3) setenv(cases[i].twin, cases[i].value, 1);
            if (form == 3 && i == 0) snprintf(lines[3], 200, "label x y");
            const struct options options = good(lines[form]);
            const char *field = (const char *)&options + cases[i].offset;
            if (cases[i].is_int) {
                CHECK_INT(*(const int *)(const void *)field, atoi(cases[i].value));
            } else {
                const char *text = *(const char *const *)(const void *)field;
                CHECK_STR(text != NULL ? text : "(none)", cases[i].value);
            }
            CHECK_INT(options.n_inputs, 2);
            CHECK_STR(options.inputs[0], "x");
            CHECK_STR(options.inputs[1], "y");
        }
        unsetenv(cases[i].twin);
    }
}

static void words(void) {
    static const struct {
        const char *name, *twin, *words;  // parted by spaces, in order of their values
        size_t offset;
    } cases[] = {
        {"input-format", "WADER_INPUT_FORMAT", "auto text tsv jsonl",
         offsetof(struct options, input_format)},
        {"output-format", "WADER_OUTPUT_FORMAT", "auto jsonl tsv",
         offsetof(struct options, output_format)},
        {"scores", "WADER_SCORES", "top all logits", offsetof(struct options, scores)},
        {"precision", "WADER_PRECISION", "auto fp32 bf16 fp16 fp8 int8",
         offsetof(struct options, precision)},
        {"on-bad", "WADER_ON_BAD", "row reject fail", offsetof(struct options, on_bad)},
        {"trailing", "WADER_TRAILING", "error warn ignore", offsetof(struct options, trailing)},
        {"progress", "WADER_PROGRESS", "auto tty plain json none",
         offsetof(struct options, progress)},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char list[100], line[200];
        snprintf(list, sizeof list, "%s", cases[i].words);
        int value = 0;
        for (char *word = list, *space; word != NULL; word = space, value++) {
            space = strchr(word, ' ');
            if (space != NULL) *space++ = '\0';
            snprintf(line, sizeof line, "label -m M --%s=%s", cases[i].name, word);
            for (int form = 0; form < 2; form++) {
                if (form == 1) {
                    setenv(cases[i].twin, word, 1);
                    snprintf(line, sizeof line, "label -m M");
                }
                const struct options options = good(line);
                const char *field = (const char *)&options + cases[i].offset;
                CHECK_INT(*(const int *)(const void *)field, value);
            }
            char got[OPTIONS_WORD_NBYTES];
            CHECK_STR(options_word(cases[i].name, value, got), word);
            unsetenv(cases[i].twin);
        }
        snprintf(line, sizeof line, "label -m M --%s Auto", cases[i].name);
        check_refused(line, "\"Auto\" is none of");
        snprintf(line, sizeof line, "label -m M --%s=", cases[i].name);
        check_refused(line, "\"\" is none of");
        setenv(cases[i].twin, "nonsense", 1);
        check_refused("label -m M", cases[i].twin);
        good("tokenize -m M");  // not an option of that command
        unsetenv(cases[i].twin);
    }
}

static void flags(void) {
    const struct options label = good("label --header --force -q -v --model=M");
    CHECK(label.header && label.force && label.quiet && label.verbose);
    CHECK(good("label --quiet --verbose -mM").quiet);
    const struct options tokenize = good("tokenize --hex --max-length 0 -m M in");
    CHECK_INT(tokenize.command, COMMAND_TOKENIZE);
    CHECK(tokenize.hex && tokenize.max_length == 0 && tokenize.n_inputs == 1);
    static const char *const twins[] = {"1", "yes", "true"};
    for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
        setenv("WADER_HEADER", twins[i], 1);
        CHECK(good("label -m M").header);
    }
    setenv("WADER_HEADER", "0", 1);
    CHECK(!good("label -m M").header);
    CHECK(good("label -m M --header").header);
    setenv("WADER_HEADER", "", 1);
    CHECK(!good("label -m M").header);
    unsetenv("WADER_HEADER");
}

static void inputs(void) {
    const struct options options = good("label a -m M - b -- -c --model -- ''");
    static const char *const want[] = {"a", "-", "b", "-c", "--model", "--", ""};
    CHECK_STR(options.model, "M");
    CHECK_INT(options.n_inputs, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) CHECK_STR(options.inputs[i], want[i]);
    // A value may look like an option.
    CHECK_STR(good("label -m --force -o -x").model, "--force");
}

static void refusals(void) {
    check_refused("", "give a command");
    check_refused("lable -m M", "lable: no such command");
    check_refused("''", "no such command");
    check_refused("label", "--model DIR is required");
    check_refused("label x", "wader help label");
    check_refused("tokenize", "--model DIR is required");
    check_refused("help lable", "lable: no such command");
    check_refused("label -m", "-m needs a value");
    check_refused("label -m M --threads", "--threads needs a value");
    check_refused("label -m M --nonsense", "--nonsense: no such option of `wader label`");
    check_refused("label -m M --thread 1", "no such option");
    check_refused("label -m M --threadsx=1", "no such option");
    check_refused("label -m M -z", "-z: no such option");
    check_refused("label -m M -qv", "-qv: no such option");
    check_refused("label -m M --header=1", "no such option");
    check_refused("label -m M --hex", "no such option");
    check_refused("tokenize -m M --scores all", "no such option of `wader tokenize`");
    check_refused("label -m M --batch-tokens 2147483648", "is more than 2147483647");
    check_refused("label -m M --threads 99999999999999999999", "is more than 2147483647");
    static const char *const bad[] = {
        "''", "x", "1x", "1.5", "-1", "0x10", "-99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char line[100];
        snprintf(line, sizeof line, "label -m M --max-length %s", bad[i]);
        check_refused(line, "is not a whole number of at least 0");
        snprintf(line, sizeof line, "label -m M --threads %s", bad[i]);
        check_refused(line, "of at least 1");
        setenv("WADER_BATCH_TOKENS", bad[i], 1);
        CHECK_INT(good("label -m M --batch-tokens 7").batch_tokens, 7);  // the flag wins
        check_refused("label -m M", "WADER_BATCH_TOKENS: \"");
        unsetenv("WADER_BATCH_TOKENS");
    }
    check_refused("label -m M --threads 0", "at least 1");
    check_refused("label -m M --batch-tokens=0", "at least 1");
}

static void check_help(const char *line, enum command subject) {
    const struct options options = good(line);
    CHECK_INT(options.command, COMMAND_HELP);
    CHECK_INT(options.subject, subject);
}

static void help(void) {
    check_help("help", COMMAND_NONE);
    check_help("--help", COMMAND_NONE);
    check_help("-h", COMMAND_NONE);
    check_help("help label", COMMAND_LABEL);
    check_help("help tokenize", COMMAND_TOKENIZE);
    check_help("help help", COMMAND_HELP);
    check_help("label --help", COMMAND_LABEL);
    check_help("label x -m M -h --nonsense", COMMAND_LABEL);
    check_help("tokenize -h", COMMAND_TOKENIZE);
    check_help("convert -h", COMMAND_CONVERT);
    check_help("help info", COMMAND_INFO);
    CHECK_INT(good("--version").command, COMMAND_VERSION);
    CHECK_INT(good("-V").command, COMMAND_VERSION);
    for (enum command command = COMMAND_NONE; command <= COMMAND_HELP; command++) {
        char *text = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);
        options_print_help(file, command);
        fclose(file);
        CHECK_CONTAINS(text, "Exit codes:");
        CHECK_CONTAINS(text, command == COMMAND_TOKENIZE ? "--hex" : "wader");
        if (command == COMMAND_LABEL) CHECK_CONTAINS(text, "--batch-tokens N");
        const bool has_scores =
            command == COMMAND_LABEL || command == COMMAND_RETRY || command == COMMAND_PLAN;
        CHECK((strstr(text, "--scores") != NULL) == has_scores);
        free(text);
    }
}

int main(void) {
    defaults();
    values();
    words();
    flags();
    inputs();
    refusals();
    help();
    return check_result();
}

// SPDX-License-Identifier: Apache-2.0
//
// The command line: every option in every form, its twin in the environment, and what is refused.
#include "host/cli/options.h"

#include "tests/check.h"

enum { ARGS_MAX = 24 };

// Parses "wader" and the words of `line`, parted by single spaces; "" stands as two quotes. The
// words live until the next call.
static enum status parse(const char *line, struct options *options, struct error *error) {
    static char words[1000];
    static char *argv[ARGS_MAX];
    static char program[] = "wader";
    int argc = 1;
    argv[0] = program;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        if (strcmp(word, "''") == 0) *word = '\0';
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    *error = (struct error){""};
    return options_parse(argc, argv, options, error);
}

static struct options good(const char *line) {
    struct options options;
    struct error error;
    if (parse(line, &options, &error) != STATUS_OK) CHECK_FAIL("%s: %s", line, error.text);
    return options;
}

static void check_refused(const char *line, const char *part) {
    struct options options;
    struct error error;
    CHECK_INT(parse(line, &options, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, part);
}

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
        {"on-bad", "WADER_ON_BAD", "row fail", offsetof(struct options, on_bad)},
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

// Options of one name with a text of their own in another command, and those of one command alone.
static void convert_and_info(void) {
    const struct options convert = good("convert -m M -o NEW --dtype bf16 --force --labels F -q");
    CHECK_INT(convert.command, COMMAND_CONVERT);
    CHECK_STR(convert.output, "NEW");
    CHECK_STR(convert.labels, "F");
    CHECK(convert.dtype == OUTPUT_BF16 && convert.force && convert.quiet);
    CHECK_INT(good("convert -m M").dtype, OUTPUT_KEEP);
    setenv("WADER_DTYPE", "fp16", 1);
    setenv("WADER_JSON", "1", 1);
    CHECK_INT(good("convert -m M").dtype, OUTPUT_FP16);
    CHECK_INT(good("convert -m M --dtype=fp32").dtype, OUTPUT_FP32);
    CHECK_INT(good("label -m M").dtype, OUTPUT_KEEP);
    CHECK(good("info -m M").json && !good("convert -m M").json);
    unsetenv("WADER_DTYPE");
    unsetenv("WADER_JSON");
    const struct options info = good("info --json -m M --device cpu --threads 3 --max-length 9");
    CHECK(info.command == COMMAND_INFO && info.json && info.threads == 3 && info.max_length == 9);
    CHECK_STR(info.device, "cpu");
    check_refused("convert -m M --dtype int8", "none of keep|fp32|bf16|fp16");
    check_refused("convert -m M --json", "no such option of `wader convert`");
    check_refused("info -m M -o X", "no such option of `wader info`");
    check_refused("label -m M --json", "no such option of `wader label`");
}

static void eval(void) {
    const struct options eval =
        good("eval -m M --label-field /a --title-field t --json --svg F --force -q a.tsv -");
    CHECK_INT(eval.command, COMMAND_EVAL);
    CHECK_STR(eval.label_field, "/a");
    CHECK_STR(eval.title_field, "t");
    CHECK_STR(eval.svg, "F");
    CHECK(eval.json && eval.force && eval.quiet && eval.n_inputs == 2);
    CHECK(good("eval -m M --input-format tsv --labels L --max-length 9").max_length == 9);
    setenv("WADER_LABEL_FIELD", "3", 1);
    CHECK_STR(good("eval -m M").label_field, "3");
    CHECK(good("label -m M").label_field == NULL);
    unsetenv("WADER_LABEL_FIELD");
    check_refused("eval -m M -o X", "no such option of `wader eval`");
    check_refused("eval -m M --id-field 1", "no such option of `wader eval`");
    check_refused("label -m M --svg X", "no such option of `wader label`");
    check_refused("eval x", "--model DIR is required");
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

// Those that look at outputs need no model, and take what label takes.
static void catalog(void) {
    const struct options options =
        good("status -o O --model M --scores all --force --shards 4 --json --header a b");
    CHECK_INT(options.command, COMMAND_STATUS);
    CHECK(options.shards == 4 && options.json && options.n_inputs == 2);
    CHECK_INT(good("verify --quick d").command, COMMAND_VERIFY);
    CHECK(good("verify --ids -o O -m M --shard 1/2 a").ids);
    CHECK(good("merge --quick --batch-tokens 9 -o O a").quick);
    CHECK(good("plan -m M --exact --shards 3 a").exact);
    CHECK_INT(good("plan -m M a").sample, 32);
    CHECK_STR(good("plan -m M --titles-per-s 9 a").titles_per_s, "9");
    check_refused("plan a", "--model DIR is required");
    check_refused("status --ids a", "no such option of `wader status`");
    check_refused("status --shards 0 a", "at least 1");
    check_refused("label -m M --quick a", "no such option");
    check_refused("label -m M --hex a", "no such option");
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
        const bool has_scores = command == COMMAND_LABEL || command == COMMAND_PLAN;
        CHECK((strstr(text, "--scores") != NULL) == has_scores);
        free(text);
    }
}

// The one command without a model, and the one option that comes several times.
static void diff(void) {
    const struct options diff =
        good("diff OLD --fail-on psi>0.2 --html P --json --fail-on=flips>2% --force -q NEW");
    CHECK_INT(diff.command, COMMAND_DIFF);
    CHECK(diff.model == NULL && diff.json && diff.force && diff.quiet && diff.n_inputs == 2);
    CHECK_STR(diff.html, "P");
    CHECK_INT(diff.fail_on.n, 2);
    CHECK_STR(diff.fail_on.items[0], "psi>0.2");
    CHECK_STR(diff.fail_on.items[1], "flips>2%");
    setenv("WADER_FAIL_ON", "bad>1%", 1);
    const struct options twin = good("diff OLD NEW");
    CHECK(twin.fail_on.n == 1 && strcmp(twin.fail_on.items[0], "bad>1%") == 0);
    CHECK_INT(good("diff OLD NEW --fail-on psi>1").fail_on.n, 1);
    unsetenv("WADER_FAIL_ON");
    check_refused("diff OLD NEW -m M", "no such option of `wader diff`");
    check_refused("diff OLD NEW --fail-on", "needs a value");
    check_refused("eval -m M --fail-on psi>1", "no such option of `wader eval`");
}

int main(void) {
    defaults();
    values();
    words();
    flags();
    convert_and_info();
    eval();
    diff();
    inputs();
    catalog();
    refusals();
    help();
    return check_result();
}

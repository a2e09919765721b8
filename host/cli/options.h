// SPDX-License-Identifier: Apache-2.0
//
// The command line, the environment and the configuration file. Every option is defined once, in
// options_table.c: parsing, its WADER_... environment twin, its name in a configuration file,
// `--help`, the manual page and the completions of shells all come from there.
//
// A configuration file has one `name = value` a line, by the options' long names; blank lines and
// those that begin with # say nothing. What stands before the first section holds for every command
// that has the option, what stands below [label] for that command, where it counts for more. The
// value is all behind the = but the space around it; options without a value take 1 or 0. A flag
// wins over the environment, which wins over the file. No file is read that was not named.
#ifndef WADER_HOST_CLI_OPTIONS_H
#define WADER_HOST_CLI_OPTIONS_H

#include <stdio.h>

#include "host/base/base.h"

enum command {
    COMMAND_NONE,
    COMMAND_LABEL,
    COMMAND_RETRY,
    COMMAND_TOKENIZE,
    COMMAND_CONVERT,
    COMMAND_INFO,
    COMMAND_EVAL,
    COMMAND_BENCH,
    COMMAND_PLAN,
    COMMAND_STATUS,
    COMMAND_VERIFY,
    COMMAND_MERGE,
    COMMAND_DIFF,
    COMMAND_HELP,  // `subject` tells which command's, COMMAND_NONE for the overview
    COMMAND_VERSION,
};

// Values of the options with a fixed set of words, in the table's order. `scores` has those of enum
// row_scores (host/stream/row.h), `trailing` those of enum trailing (host/stream/input.h).
enum input_format { INPUT_AUTO, INPUT_TEXT, INPUT_TSV, INPUT_JSONL };
enum output_format { OUTPUT_BY_NAME, OUTPUT_JSONL, OUTPUT_TSV };
enum precision {
    PRECISION_AUTO,
    PRECISION_FP32,
    PRECISION_BF16,
    PRECISION_FP16,
    PRECISION_FP8,
    PRECISION_INT8,
};
enum output_dtype { OUTPUT_KEEP, OUTPUT_FP32, OUTPUT_BF16, OUTPUT_FP16 };
enum on_bad { ON_BAD_ROW, ON_BAD_REJECT, ON_BAD_FAIL };
enum keep_scores { KEEP_SCORES, KEEP_NO_SCORES };
enum progress_mode { PROGRESS_AUTO, PROGRESS_TTY, PROGRESS_PLAIN, PROGRESS_JSON, PROGRESS_NONE };

// The values of an option that may be given several times, in that order.
enum { OPTIONS_LIST_MAX = 32 };
struct text_list {
    const char *items[OPTIONS_LIST_MAX];
    int n;
};

// Who gave an option its value.
enum option_origin { ORIGIN_DEFAULT, ORIGIN_FLAG, ORIGIN_ENVIRONMENT, ORIGIN_FILE };
enum { OPTIONS_ROOM = 96 };

// Every value as the user gave it, or its default; strings are the user's own, static, or parts of
// `config_text`.
struct options {
    enum command command, subject;
    const char *model, *output, *labels;
    int input_format, output_format, scores, precision, dtype, on_bad, progress;  // see above
    int trailing, keep_scores, log_format;
    const char *id_field, *title_field, *label_field, *passthrough;
    const char *device;
    const char *max_bad;
    const char *lengths;
    const char *shard;
    const char *titles_per_s;
    const char *previous;
    const char *svg;
    const char *html;
    struct text_list fail_on;
    int max_length;  // -1: not given
    int max_record_bytes;
    int batch_tokens;  // 0: chosen
    int threads;       // 0: chosen
    int gpu_timeout;   // seconds
    int audit;         // rows of each output
    int titles;        // 0: chosen
    int repeats, seconds, seed;
    int shards;  // 0: not given
    int sample;  // MiB
    int checkpoint_seconds;
    bool header, force, hex, json, quiet, verbose;
    bool exact, ids, quick, salvage, count_duplicates;
    const char *config, *report, *metrics;
    char **inputs;  // [n_inputs], the rest of the command line
    int n_inputs;
    unsigned char origin[OPTIONS_ROOM];  // enum option_origin, by row of the table
    char *config_text;                   // from malloc
};

// STATUS_USAGE with what is wrong and where to look for help; STATUS_IO for a configuration file
// that cannot be read. options_free is due after either.
enum status options_parse(int argc, char **argv, struct options *options, struct error *error);
void options_free(struct options *options);

// What --log-format or its twin asks for, as far as can be told of a command line that may make no
// sense otherwise: enum log_format (host/cli/log.h).
int options_log_format(int argc, char *const *argv);

// Every option that the command takes, by its long name, as an object of {"value", "from"}; "from"
// is flag, environment, file or default.
struct buffer;
void options_add_json(const struct options *options, struct buffer *out);

// The overview for COMMAND_NONE.
void options_print_help(FILE *file, enum command command);

// The word for `value`, one that options_parse gave, of the option `name` that takes words
// ("fp32"). Returns `text`.
enum { OPTIONS_WORD_NBYTES = 16 };
const char *options_word(const char *name, int value, char text[OPTIONS_WORD_NBYTES]);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "host/cli/options_table.h"

#include <string.h>

#include "host/stream/chunk.h"

enum {
    LABEL = 1,
    TOKENIZE = 2,
    CONVERT = 4,
    INFO = 8,
    EVAL = 16,
    BENCH = 32,
    PLAN = 64,
    STATUS = 128,
    VERIFY = 256,
    MERGE = 512,
    DIFF = 1024,
    RETRY = 2048,
    JOB = LABEL | RETRY,                          // those that write rows
    ENCODING = JOB | INFO | EVAL | BENCH | PLAN,  // those that choose a device, or tell which
    CATALOG = PLAN | STATUS | VERIFY | MERGE,     // those about a whole catalog
    ALL = ENCODING | CATALOG | TOKENIZE | CONVERT | DIFF,
};

#define AT(field) offsetof(struct options, field)

const struct option option_table[OPTIONS_MAX + 1] = {
    {"model", 'm', KIND_TEXT, AT(model), TOKENIZE | CONVERT | ENCODING, 0, NULL, "DIR",
     "Hugging Face model directory: config.json, weights, vocabulary (required)"},
    {"output", 'o', KIND_TEXT, AT(output), JOB, 0, NULL, "PATH",
     "where rows go: a file, gzip if it ends in .gz, or - for stdout (default);\n"
     "a directory with several inputs or an input directory"},
    {"output", 'o', KIND_TEXT, AT(output), CONVERT, 0, NULL, "NEWDIR",
     "the directory to make (required); it appears when it is complete, or not at all"},
    {"output", 'o', KIND_TEXT, AT(output), PLAN, 0, NULL, "PATH",
     "where rows are to go: tells whether there is room for them"},
    {"output", 'o', KIND_TEXT, AT(output), STATUS | VERIFY | MERGE, 0, NULL, "PATH",
     "where rows go, as label was told; then all other words are INPUTs"},
    {"dtype", 0, KIND_WORD, AT(dtype), CONVERT, 0, "keep|fp32|bf16|fp16", "DTYPE",
     "keep (default): each tensor's own; others round to nearest even, and a value that\n"
     "fp16 has no number for is refused"},
    {"input-format", 0, KIND_WORD, AT(input_format), JOB | EVAL | BENCH | PLAN, 0,
     "auto|text|tsv|jsonl", "FORMAT",
     "auto (default) goes by the name: .jsonl, .tsv, else text; gzip is told by content"},
    {"id-field", 0, KIND_TEXT, AT(id_field), JOB | BENCH | PLAN, 0, NULL, "FIELD",
     "JSON key or /pointer (default id), or TSV column from 1 (default 1)"},
    {"title-field", 0, KIND_TEXT, AT(title_field), JOB | BENCH | PLAN, 0, NULL, "FIELD",
     "JSON key or /pointer (default title), or TSV column (default 2)"},
    {"title-field", 0, KIND_TEXT, AT(title_field), EVAL, 0, NULL, "FIELD",
     "JSON key or /pointer (default title), or TSV column (default: where the first line\n"
     "says title, else 1 of two columns, 2 of more)"},
    {"label-field", 0, KIND_TEXT, AT(label_field), EVAL, 0, NULL, "FIELD",
     "JSON key or /pointer (default label), or TSV column (default: where the first line\n"
     "says label, else 2 of two columns, 3 of more)"},
    {"passthrough", 0, KIND_TEXT, AT(passthrough), JOB | PLAN, 0, NULL, "A,B,...",
     "input fields to copy into each row"},
    {"output-format", 0, KIND_WORD, AT(output_format), JOB | CATALOG, 0, "auto|jsonl|tsv", "FORMAT",
     "auto (default) goes by the output's name: .tsv or .tsv.gz, else jsonl"},
    {"header", 0, KIND_FLAG, AT(header), JOB | PLAN, 0, NULL, NULL,
     "begin TSV output with column names"},
    {"scores", 0, KIND_WORD, AT(scores), JOB | PLAN, 0, "top|all|logits", "WHICH",
     "top (default): the label's probability; all: every label's too; logits: the raw\n"
     "numbers too"},
    {"labels", 0, KIND_TEXT, AT(labels), CONVERT | ENCODING, 0, NULL, "FILE",
     "label names, one a line, where the model has none"},
    {"device", 0, KIND_TEXT, AT(device), ENCODING, 0, NULL, "DEVICE",
     "auto (default): the GPUs of one kind where they serve, else the CPU, and says which;\n"
     "cpu; cuda: every GPU of the first one's kind; cuda:0,1: those"},
    {"precision", 0, KIND_WORD, AT(precision), ENCODING, 0, "auto|fp32|bf16|fp16|fp8|int8", "TIER",
     "auto (default): fp32 on a CPU, bf16 on a GPU, fp16 on one without bf16; what the\n"
     "device cannot do is refused"},
    {"gpu-timeout", 0, KIND_INT, AT(gpu_timeout), ENCODING, 1, NULL, "SECONDS",
     "without progress, a GPU is taken for hung and the run ends with 75 (default 120)"},
    {"max-length", 0, KIND_INT, AT(max_length), TOKENIZE | ENCODING, 0, NULL, "N",
     "most tokens of a title, [CLS] and [SEP] among them (default: 512, or the model's\n"
     "limit if lower; tokenize: 0 for no limit)"},
    {"batch-tokens", 0, KIND_INT, AT(batch_tokens), ENCODING, 1, NULL, "N",
     "tokens computed together; never changes a byte of output (default: chosen)"},
    {"threads", 0, KIND_INT, AT(threads), ENCODING | VERIFY | MERGE, 1, NULL, "N",
     "CPU threads; never changes a byte of output (default: all processors)"},
    {"on-bad", 0, KIND_WORD, AT(on_bad), JOB, 0, "row|reject|fail", "WHAT",
     "a record without a usable title: row (default) writes one with a null label and a\n"
     "status; reject also writes the record to OUT.rejects.jsonl.gz, for retry; fail stops"},
    {"max-bad", 0, KIND_TEXT, AT(max_bad), JOB, 0, NULL, "N|P%",
     "most bad records; beyond it the output is not committed (default 1%)"},
    {"max-record-bytes", 0, KIND_INT, AT(max_record_bytes), JOB, RECORD_NBYTES_MAX_LEAST, NULL, "N",
     "a longer line is a bad record (default 1048576, at most 16777216)"},
    {"trailing", 0, KIND_WORD, AT(trailing), JOB, 0, "error|warn|ignore", "WHAT",
     "bytes other than zeros behind gzip data: error (default) refuses the input; warn and\n"
     "ignore leave them aside and mark the commit record"},
    {"salvage", 0, KIND_FLAG, AT(salvage), LABEL, 0, NULL, NULL,
     "of a damaged gzip input, label the whole records before the damage, mark the commit\n"
     "record and end with 1"},
    {"count-duplicates", 0, KIND_FLAG, AT(count_duplicates), JOB, 0, NULL, NULL,
     "count ids that came before in their input, in up to 64 MiB more memory"},
    {"audit", 0, KIND_INT, AT(audit), LABEL, 0, NULL, "N",
     "compute N rows of each output, chosen by their numbers, once more: token ids on the\n"
     "tokenizer's plain path, logits in fp32 on the CPU with plain kernels; where they\n"
     "disagree the output is not committed (exit 6). Takes the weights in fp32 once more,\n"
     "2 KB a row, and about as long as N titles in fp32 (default 0: none)"},
    {"previous", 0, KIND_TEXT, AT(previous), JOB, 0, NULL, "PATH",
     "last run's output, a file or a directory: titles it has are not computed again; never\n"
     "changes a byte of output"},
    {"keep-scores", 0, KIND_WORD, AT(keep_scores), JOB | PLAN, 0, "yes|no", "WHETHER",
     "beside each output, hidden (.OUT.scores), what the next run's --previous looks up: yes\n"
     "(default), about 90 bytes a title of 8 labels; no"},
    {"checkpoint-seconds", 0, KIND_INT, AT(checkpoint_seconds), LABEL, 0, NULL, "S",
     "how often the way so far is saved, for the same command to go on from after a crash\n"
     "(default 10; 0: as often as possible); not of stdin, to stdout, or with --salvage"},
    {"shard", 0, KIND_TEXT, AT(shard), LABEL | PLAN | STATUS | VERIFY, 0, NULL, "I/N|auto",
     "take the I-th share (from 0) of the inputs, whole files; auto: the one that Slurm's\n"
     "array variables tell, or JOB_COMPLETION_INDEX (Kubernetes) or\n"
     "AWS_BATCH_JOB_ARRAY_INDEX with WADER_SHARDS for N"},
    {"shards", 0, KIND_INT, AT(shards), STATUS, 1, NULL, "N",
     "of N shares, also tell which to run again"},
    {"shards", 0, KIND_INT, AT(shards), PLAN, 1, NULL, "N",
     "of N shares, also tell how long the longest takes"},
    {"sample", 0, KIND_INT, AT(sample), PLAN, 1, NULL, "MIB",
     "how much of the inputs to read, inflated (default 32)"},
    {"exact", 0, KIND_FLAG, AT(exact), PLAN, 0, NULL, NULL, "read all of them"},
    {"titles-per-s", 0, KIND_TEXT, AT(titles_per_s), PLAN, 0, NULL, "RATE",
     "titles a second to reckon with; without it, what this host does is measured"},
    {"ids", 0, KIND_FLAG, AT(ids), VERIFY | MERGE, 0, NULL, NULL,
     "also compare each row's id with the input's; with -o and INPUT"},
    {"quick", 0, KIND_FLAG, AT(quick), VERIFY | MERGE, 0, NULL, NULL,
     "look at records and sizes only"},
    {"force", 0, KIND_FLAG, AT(force), JOB, 0, NULL, NULL,
     "replace an output that wader has no record of"},
    {"force", 0, KIND_FLAG, AT(force), CONVERT, 0, NULL, NULL,
     "replace NEWDIR where it is an empty directory or a model's without directories in it"},
    {"force", 0, KIND_FLAG, AT(force), EVAL | BENCH, 0, NULL, NULL, "replace FILE of --svg"},
    {"json", 0, KIND_FLAG, AT(json), INFO | EVAL | BENCH | CATALOG | DIFF, 0, NULL, NULL,
     "print one JSON object"},
    {"svg", 0, KIND_TEXT, AT(svg), EVAL, 0, NULL, "FILE",
     "also draw the confusion matrix and the calibration there"},
    {"svg", 0, KIND_TEXT, AT(svg), BENCH, 0, NULL, "FILE",
     "also draw a roofline and the stages there"},
    {"html", 0, KIND_TEXT, AT(html), DIFF, 0, NULL, "FILE",
     "also write a page with charts there; it needs no other file"},
    {"force", 0, KIND_FLAG, AT(force), DIFF, 0, NULL, NULL, "replace FILE of --html"},
    {"fail-on", 0, KIND_LIST, AT(fail_on), DIFF, 0, NULL, "GATE",
     "end with 7 where it holds, or cannot be told: psi>0.2, score_psi>0.2, flips>2%, new>5%,\n"
     "gone>5%, truncated>1%, abstained>10%, bad>1%, score_shift<-0.02, rows<95%; > or <, counts\n"
     "or % of shared ids (flips), of OLD's rows (gone, rows), of NEW's; may come several times"},
    {"lengths", 0, KIND_TEXT, AT(lengths), BENCH, 0, NULL, "WHICH",
     "without INPUT, how many tokens made-up titles have: titles (default; median 17), short\n"
     "(8), long (64), or N or N-M"},
    {"titles", 0, KIND_INT, AT(titles), BENCH, 1, NULL, "N",
     "how many titles to make up (default 100000, on GPUs 400000), up to 32 MiB"},
    {"seed", 0, KIND_INT, AT(seed), BENCH, 0, NULL, "N",
     "the same made-up titles for the same seed (default 1)"},
    {"repeats", 0, KIND_INT, AT(repeats), BENCH, 1, NULL, "N",
     "rounds to measure; medians and ranges are printed (default 5, at most 100)"},
    {"seconds", 0, KIND_INT, AT(seconds), BENCH, 1, NULL, "S",
     "time for it: what is measured at once, and after which there is no further round\n"
     "(default 40; two rounds at least)"},
    {"hex", 0, KIND_FLAG, AT(hex), TOKENIZE, 0, NULL, NULL,
     "each input line is one title's bytes in hexadecimal"},
    {"progress", 0, KIND_WORD, AT(progress), JOB | CONVERT | EVAL | PLAN | VERIFY | MERGE | DIFF, 0,
     "auto|tty|plain|json|none", "MODE",
     "auto (default): a line in place on a terminal, else one every 30 seconds"},
    {"report", 0, KIND_TEXT, AT(report), JOB, 0, NULL, "FILE",
     "also write a JSON report of the run there, however it ends: provenance, options, counts,\n"
     "times, commit records, error; a report that is there is replaced"},
    {"metrics", 0, KIND_TEXT, AT(metrics), JOB, 0, NULL, "FILE",
     "also write figures of the run there for Prometheus' textfile collector (FILE.prom), every\n"
     "5 seconds and at the end"},
    {"log-format", 0, KIND_WORD, AT(log_format), ALL, 0, "text|json", "FORMAT",
     "text (default), or json: each line on stderr is one JSON object"},
    {"config", 0, KIND_TEXT, AT(config), ALL, 0, NULL, "FILE",
     "options from there, one `name = value` a line; those of one command below a line such\n"
     "as [label]; flags and environment win. No file is read that is not named"},
    {"quiet", 'q', KIND_FLAG, AT(quiet), JOB | CONVERT | EVAL | BENCH | CATALOG | DIFF, 0, NULL,
     NULL, "no notes and no summary, only errors"},
    {"verbose", 'v', KIND_FLAG, AT(verbose), JOB | EVAL | BENCH | CATALOG, 0, NULL, NULL,
     "more notes: every bad record, what was chosen and why"},
};

const struct command_entry command_table[COMMANDS_END] = {
    [COMMAND_LABEL] = {"label", LABEL, 0, "wader label --model DIR [-o OUT] [options] [INPUT...]",
                       "Labels the titles in each INPUT (text, TSV or JSONL, plain or gzip; - is "
                       "stdin)."},
    [COMMAND_RETRY] = {"retry", RETRY, 0, "wader retry --model DIR [-o OUT] [options] REJECTS",
                       "Labels the records that `wader label --on-bad reject` rejected, as label "
                       "does."},
    [COMMAND_TOKENIZE] =
        {"tokenize", TOKENIZE, 0, "wader tokenize --model DIR [--hex] [--max-length N] [INPUT]",
         "Prints one line of token ids for each line of INPUT (stdin by default)."},
    [COMMAND_CONVERT] = {"convert", CONVERT, 0,
                         "wader convert --model DIR -o NEWDIR [--dtype DTYPE] [--force]",
                         "Writes the model as a safetensors directory that transformers loads."},
    [COMMAND_INFO] = {"info", INFO, 0, "wader info --model DIR [--json]",
                      "Tells what the model is, and what this host would label with it on."},
    [COMMAND_EVAL] = {"eval", EVAL, 0, "wader eval --model DIR [options] LABELLED...",
                      "Tells how often the model is right on titles whose labels are known (TSV or "
                      "JSONL)."},
    [COMMAND_BENCH] =
        {"bench", BENCH, 0, "wader bench --model DIR [--json] [--svg FILE] [options] [INPUT]",
         "Measures each stage of a run, and the whole, against what this host allows; "
         "on INPUT,\n      or on titles made of the model's vocabulary."},
    [COMMAND_PLAN] = {"plan", PLAN, LABEL, "wader plan --model DIR [-o OUT] [options] INPUT...",
                      "Tells what labelling each INPUT takes before it begins: titles, tokens, "
                      "time, disk, memory."},
    [COMMAND_STATUS] = {"status", STATUS, LABEL, "wader status -o OUT [options] INPUT...",
                        "Tells which outputs are done, and which are not (also: wader status OUT "
                        "[INPUT...];\n      takes label's options and leaves aside those that do "
                        "not matter)."},
    [COMMAND_VERIFY] =
        {"verify", VERIFY, LABEL, "wader verify [options] DIR|FILE...",
         "Checks outputs against their commit records, and with -o OUT INPUT... against inputs "
         "too\n      (label's options are taken, and left aside)."},
    [COMMAND_MERGE] = {"merge", MERGE, LABEL, "wader merge [options] DIR [INPUT...]",
                       "Verifies the outputs in DIR, all those of the INPUTs, and writes "
                       "DIR/_SUCCESS."},
    [COMMAND_DIFF] =
        {"diff", DIFF, 0, "wader diff [--json] [--html FILE] [--fail-on GATE]... OLD NEW",
         "Tells what changed between two outputs of label, or two directories of them: labels, "
         "flips,\n      scores. Outputs in one order take 50 MB; in others, up to 64 bytes for "
         "each row that\n      waits for the other side's, about a quarter of all where "
         "orders are unrelated."},
    [COMMAND_HELP] = {"help", 0, 0, "wader help [COMMAND]", "Prints this, or a command's options."},
};

const struct exit_entry exit_table[] = {
    {STATUS_OK, "all was done, and is committed"},
    {STATUS_ROWS,
     "finished, but with more bad records than --max-bad, or of a damaged input only\n"
     "(--salvage); outputs that are not done or not whole (status, verify, merge)"},
    {STATUS_USAGE, "the command line, the environment or the configuration file makes no sense"},
    {STATUS_INPUT, "bad input: truncated or damaged gzip, another format, --on-bad fail"},
    {STATUS_IO, "output or system: disk full, unwritable, out of memory"},
    {STATUS_LOCKED, "the output is in use by another run"},
    {STATUS_MODEL, "model or device cannot be used, or --audit found wrong rows"},
    {STATUS_DRIFT, "a gate of diff tripped"},
    {STATUS_AGAIN, "stopped, progress saved: run the same command again"},
    {STATUS_PIPE, "the reader of stdout went away"},
    {0, NULL},
};

enum command command_named(const char *name) {
    for (size_t i = COMMAND_LABEL; i < COMMANDS_END; i++) {
        if (strcmp(name, command_table[i].name) == 0) return (enum command)i;
    }
    return COMMAND_NONE;
}

const struct option *option_named(const char *name, size_t len, unsigned commands) {
    for (size_t i = 0; option_table[i].name != NULL; i++) {
        const struct option *option = &option_table[i];
        if ((option->commands & commands) == 0 || strlen(option->name) != len) continue;
        if (memcmp(option->name, name, len) == 0) return option;
    }
    return NULL;
}

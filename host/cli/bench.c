// SPDX-License-Identifier: Apache-2.0
//
// `wader bench`: opens what `wader label` opens, measures (host/bench), prints.
#include "host/cli/bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/bench/startup.h"
#include "host/cli/commands.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/stream/output.h"

enum { TITLES_CPU = 100000, TITLES_CUDA = 400000 };

// ---- the command line, from the system, which still has it as it was given

static bool is_plain(const char *word) {
    for (const char *c = word; *c != '\0'; c++) {
        const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           (*c >= '0' && *c <= '9') || strchr("-_=./:,@%+", *c) != NULL;
        if (!plain) return false;
    }
    return *word != '\0';
}

static void add_word(struct buffer *out, const char *word) {
    if (out->len > 0) buffer_add_text(out, " ");
    if (is_plain(word)) {
        buffer_add_text(out, word);
        return;
    }
    buffer_add_text(out, "'");
    for (const char *c = word; *c != '\0'; c++) {
        if (*c == '\'') {
            buffer_add_text(out, "'\\''");
        } else {
            buffer_add(out, c, 1);
        }
    }
    buffer_add_text(out, "'");
}

static void read_command(struct buffer *out) {
    struct buffer words = {0};
    FILE *file = fopen("/proc/self/cmdline", "re");
    for (size_t n = 1; file != NULL && n > 0;) {
        char *to = buffer_reserve(&words, 4096);
        if (to == NULL) break;
        n = fread(to, 1, 4096, file);
        words.len += n;
    }
    if (file != NULL) fclose(file);
    buffer_add(&words, "", 1);
    bool first = true;
    for (size_t at = 0; !words.failed && at + 1 < words.len; first = false) {
        const char *word = words.bytes + at;
        add_word(out, first ? path_base(word) : word);
        at += strlen(word) + 1;
    }
    buffer_free(&words);
}

// ---- what is measured

static enum status make_titles(struct bench_report *report, const struct lengths *lengths,
                               struct error *error) {
    const struct options *options = report->options;
    const struct corpus_recipe recipe = {
        .lengths_name = options->lengths,
        .lengths = *lengths,
        .seed = (uint64_t)options->seed,
        .n_titles = options->titles > 0      ? (size_t)options->titles
                    : report->engine.is_cuda ? TITLES_CUDA
                                             : TITLES_CPU,
    };
    if (!lengths->is_lognormal && lengths->max > report->engine.max_length) {
        return error_set(error, STATUS_USAGE,
                         "--lengths %s: titles have %d tokens at most here (--max-length)",
                         options->lengths, (int)report->engine.max_length);
    }
    struct options plain = *options;  // what is made up is JSONL, whatever an INPUT would be
    plain.input_format = INPUT_JSONL;
    plain.id_field = plain.title_field = NULL;
    enum status status =
        item_formats_make(&plain, &report->engine, "titles.jsonl", &report->formats, error);
    if (status != STATUS_OK) return status;
    return corpus_make(&recipe, report->engine.tokenizer, report->engine.max_length,
                       &report->corpus, error);
}

static enum status read_titles(struct bench_report *report, struct error *error) {
    enum status status =
        item_formats_make(report->options, &report->engine, report->input, &report->formats, error);
    if (status != STATUS_OK) return status;
    status = corpus_read(report->input, &report->formats.record, report->engine.tokenizer,
                         report->engine.max_length, &report->corpus, error);
    if (status == STATUS_OK && report->corpus.is_cut && !report->options->quiet) {
        report_note("%s: the first %d MiB are measured", report->input,
                    CORPUS_NBYTES_MAX / (1024 * 1024));
    }
    return status;
}

static enum status measure_startup(struct bench_report *report, struct error *error) {
    const struct options *options = report->options;
    const bool is_auto = strcmp(options->device, "auto") == 0;
    char threads[16], batch_tokens[16];
    const char *argv[24] = {"wader",
                            "label",
                            "--quiet",
                            "--model",
                            options->model,
                            "--device",
                            is_auto ? report->engine.device : options->device,
                            "--precision",
                            report->engine.precision};
    size_t n = 9;
    snprintf(threads, sizeof threads, "%d", report->engine.n_threads);
    snprintf(batch_tokens, sizeof batch_tokens, "%d", options->batch_tokens);
    argv[n++] = "--threads";
    argv[n++] = threads;
    if (options->batch_tokens > 0) {
        argv[n++] = "--batch-tokens";
        argv[n++] = batch_tokens;
    }
    if (options->labels != NULL) {
        argv[n++] = "--labels";
        argv[n++] = options->labels;
    }
    argv[n++] = "-";
    for (int i = 0; i < STARTUPS; i++) {
        double seconds;
        enum status status = startup_seconds((char *const *)(uintptr_t)argv, &seconds, error);
        if (status != STATUS_OK) return status;
        samples_add(&report->startup, seconds);
    }
    return STATUS_OK;
}

static enum status measure(struct bench_report *report, struct error *error) {
    const struct options *options = report->options;
    report->settings = (struct bench_settings){
        .model = report->engine.model,
        .tokenizer = report->engine.tokenizer,
        .encoder = report->engine.encoder,
        .corpus = &report->corpus,
        .row_format = report->formats.row,
        .is_cuda = report->engine.is_cuda,
        .precision = report->engine.precision,
        .max_length = report->engine.max_length,
        .n_threads = report->engine.n_threads,
        .n_tokenizers = n_tokenizers(report->engine.n_threads),
        .n_tokenizers_max = TOKENIZERS_MAX,
        .n_workers = report->engine.n_workers,
        .repeats = options->repeats,
        .seconds = options->seconds,
    };
    enum status status = measure_startup(report, error);
    if (status == STATUS_OK) status = bench_run(&report->settings, &report->result, error);
    if (status == STATUS_OK) verdict_of(&report->settings, &report->result, &report->verdict);
    return status;
}

// ---- what is printed

// fp8 is counted as bf16, what its values of one byte save is not.
double bench_work_nbytes(const struct bench_report *report, enum encoder_work work) {
    const char *precision = report->engine.precision;
    const bool is_fp32 = strcmp(precision, "fp32") == 0, is_int8 = strcmp(precision, "int8") == 0;
    return flops_bytes(&report->engine.model->config, report->engine.encoder,
                       &report->result.profile_flops, work, is_fp32 || is_int8 ? 4 : 2,
                       is_fp32   ? 4
                       : is_int8 ? 1
                                 : 2);
}

static int compare(const void *a, const void *b) {
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

enum status bench_lengths_of(const struct corpus *corpus, struct bench_lengths *lengths,
                             struct error *error) {
    const size_t n = corpus->n_titles;
    void *memory;
    *lengths = (struct bench_lengths){0};
    enum status status = alloc_array(&memory, n, sizeof(int32_t), "lengths", error);
    if (status != STATUS_OK) return status;
    int32_t *sorted = memory;
    for (size_t i = 0; i < n; i++) sorted[i] = corpus_length(corpus, i);
    qsort(sorted, n, sizeof *sorted, compare);
    *lengths = (struct bench_lengths){.mean = (double)corpus->n_tokens / (double)n,
                                      .nbytes = (double)corpus->titles.len / (double)n,
                                      .median = sorted[n / 2],
                                      .p95 = sorted[n - 1 - n / 20],
                                      .max = sorted[n - 1]};
    free(sorted);
    return STATUS_OK;
}

static enum status write_out(const char *path, const struct buffer *text, struct error *error) {
    struct output *output = NULL;
    enum status status = buffer_check(text, error);
    if (status == STATUS_OK) status = output_open(path, &output, error);
    if (status == STATUS_OK) status = output_write(output, text->bytes, text->len, error);
    if (status == STATUS_OK) status = output_complete(output, error);
    if (status == STATUS_OK && stop_asked()) {
        status = error_set(error, STATUS_AGAIN, "stopped by a signal");
    }
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    return status;
}

static enum status print(const struct bench_report *report, struct error *error) {
    const struct options *options = report->options;
    struct bench_lengths lengths;
    struct buffer text = {0}, picture = {0};
    enum status status = bench_lengths_of(&report->corpus, &lengths, error);
    if (status != STATUS_OK) return status;
    stop_listen();
    if (options->svg != NULL) {
        bench_print_svg(report, &picture);
        status = write_out(options->svg, &picture, error);
    }
    if (options->json) {
        bench_print_json(report, &lengths, &text);
    } else {
        bench_print_text(report, &lengths, &text);
    }
    if (status == STATUS_OK) status = write_out("-", &text, error);
    buffer_free(&text);
    buffer_free(&picture);
    return status;
}

// ---- all of it

static enum status check(const struct options *options, struct lengths *lengths,
                         struct error *error) {
    if (options->n_inputs > 1) {
        return error_set(error, STATUS_USAGE, "%s: bench takes one INPUT", options->inputs[1]);
    }
    if (options->repeats > SAMPLES_MAX) {
        return error_set(error, STATUS_USAGE, "--repeats %d: at most %d", options->repeats,
                         (int)SAMPLES_MAX);
    }
    if (options->svg != NULL && !options->force && access(options->svg, F_OK) == 0) {
        return error_set(error, STATUS_USAGE, "%s exists; replace it with --force", options->svg);
    }
    return lengths_parse(options->lengths, lengths, error);
}

static enum status run(struct bench_report *report, struct error *error) {
    const struct options *options = report->options;
    struct lengths lengths;
    enum status status = check(options, &lengths, error);
    if (status != STATUS_OK) return status;
    host_facts_read(&report->host);
    read_command(&report->command);
    status = engine_open(options, &report->engine, error);
    if (status != STATUS_OK) return status;
    status =
        report->input != NULL ? read_titles(report, error) : make_titles(report, &lengths, error);
    if (status == STATUS_OK) status = measure(report, error);
    return status == STATUS_OK ? print(report, error) : status;
}

enum status command_bench(const struct options *options, struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof(struct bench_report), "figures", error);
    if (status != STATUS_OK) return status;
    struct bench_report *report = memory;
    report->options = options;
    report->input = options->n_inputs > 0 ? options->inputs[0] : NULL;
    stop_at_once();
    status = run(report, error);
    corpus_free(&report->corpus);
    item_formats_free(&report->formats);
    engine_close(&report->engine);
    buffer_free(&report->command);
    free(report);
    return status;
}

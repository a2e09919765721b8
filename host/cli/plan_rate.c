// SPDX-License-Identifier: Apache-2.0
//
// How fast this host labels the titles of the sample: the pipeline of `wader label`, from memory to
// memory, a few times.
#include <string.h>
#include <unistd.h>

#include "host/bench/corpus.h"
#include "host/cli/plan.h"

enum { FIRST_TITLES = 64, RUNS = 4 };
#define RUN_SECONDS 1.2  // of one of them, about

struct race {
    struct plan_report *report;
    struct memory_file titles, rows;
    struct item_formats formats;
};

// The first `n` titles.
static struct span prefix(const struct buffer *titles, size_t n) {
    size_t end = 0;
    for (size_t i = 0; i < n && end < titles->len; i++) {
        const char *newline = memchr(titles->bytes + end, '\n', titles->len - end);
        end = (size_t)(newline - titles->bytes) + 1;
    }
    return (struct span){titles->bytes, end};
}

static enum status run_pipeline(struct race *race, struct input *input, struct output *output,
                                double *seconds, struct error *error) {
    const struct engine *engine = &race->report->engine;
    const struct pipeline_config config = {
        .encoder = engine->encoder,
        .tokenizer = engine->tokenizer,
        .record_format = race->formats.record,
        .row_format = race->formats.row,
        .max_length = engine->max_length,
        .n_tokenizers = n_tokenizers(engine->n_threads),
        .flush_ms = -1,
    };
    struct pipeline *pipeline;
    struct totals totals;
    const double begin = now_seconds();
    enum status status = pipeline_start(&config, input, output, &pipeline, error);
    if (status != STATUS_OK) return status;
    while (!pipeline_poll(pipeline, 100, &totals)) continue;
    status = pipeline_finish(pipeline, &totals, error);
    *seconds = now_seconds() - begin;
    return status;
}

static enum status run(struct race *race, size_t n, double *rate, struct error *error) {
    const struct span titles = prefix(&race->report->sample.titles, n);
    struct input *input = NULL;
    struct output *output = NULL;
    double seconds = 1;
    int fd = -1;
    enum status status = memory_file_write(&race->titles, titles, false, error);
    if (status == STATUS_OK) status = memory_file_rewrite(&race->rows, &fd, error);
    if (status == STATUS_OK) {
        status = output_open_fd(fd, true, &output, error);
        if (status != STATUS_OK) close(fd);
    }
    if (status == STATUS_OK) status = input_open(race->titles.path, &input, error);
    if (status == STATUS_OK) status = run_pipeline(race, input, output, &seconds, error);
    input_close(input);
    output_close(output);
    *rate = (double)n / (seconds > 1e-6 ? seconds : 1e-6);
    return status;
}

// The first run warms up, and tells how many titles the others take.
static enum status measure(struct race *race, struct error *error) {
    struct plan_report *report = race->report;
    const size_t n_titles = report->sample.n_titles;
    struct estimate *rate = &report->rate;
    double last = 0, sum = 0;
    size_t n = n_titles < FIRST_TITLES ? n_titles : FIRST_TITLES;
    enum status status = run(race, n, &last, error);
    for (int i = 0; i < RUNS && status == STATUS_OK; i++) {
        const double fit = last * RUN_SECONDS / 2;
        if (fit > (double)n) n = fit < (double)n_titles ? (size_t)fit : n_titles;
        status = run(race, n, &last, error);
        if (i == 0) continue;
        rate->low = i == 1 || last < rate->low ? last : rate->low;
        rate->high = i == 1 || last > rate->high ? last : rate->high;
        sum += last;
    }
    rate->value = sum / (RUNS - 1);
    return status;
}

enum status plan_measure_rate(struct plan_report *report, struct error *error) {
    struct race race = {.report = report, .titles = {.fd = -1}, .rows = {.fd = -1}};
    struct options plain = *report->options;  // the sample's titles are JSONL, whatever the inputs
    plain.input_format = INPUT_JSONL;
    plain.id_field = plain.title_field = plain.passthrough = NULL;
    report->is_measured = true;
    if (report->sample.n_titles == 0) {
        return error_set(error, STATUS_INPUT,
                         "no title in the sample to measure with: see --title-field, or give "
                         "--titles-per-s");
    }
    enum status status =
        item_formats_make(&plain, &report->engine, "titles.jsonl", &race.formats, error);
    if (status == STATUS_OK) status = memory_file_create(&race.titles, error);
    if (status == STATUS_OK) status = memory_file_create(&race.rows, error);
    if (status == STATUS_OK) status = measure(&race, error);
    memory_file_close(&race.titles);
    memory_file_close(&race.rows);
    item_formats_free(&race.formats);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// Titles whose labels are known go the way that `wader label` sends titles, up to their logits;
// here is what becomes of those. A record without a usable title or label ends the run: figures of
// the rest would not be of what was given.
#include "host/cli/eval_run.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "weights/quote.h"

enum { POLL_MS = 100, NAMES_NBYTES = 500 };

// One input on its way.
struct eval_run {
    struct eval *eval;
    struct input *input;
    struct record_format format;
    struct field label;
    size_t n_titles;
};

// ---- fields

static enum status check_fields(const struct eval_run *run, struct error *error) {
    const bool is_tsv = run->format.kind == RECORD_TSV;
    const struct field *title = &run->format.title, *label = &run->label;
    if (is_tsv ? title->column != label->column : strcmp(title->name, label->name) != 0) {
        return STATUS_OK;
    }
    char column[24];
    snprintf(column, sizeof column, "column %d", title->column);
    return error_set(error, STATUS_USAGE,
                     "%s: title and label would both be %s; --title-field and --label-field tell "
                     "where they are",
                     input_name(run->input), is_tsv ? column : title->name);
}

// What the command line says of the fields, or their defaults.
static enum status make_fields(const struct options *options, const char *input,
                               struct eval_run *run, struct error *error) {
    const enum record_kind kind = kind_of_input(options, input);
    const bool is_tsv = kind == RECORD_TSV;
    const char *title = options->title_field, *label = options->label_field;
    if (kind == RECORD_TEXT) {
        return error_set(error, STATUS_USAGE,
                         "%s: a line of text has no label beside its title: give TSV or JSONL, by "
                         "name (.tsv, .jsonl) or with --input-format",
                         input);
    }
    run->format.kind = kind;
    if (title == NULL) title = is_tsv ? "1" : "title";
    if (label == NULL) label = is_tsv ? "2" : "label";
    enum status status = make_field("--title-field", title, kind, &run->format.title, error);
    if (status == STATUS_OK) status = make_field("--label-field", label, kind, &run->label, error);
    // Nobody asks for an id: this one is always there.
    run->format.id = is_tsv ? (struct field){"1", 1} : run->format.title;
    return status;
}

// Where the command line leaves it open, TSV's first line tells the columns.
static enum status read_first_line(void *context, struct span line, struct record_format *format,
                                   bool *is_header, struct error *error) {
    struct eval_run *run = context;
    const struct options *options = run->eval->options;
    if (run->format.kind == RECORD_TSV) {
        const struct gold_columns columns = gold_columns_of(line, &run->eval->labels);
        if (options->title_field == NULL) run->format.title.column = columns.title;
        if (options->label_field == NULL) run->label.column = columns.label;
        *is_header = columns.is_header;
    }
    *format = run->format;
    return check_fields(run, error);
}

// ---- records

// "art", "health", ...: as many as fit.
static void list_names(const struct gold_labels *labels, char *text, size_t cap) {
    size_t len = 0;
    for (int32_t k = 0; k < labels->n_labels; k++) {
        const struct quoted name = quote(span_text(labels->names[k]));
        if (len + strlen(name.text) + sizeof ", " + sizeof " and 2147483647 more" > cap) {
            snprintf(text + len, cap - len, " and %d more", (int)(labels->n_labels - k));
            return;
        }
        len += (size_t)snprintf(text + len, cap - len, "%s%s", k > 0 ? ", " : "", name.text);
    }
}

static enum status bad_record(const struct eval_run *run, const struct record *record,
                              uint64_t number, const char *what, struct error *error) {
    return error_set(error, STATUS_INPUT,
                     "%s: record %llu at byte %llu: %s; mend it or take it out: eval leaves no "
                     "record aside",
                     input_name(run->input), (unsigned long long)number,
                     (unsigned long long)record->offset, what);
}

static enum status bad_title(const struct eval_run *run, const struct record *record,
                             uint64_t number, struct error *error) {
    static const char *const words[RECORD_STATUS_COUNT] = {
        [RECORD_BLANK] = "a blank line, where a record should be",
        [RECORD_TITLE_TYPE] = "the title is not a string",
        [RECORD_TOO_LONG] = "the line is longer than 1 MiB",
    };
    char text[256];
    if (record->status == RECORD_BAD_JSON) {
        snprintf(text, sizeof text, "not a JSON record: %s, %u bytes into the line", record->fault,
                 (unsigned)record->fault_offset);
    } else if (record->status == RECORD_NO_TITLE && run->format.kind == RECORD_TSV) {
        snprintf(text, sizeof text, "no title: there is no column %d", run->format.title.column);
    } else if (record->status == RECORD_NO_TITLE) {
        const struct quoted name = quote(span_text(run->format.title.name));
        snprintf(text, sizeof text, "no title: there is no field %s", name.text);
    } else {
        const char *word = words[record->status];
        snprintf(text, sizeof text, "%s", word != NULL ? word : record_status_name(record->status));
    }
    return bad_record(run, record, number, text, error);
}

static enum status bad_label(const struct eval_run *run, const struct record *record,
                             uint64_t number, const struct gold_fault *fault, struct error *error) {
    const struct gold_labels *labels = &run->eval->labels;
    char names[NAMES_NBYTES], what[256], text[NAMES_NBYTES + 320];
    list_names(labels, names, sizeof names);
    if (fault->text.ptr != NULL) {
        const struct quoted found = quote(fault->text);
        snprintf(what, sizeof what, "the label %s %s", found.text, fault->what);
    } else if (run->format.kind == RECORD_TSV) {
        snprintf(what, sizeof what, "no label: there is no column %d", run->label.column);
    } else {
        const struct quoted name = quote(span_text(run->label.name));
        snprintf(what, sizeof what, "no label: there is no field %s", name.text);
    }
    snprintf(text, sizeof text, "%s; the labels are %s, or numbers from 0 to %d", what, names,
             (int)labels->n_labels - 1);
    return bad_record(run, record, number, text, error);
}

static enum status watch(void *context, const struct record *record, uint64_t number,
                         const float *logits, struct error *error) {
    struct eval_run *run = context;
    struct eval *eval = run->eval;
    struct gold_fault fault;
    if (record_is_bad(record->status)) return bad_title(run, record, number, error);
    if (!gold_read(&eval->labels, &run->format, run->label, record, eval->scratch, eval->members,
                   &fault)) {
        return bad_label(run, record, number, &fault, error);
    }
    for (int32_t k = 0; k < eval->labels.n_labels; k++) {
        if (isfinite(logits[k])) continue;
        return bad_record(run, record, number, "the model gave a logit that is no finite number",
                          error);
    }
    run->n_titles++;
    eval->n_truncated += record->status == RECORD_TRUNCATED;
    eval->n_ill_formed += record->ill_formed_utf8;
    return evaluation_add(&eval->evaluation, logits, eval->members, error);
}

// ---- inputs

_Noreturn static void stop_now(const struct eval *eval) {
    if (eval->svg != NULL) output_abandon(eval->svg);
    log_line(LOG_INFO, "stopped", NULL, "stopped by a signal; nothing was written");
    _exit(STATUS_AGAIN);
}

static enum status stream(struct eval_run *run, struct error *error) {
    struct eval *eval = run->eval;
    const struct pipeline_config config = {
        .encoder = eval->engine.encoder,
        .tokenizer = eval->engine.tokenizer,
        .record_format = run->format,
        .max_length = eval->engine.max_length,
        .n_tokenizers = n_tokenizers(eval->engine.n_threads),
        .flush_ms = -1,
        .first_line = {.read = read_first_line, .context = run},
        .watcher = {.every = true, .seen = watch, .context = run},
    };
    struct pipeline *pipeline;
    struct totals totals;
    enum status status = pipeline_start(&config, run->input, NULL, &pipeline, error);
    if (status != STATUS_OK) return status;
    struct progress progress;
    progress_start(&progress, (enum progress_mode)eval->options->progress);
    progress.total_nbytes = input_total_nbytes(run->input);
    while (!pipeline_poll(pipeline, POLL_MS, &totals)) {
        if (stop_asked()) stop_now(eval);
        if (eval->options->quiet) continue;
        progress_show(&progress, input_name(run->input), &totals);
    }
    return pipeline_finish(pipeline, &totals, error);
}

enum status eval_check_input(const struct options *options, const char *path, struct error *error) {
    struct eval_run run = {0};
    return make_fields(options, path, &run, error);
}

enum status eval_input(struct eval *eval, const char *path, struct error *error) {
    struct eval_run run = {.eval = eval};
    enum status status = make_fields(eval->options, path, &run, error);
    if (status == STATUS_OK) status = input_open(path, &run.input, error);
    if (status == STATUS_OK) status = stream(&run, error);
    if (status == STATUS_OK) status = input_check_unchanged(run.input, error);
    if (status == STATUS_OK && run.n_titles == 0) {
        status =
            error_set(error, STATUS_INPUT, "%s: there is no record in it", input_name(run.input));
    }
    input_close(run.input);
    return status;
}

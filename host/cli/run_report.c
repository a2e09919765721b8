// SPDX-License-Identifier: Apache-2.0
#include "host/cli/run_report.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host/base/rfc3339.h"
#include "host/bench/host_facts.h"
#include "host/cli/build_info.h"
#include "host/cli/label_previous.h"
#include "host/job/commit_record.h"
#include "host/stream/output.h"

static void add_text(struct buffer *out, const char *key, const char *text) {
    buffer_add_format(out, "\"%s\": ", key);
    if (text == NULL || *text == '\0') {
        buffer_add_text(out, "null");
    } else {
        buffer_add_json_string(out, span_text(text));
    }
}

static void add_count(struct buffer *out, const char *key, uint64_t value) {
    buffer_add_format(out, "\"%s\": %llu", key, (unsigned long long)value);
}

static void add_error(struct buffer *out, const char *text, const struct error_place *place) {
    const size_t len = text != NULL ? strlen(text) : 0;
    if (len == 0) {
        buffer_add_text(out, "\"error\": null");
        return;
    }
    buffer_add_text(out, "\"error\": {");
    add_text(out, "message", text);
    if (place->file_nbytes > 0) {
        buffer_add_text(out, ", \"file\": ");
        buffer_add_json_string(
            out, (struct span){text, place->file_nbytes < len ? place->file_nbytes : len});
    }
    if (place->has_record) {
        buffer_add_text(out, ", ");
        add_count(out, "record", place->record);
        buffer_add_text(out, ", ");
        add_count(out, "byte", place->byte);
    }
    if (place->has_compressed) {
        buffer_add_text(out, ", ");
        add_count(out, "compressed_byte", place->compressed_byte);
    }
    buffer_add_text(out, "}");
}

static void add_end(const struct job *job, const struct observed_end *end, struct buffer *out) {
    const char *state = "running";
    char when[RFC3339_NBYTES];
    if (end->ended) {
        state = end->status == STATUS_OK      ? "done"
                : end->status == STATUS_AGAIN ? "stopped"
                                              : "failed";
    }
    const bool failed = end->ended && end->status != STATUS_OK && end->error != NULL;
    buffer_add_format(out, "  \"state\": \"%s\",\n  \"command\": \"%s\",\n  \"exit_code\": ", state,
                      job->options->command == COMMAND_RETRY ? "retry" : "label");
    if (end->ended) {
        buffer_add_format(out, "%d,\n  ", (int)end->status);
    } else {
        buffer_add_text(out, "null,\n  ");
    }
    add_error(out, failed ? end->error->text : NULL, failed ? &end->error->place : NULL);
    buffer_add_format(out, ",\n  \"started\": \"%s\"",
                      rfc3339_seconds(job->observer.started, when));
    buffer_add_format(out, ",\n  \"written\": \"%s\",\n  \"seconds\": %.3f",
                      rfc3339_seconds(time(NULL), when), now_seconds() - job->observer.clock);
}

static void add_machine(struct buffer *out) {
    struct host_facts facts;
    struct utsname system;
    host_facts_read(&facts);
    buffer_add_text(out, ",\n  \"wader\": {");
    add_text(out, "version", WADER_VERSION);
    buffer_add_text(out, ", ");
    add_text(out, "commit", build_commit());
    buffer_add_text(out, ", ");
    add_text(out, "compiler", build_compiler());
    buffer_add_text(out, ", ");
    add_text(out, "libraries", facts.libraries);
    buffer_add_text(out, "},\n  \"machine\": {");
    add_text(out, "host", uname(&system) == 0 ? system.nodename : NULL);
    buffer_add_format(out, ", \"pid\": %ld, ", (long)getpid());
    add_text(out, "cpu", facts.cpu);
    buffer_add_text(out, ", ");
    add_text(out, "flags", facts.flags);
    buffer_add_text(out, ", ");
    add_text(out, "kernels", facts.kernels);
    buffer_add_text(out, ", ");
    add_text(out, "system", facts.system);
    buffer_add_format(out, ", \"processors\": %d, ", facts.processors);
    add_count(out, "memory_nbytes", facts.memory_nbytes);
    buffer_add_text(out, "}");
}

static void add_device(const struct engine *engine, struct buffer *out) {
    buffer_add_text(out, ",\n  \"device\": ");
    if (engine->encoder == NULL) {
        buffer_add_text(out, "null");
        return;
    }
    buffer_add_text(out, "{");
    add_text(out, "device", engine->device);
    buffer_add_text(out, ", ");
    add_text(out, "precision", engine->precision);
    buffer_add_text(out, ", ");
    add_text(out, "hardware", engine->hardware);
    buffer_add_text(out, ", ");
    add_text(out, "workers", engine->workers);
    buffer_add_format(out, ", \"threads\": %d, \"batch_tokens\": %d, \"max_length\": %d}",
                      engine->n_threads, (int)engine->encoder->batch_tokens,
                      (int)engine->max_length);
}

// Files of the model or of the tokenizer, as far as their hashes are known.
static void add_files(const struct provenance_file *files, size_t n, bool of_tokenizer,
                      struct buffer *out) {
    const char *separator = "";
    buffer_add_text(out, ", \"files\": [");
    for (size_t i = 0; i < n; i++) {
        if (files[i].of_tokenizer != of_tokenizer) continue;
        buffer_add_format(out, "%s{", separator);
        add_text(out, "name", files[i].name);
        buffer_add_format(out, ", \"nbytes\": %llu, \"sha256\": \"%s\"}",
                          (unsigned long long)files[i].nbytes, files[i].sha256);
        separator = ", ";
    }
    buffer_add_text(out, "]}");
}

static void add_labels(const struct model *model, struct buffer *out) {
    static const char *const sources[] = {[LABELS_FROM_CONFIG] = "id2label",
                                          [LABELS_FROM_DIR] = "labels.txt",
                                          [LABELS_FROM_FILE] = "--labels",
                                          [LABELS_NUMBERED] = "none"};
    buffer_add_text(out, ", \"labels\": [");
    for (int32_t k = 0; k < model->config.n_labels; k++) {
        buffer_add_text(out, k > 0 ? ", " : "");
        buffer_add_json_string(out, span_text(model->labels[k]));
    }
    buffer_add_text(out, "], ");
    add_text(out, "labels_from", sources[model->label_source]);
}

// On a signal's way out nobody waits for hashes.
static void add_model(struct job *job, const struct observed_end *end, struct buffer *out) {
    const struct model *model = job->engine.model;
    struct provenance provenance = {.model_sha256 = ""};
    const struct provenance_file *files = NULL;
    size_t n = 0;
    if (model == NULL) {
        buffer_add_text(out, ",\n  \"model\": null,\n  \"tokenizer\": null");
        return;
    }
    const bool wait = end->ended && end->status != STATUS_AGAIN;
    if (job->provenance != NULL && (wait || provenance_is_ready(job->provenance)) &&
        provenance_wait(job->provenance, &provenance, NULL) == STATUS_OK) {
        files = provenance_files(job->provenance, &n);
    }
    buffer_add_text(out, ",\n  \"model\": {");
    add_text(out, "directory", job->options->model);
    buffer_add_text(out, ", ");
    add_text(out, "weights", model->weights_name);
    add_labels(model, out);
    buffer_add_text(out, ", ");
    add_text(out, "sha256", provenance.model_sha256);
    add_files(files, n, false, out);
    buffer_add_text(out, ",\n  \"tokenizer\": {");
    add_text(out, "sha256", provenance.tokenizer_sha256);
    add_files(files, n, true, out);
}

static void add_options(const struct options *options, struct buffer *out) {
    buffer_add_text(out, ",\n  \"options\": ");
    options_add_json(options, out);
    buffer_add_text(out, ",\n  \"arguments\": [");
    for (int i = 0; i < options->n_inputs; i++) {
        buffer_add_text(out, i > 0 ? ", " : "");
        buffer_add_json_string(out, span_text(options->inputs[i]));
    }
    buffer_add_text(out, "]");
}

static void add_rows(const struct totals *totals, double seconds, struct buffer *out) {
    const uint64_t bad = totals_bad(totals), abstained = totals->by_status[RECORD_ABSTAIN];
    const struct {
        const char *key;
        uint64_t n;
    } counts[] = {{"in", totals->read},
                  {"out", totals->records},
                  {"labelled", totals->records - bad - abstained},
                  {"truncated", totals->by_status[RECORD_TRUNCATED]},
                  {"abstained", abstained},
                  {"ill_formed_utf8", totals->ill_formed_utf8},
                  {"bad", bad}};
    buffer_add_text(out, ",\n  \"rows\": {");
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        add_count(out, counts[i].key, counts[i].n);
        buffer_add_text(out, ", ");
    }
    const char *separator = "";
    buffer_add_text(out, "\"bad_by_kind\": {");
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        if (!record_is_bad((enum record_status)s)) continue;
        buffer_add_text(out, separator);
        add_count(out, record_status_name((enum record_status)s), totals->by_status[s]);
        separator = ", ";
    }
    buffer_add_text(out, "}},\n  ");
    add_count(out, "tokens", totals->tokens);
    buffer_add_text(out, ",\n  ");
    add_count(out, "unknown_tokens", totals->unknown_tokens);
    buffer_add_format(out,
                      ",\n  \"stages\": {\"read_seconds\": %.3f, \"tokenize_seconds\": %.3f, "
                      "\"encode_seconds\": %.3f, \"write_seconds\": %.3f},\n  \"titles_per_s\": ",
                      totals->seconds.read, totals->seconds.tokenize, totals->seconds.encode,
                      totals->seconds.write);
    if (seconds > 0.0) {
        buffer_add_format(out, "%.1f", (double)(totals->records - bad) / seconds);
    } else {
        buffer_add_text(out, "null");
    }
}

// Where logits came from, and what became of the previous run's rows.
static void add_reuse(const struct job *job, const struct totals *totals, struct buffer *out) {
    const struct reuse *reuse = &totals->reuse;
    const uint64_t encoded = totals_encoded(totals), others = encoded + reuse->shared;
    uint64_t removed;
    buffer_add_text(out, ",\n  ");
    add_count(out, "encoded", encoded);
    buffer_add_text(out, ", ");
    add_count(out, "identical", reuse->shared);
    buffer_add_text(out, ",\n  \"previous\": ");
    if (job->previous == NULL) {
        buffer_add_text(out, "null");
        return;
    }
    buffer_add_format(out,
                      "{\"rows\": %llu, \"reused\": %llu, \"changed\": %llu, \"new\": %llu, "
                      "\"removed\": ",
                      (unsigned long long)score_set_rows(job->previous),
                      (unsigned long long)reuse->reused, (unsigned long long)reuse->changed,
                      (unsigned long long)(others - reuse->changed));
    if (previous_removed(job, &removed)) {
        buffer_add_format(out, "%llu}", (unsigned long long)removed);
    } else {
        buffer_add_text(out, "null}");
    }
}

static const char *const state_names[ITEM_STATES] = {
    [ITEM_NOT_BEGUN] = "not_begun", [ITEM_DONE] = "done",     [ITEM_ALREADY_DONE] = "already_done",
    [ITEM_STOPPED] = "stopped",     [ITEM_FAILED] = "failed",
};

static void add_outputs(const struct observer *observer, struct buffer *out) {
    buffer_add_text(out, ",\n  \"outputs\": {");
    add_count(out, "planned", observer->n_items);
    for (int s = 0; s < ITEM_STATES; s++) {
        buffer_add_text(out, ", ");
        add_count(out, state_names[s], observer->by_state[s]);
    }
    buffer_add_text(out, "},\n  \"files\": [");
}

static void add_record(const char *output, struct buffer *out) {
    struct commit_record record;
    bool is_there = false;
    const enum status status = commit_record_read(output, &record, &is_there, NULL);
    buffer_add_text(out, ", \"record\": ");
    if (status == STATUS_OK && is_there) {
        size_t len = record.text.len;
        while (len > 0 && record.text.bytes[len - 1] == '\n') len--;
        buffer_add(out, record.text.bytes, len);
    } else {
        buffer_add_text(out, "null");
    }
    commit_record_free(&record);
}

static void add_item(const struct job *job, size_t i, struct buffer *out) {
    const struct observer *observer = &job->observer;
    const struct plan_item *item = &job->plan.items[i];
    const struct observed_item *seen = &observer->items[i];
    const bool is_file = strcmp(item->output, "-") != 0;
    const bool is_done = seen->state == ITEM_DONE || seen->state == ITEM_ALREADY_DONE;
    buffer_add_text(out, i > 0 ? ",\n    {" : "\n    {");
    add_text(out, "input", item->input);
    buffer_add_text(out, ", ");
    add_text(out, "output", is_file ? item->output : NULL);
    buffer_add_format(out, ", \"state\": \"%s\", \"exit_code\": ", state_names[seen->state]);
    if (seen->state == ITEM_NOT_BEGUN) {
        buffer_add_text(out, "null, ");
    } else {
        buffer_add_format(out, "%d, ", (int)seen->status);
    }
    add_error(out, seen->error, &seen->place);
    if (is_file && (is_done || seen->status == STATUS_ROWS)) {
        add_record(item->output, out);
    } else if (is_file) {
        buffer_add_text(out, ", \"record\": null");
    } else if (observer->stream.known) {
        const struct observed_stream *stream = &observer->stream;
        buffer_add_format(out,
                          ", \"stream\": {\"input_nbytes\": %llu, \"input_sha256\": \"%s\", "
                          "\"output_nbytes\": %llu, \"output_sha256\": \"%s\"}",
                          (unsigned long long)stream->input_nbytes, stream->input_sha256,
                          (unsigned long long)stream->output_nbytes, stream->output_sha256);
    } else {
        buffer_add_text(out, ", \"stream\": null");
    }
    buffer_add_text(out, "}");
}

// Hands on what was made so far: there may be a hundred thousand files to tell of.
static enum status put(struct output *file, struct buffer *text, struct error *error) {
    enum status status = buffer_check(text, error);
    if (status == STATUS_OK) status = output_write(file, text->bytes, text->len, error);
    buffer_clear(text);
    return status;
}

enum status run_report_write(struct job *job, const struct observed_end *end, struct error *error) {
    const struct observer *observer = &job->observer;
    struct buffer text = {0};
    struct totals totals = observer->behind;
    struct output *file = NULL;
    totals_add(&totals, &observer->current);
    buffer_add_text(&text, RUN_REPORT_OPENING);
    add_end(job, end, &text);
    add_machine(&text);
    add_device(&job->engine, &text);
    add_model(job, end, &text);
    add_options(job->options, &text);
    add_rows(&totals, now_seconds() - observer->clock, &text);
    add_reuse(job, &totals, &text);
    add_outputs(observer, &text);
    enum status status = output_open(observer->report, &file, error);
    if (status == STATUS_OK) status = put(file, &text, error);
    for (size_t i = 0; observer->items != NULL && i < observer->n_items; i++) {
        if (status != STATUS_OK) break;
        add_item(job, i, &text);
        status = put(file, &text, error);
    }
    buffer_add_text(&text, observer->n_items > 0 ? "\n  ]\n}\n" : "]\n}\n");
    if (status == STATUS_OK) status = put(file, &text, error);
    if (status == STATUS_OK) status = output_commit(file, error);
    output_close(file);
    buffer_free(&text);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/cli/run_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/build_info.h"
#include "host/cli/label_run.h"
#include "host/stream/output.h"

static const char success_name[] = "wader_run_last_success_timestamp_seconds";

// Where the series go, and their first label.
struct text {
    struct buffer *out;
    struct span run;
};

static void begin(const struct text *text, const char *name, const char *type, const char *help) {
    buffer_add_format(text->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_quoted(struct buffer *out, struct span value) {
    struct buffer clean = {0};
    buffer_add_utf8(&clean, value);
    for (size_t i = 0; i < clean.len && !clean.failed; i++) {
        const char c = clean.bytes[i];
        if (c == '\\' || c == '"') buffer_add(out, "\\", 1);
        if (c == '\n') {
            buffer_add_text(out, "\\n");
        } else {
            buffer_add(out, &c, 1);
        }
    }
    out->failed |= clean.failed;
    buffer_free(&clean);
}

static void begin_series(const struct text *text, const char *name) {
    buffer_add_format(text->out, "%s{run=\"", name);
    add_quoted(text->out, text->run);
    buffer_add_text(text->out, "\"");
}

static void add_label(const struct text *text, const char *label, const char *value) {
    buffer_add_format(text->out, ",%s=\"", label);
    add_quoted(text->out, span_text(value));
    buffer_add_text(text->out, "\"");
}

static void end_with_count(const struct text *text, uint64_t value) {
    buffer_add_format(text->out, "} %llu\n", (unsigned long long)value);
}

static void end_with_number(const struct text *text, double value) {
    buffer_add_format(text->out, "} %.3f\n", value);
}

static void add_count(const struct text *text, const char *name, const char *type, const char *help,
                      uint64_t value) {
    begin(text, name, type, help);
    begin_series(text, name);
    end_with_count(text, value);
}

static void add_number(const struct text *text, const char *name, const char *help, double value) {
    begin(text, name, "gauge", help);
    begin_series(text, name);
    end_with_number(text, value);
}

static void add_info(const struct text *text, const struct metrics_facts *facts) {
    begin(text, "wader_build_info", "gauge", "The program: always 1.");
    begin_series(text, "wader_build_info");
    add_label(text, "version", WADER_VERSION);
    add_label(text, "commit", build_commit());
    end_with_count(text, 1);
    begin(text, "wader_run_info", "gauge", "What runs, and on what: always 1.");
    begin_series(text, "wader_run_info");
    add_label(text, "command", facts->command);
    add_label(text, "device", facts->device != NULL ? facts->device : "");
    add_label(text, "precision", facts->precision != NULL ? facts->precision : "");
    end_with_count(text, 1);
}

static void add_run(const struct text *text, const struct metrics_facts *facts) {
    add_count(text, "wader_run_active", "gauge", "1 while the run goes on, 0 once it has ended.",
              facts->ended ? 0 : 1);
    add_number(text, "wader_run_start_timestamp_seconds", "When the run began.", facts->started);
    add_number(text, "wader_run_update_timestamp_seconds", "When this file was written.",
               facts->now);
    add_number(text, "wader_run_duration_seconds", "How long the run has taken so far.",
               facts->seconds);
    if (facts->ended) {
        add_count(text, "wader_run_exit_code", "gauge",
                  "With what the run ended: 0 is success, 75 asks for another run.",
                  (uint64_t)facts->exit_code);
    }
    const bool success = facts->ended && facts->exit_code == 0;
    const double last = success ? facts->now : facts->last_success;
    if (last > 0.0) {
        add_number(text, success_name, "When a run with this file last ended with 0.", last);
    }
}

static void add_rows(const struct text *text, const struct totals *totals) {
    static const char rows[] = "wader_rows_total", stage[] = "wader_stage_seconds_total";
    static const char titles[] = "wader_titles_total";
    const struct {
        const char *name;
        uint64_t n;
    } sources[] = {{"encoded", totals_encoded(totals)},
                   {"identical", totals->reuse.shared},
                   {"previous", totals->reuse.reused}};
    add_count(text, "wader_records_read_total", "counter", "Records that came in.", totals->read);
    begin(text, rows, "counter", "Rows, by what became of their records; ok is a label.");
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        const char *name = record_status_name((enum record_status)s);
        begin_series(text, rows);
        add_label(text, "status", *name != '\0' ? name : "ok");
        end_with_count(text, totals->by_status[s]);
    }
    begin(text, titles, "counter", "Titles, by where their logits came from.");
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        begin_series(text, titles);
        add_label(text, "logits", sources[i].name);
        end_with_count(text, sources[i].n);
    }
    add_count(text, "wader_tokens_total", "counter", "Tokens of titles that were labelled.",
              totals->tokens);
    add_count(text, "wader_unknown_tokens_total", "counter", "Of these, [UNK].",
              totals->unknown_tokens);
    add_count(text, "wader_ill_formed_titles_total", "counter",
              "Titles with bytes that are no UTF-8.", totals->ill_formed_utf8);
    const struct {
        const char *name;
        double seconds;
    } stages[] = {{"read", totals->seconds.read},
                  {"tokenize", totals->seconds.tokenize},
                  {"encode", totals->seconds.encode},
                  {"write", totals->seconds.write}};
    begin(text, stage, "counter", "Work of each stage, over all threads.");
    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        begin_series(text, stage);
        add_label(text, "stage", stages[i].name);
        end_with_number(text, stages[i].seconds);
    }
}

void metrics_add_text(struct buffer *out, const struct metrics_facts *facts) {
    static const char outputs[] = "wader_outputs";
    static const char *const states[ITEM_STATES] = {[ITEM_NOT_BEGUN] = "not_begun",
                                                    [ITEM_DONE] = "done",
                                                    [ITEM_ALREADY_DONE] = "already_done",
                                                    [ITEM_STOPPED] = "stopped",
                                                    [ITEM_FAILED] = "failed"};
    struct text text = {.out = out, .run = span_text(path_base(facts->path))};
    if (span_ends_in(text.run, ".prom")) text.run.len -= strlen(".prom");
    add_info(&text, facts);
    add_run(&text, facts);
    begin(&text, outputs, "gauge", "Outputs of the run, by how they stand.");
    for (int s = 0; s < ITEM_STATES; s++) {
        begin_series(&text, outputs);
        add_label(&text, "state", states[s]);
        end_with_count(&text, facts->by_state[s]);
    }
    add_count(&text, "wader_input_bytes", "gauge",
              "Of the input files that there is work for, as they are on disk; 0 where unknown.",
              facts->total_nbytes);
    add_count(&text, "wader_input_read_bytes_total", "counter",
              "Of input files as they are on disk, read up to the last row.", facts->read_nbytes);
    add_rows(&text, facts->totals);
}

double metrics_last_success(struct span text) {
    const char *end = text.ptr + text.len;
    for (const char *line = text.ptr; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (next == NULL) break;  // cut
        const size_t len = (size_t)(next - line);
        if (len > sizeof success_name && memcmp(line, success_name, sizeof success_name - 1) == 0 &&
            line[sizeof success_name - 1] == '{') {
            char number[32];
            const char *space = next;
            while (space > line && space[-1] != ' ') space--;
            const size_t n = (size_t)(next - space);
            if (n == 0 || n >= sizeof number) return 0.0;
            memcpy(number, space, n);
            number[n] = '\0';
            char *behind;
            const double value = strtod(number, &behind);
            return *behind == '\0' && value > 0.0 && value < 1e11 ? value : 0.0;
        }
        line = next + 1;
    }
    return 0.0;
}

enum status run_metrics_write(struct job *job, const struct observed_end *end,
                              struct error *error) {
    struct observer *observer = &job->observer;
    struct totals totals = observer->behind;
    struct timespec now = {0};
    struct buffer text = {0};
    struct output *file = NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    totals_add(&totals, &observer->current);
    const struct metrics_facts facts = {
        .path = observer->metrics,
        .command = job->options->command == COMMAND_RETRY ? "retry" : "label",
        .device = job->engine.device,
        .precision = job->engine.precision,
        .totals = &totals,
        .read_nbytes = observer->behind_nbytes + observer->current_nbytes,
        .total_nbytes = job->progress.total_nbytes,
        .by_state = observer->by_state,
        .started = (double)observer->started,
        .now = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec,
        .seconds = now_seconds() - observer->clock,
        .last_success = observer->last_success,
        .ended = end->ended,
        .exit_code = (int)end->status,
    };
    metrics_add_text(&text, &facts);
    enum status status = buffer_check(&text, error);
    if (status == STATUS_OK) status = output_open(observer->metrics, &file, error);
    if (status == STATUS_OK) status = output_write(file, text.bytes, text.len, error);
    if (status == STATUS_OK) status = output_commit(file, error);
    output_close(file);
    buffer_free(&text);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// `wader diff`: what changed between two runs' outputs, and whether that is too much.
#include <string.h>
#include <sys/stat.h>

#include "host/cli/commands.h"
#include "host/cli/diff_report.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/stream/output.h"

struct diff_command {
    const struct options *options;
    struct output *html;
    struct diff diff;
    struct diff_gate gates[OPTIONS_LIST_MAX];
    struct diff_verdict verdicts[OPTIONS_LIST_MAX];
};

// ---- before anything is read

static enum status parse_gates(struct diff_command *command, struct error *error) {
    const struct text_list *list = &command->options->fail_on;
    enum status status = STATUS_OK;
    for (int i = 0; i < list->n && status == STATUS_OK; i++) {
        status = diff_gate_parse(span_text(list->items[i]), &command->gates[i], error);
    }
    return status;
}

static bool is_same_file(const struct stat *a, const char *path) {
    struct stat b;
    return stat(path, &b) == 0 && a->st_ino == b.st_ino && a->st_dev == b.st_dev;
}

// What is compared is never replaced, --force or not.
static enum status open_html(struct diff_command *command, struct error *error) {
    const struct options *options = command->options;
    struct stat there;
    if (options->html == NULL) return STATUS_OK;
    if (strcmp(options->html, "-") == 0) {
        return error_set(error, STATUS_USAGE, "--html -: stdout has the figures; give a file");
    }
    if (stat(options->html, &there) == 0) {
        for (int side = 0; side < DIFF_SIDES; side++) {
            for (size_t i = 0; i < command->diff.sides[side].n_files; i++) {
                if (!is_same_file(&there, command->diff.sides[side].files[i])) continue;
                return error_set(error, STATUS_USAGE, "--html %s is one of the outputs compared",
                                 options->html);
            }
        }
        if (!S_ISREG(there.st_mode)) {
            return error_set(error, STATUS_USAGE, "--html %s: it is not a regular file",
                             options->html);
        }
        if (!options->force) {
            return error_set(error, STATUS_USAGE,
                             "%s exists; move it away, or replace it with --force", options->html);
        }
    }
    return output_open(options->html, &command->html, error);
}

// ---- what comes out

static enum status write_to(struct output *output, const struct buffer *text, struct error *error) {
    enum status status = buffer_check(text, error);
    if (status == STATUS_OK) status = output_write(output, text->bytes, text->len, error);
    return status == STATUS_OK ? output_commit(output, error) : status;
}

static enum status print(struct diff_command *command, const struct diff_report *report,
                         struct error *error) {
    struct buffer text = {0};
    struct output *output = NULL;
    enum status status = STATUS_OK;
    if (command->html != NULL) {
        diff_print_html(report, &text);
        status = write_to(command->html, &text, error);
        buffer_clear(&text);
    }
    if (command->options->json) {
        diff_print_json(report, &text);
    } else {
        diff_print_text(report, &text);
    }
    if (status == STATUS_OK) status = output_open("-", &output, error);
    if (status == STATUS_OK) status = write_to(output, &text, error);
    output_close(output);
    buffer_free(&text);
    if (status == STATUS_OK && command->html != NULL && !command->options->quiet) {
        report_note("drawn in %s", command->options->html);
    }
    return status;
}

// Every gate that tripped, by name.
static enum status check_gates(const struct diff_report *report, struct error *error) {
    struct buffer text = {0};
    int n = 0;
    for (int i = 0; i < report->n_gates; i++) {
        if (!report->verdicts[i].tripped) continue;
        buffer_add_format(&text, "%s%s (", n++ > 0 ? ", " : "", report->gates[i].text);
        diff_describe_gate(&report->gates[i], &report->verdicts[i], &text);
        buffer_add_text(&text, ")");
    }
    enum status status = buffer_check(&text, error);
    if (status == STATUS_OK && n > 0) {
        status = error_set(error, STATUS_DRIFT, "%d of %d gates tripped: %.*s", n, report->n_gates,
                           (int)text.len, text.bytes);
    }
    buffer_free(&text);
    return status;
}

static enum status report_all(struct diff_command *command, struct error *error) {
    struct diff_report report = {
        .diff = &command->diff,
        .gates = command->gates,
        .verdicts = command->verdicts,
        .n_gates = command->options->fail_on.n,
    };
    enum status status = diff_measure(&command->diff.counts, &report.measures, error);
    for (int i = 0; i < report.n_gates && status == STATUS_OK; i++) {
        command->verdicts[i] =
            diff_gate_judge(&command->gates[i], &command->diff.counts, &report.measures);
    }
    if (status == STATUS_OK) status = print(command, &report, error);
    if (status == STATUS_OK) status = check_gates(&report, error);
    diff_measures_free(&report.measures);
    return status;
}

static void show(void *context, uint64_t done_nbytes, uint64_t total_nbytes) {
    progress_show_bytes(context, "comparing", done_nbytes, total_nbytes > 0 ? total_nbytes : 1);
}

static enum status compare(struct diff_command *command, struct error *error) {
    struct progress progress;
    struct diff_watcher watcher = {.stop = stop_asked, .context = &progress};
    progress_start(&progress, (enum progress_mode)command->options->progress);
    if (!command->options->quiet) watcher.show = show;
    return diff_run(&command->diff, &watcher, error);
}

static enum status run(struct diff_command *command, struct error *error) {
    const struct options *options = command->options;
    if (options->n_inputs != DIFF_SIDES) {
        return error_set(error, STATUS_USAGE,
                         "give two outputs of wader label, or two directories of them: OLD NEW");
    }
    enum status status = parse_gates(command, error);
    if (status == STATUS_OK) {
        status =
            diff_open(options->inputs[DIFF_OLD], options->inputs[DIFF_NEW], &command->diff, error);
    }
    if (status == STATUS_OK) status = open_html(command, error);
    if (status == STATUS_OK) status = compare(command, error);
    return status == STATUS_OK ? report_all(command, error) : status;
}

enum status command_diff(const struct options *options, struct error *error) {
    struct diff_command command = {.options = options};
    stop_listen();
    const enum status status = run(&command, error);
    diff_free(&command.diff);
    output_close(command.html);
    return status;
}

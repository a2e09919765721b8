// SPDX-License-Identifier: Apache-2.0
//
// `wader eval`: how right a model is on titles whose labels are known.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/commands.h"
#include "host/cli/eval_report.h"
#include "host/cli/eval_run.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"

// ---- what comes out

// Before anything is computed. An input is never replaced, --force or not.
static enum status open_svg(struct eval *eval, struct error *error) {
    const struct options *options = eval->options;
    struct stat there, input;
    if (options->svg == NULL) return STATUS_OK;
    if (strcmp(options->svg, "-") == 0) {
        return error_set(error, STATUS_USAGE, "--svg -: stdout has the figures; give a file");
    }
    if (stat(options->svg, &there) == 0) {
        for (int i = 0; i < options->n_inputs; i++) {
            if (stat(options->inputs[i], &input) != 0 || input.st_ino != there.st_ino ||
                input.st_dev != there.st_dev) {
                continue;
            }
            return error_set(error, STATUS_USAGE, "--svg %s is an input", options->svg);
        }
        if (!options->force) {
            return error_set(error, STATUS_USAGE,
                             "%s exists; move it away, or replace it with --force", options->svg);
        }
    }
    return output_open(options->svg, &eval->svg, error);
}

static enum status write_to(struct output *output, const struct buffer *text, struct error *error) {
    enum status status = buffer_check(text, error);
    if (status == STATUS_OK) status = output_write(output, text->bytes, text->len, error);
    return status == STATUS_OK ? output_commit(output, error) : status;
}

static enum status print(struct eval *eval, const struct eval_report *report, struct error *error) {
    struct buffer text = {0};
    struct output *output = NULL;
    enum status status = STATUS_OK;
    if (eval->svg != NULL) {
        eval_print_svg(report, &text);
        status = write_to(eval->svg, &text, error);
        buffer_clear(&text);
    }
    if (eval->options->json) {
        eval_print_json(report, &text);
    } else {
        eval_print_text(report, &text);
    }
    if (status == STATUS_OK) status = output_open("-", &output, error);
    if (status == STATUS_OK) status = write_to(output, &text, error);
    output_close(output);
    buffer_free(&text);
    return status;
}

static void tell(const struct eval *eval, double seconds) {
    char titles[32], rate[32], ill_formed[32];
    const uint64_t n = eval->evaluation.n_titles;
    report_note("%s titles evaluated in %.1f s (%s titles/s) on %s", with_commas(n, titles),
                seconds, with_commas((uint64_t)((double)n / seconds + 0.5), rate),
                eval->engine.workers);
    if (eval->n_ill_formed > 0) {
        report_note("%s titles held ill-formed UTF-8; those bytes were read as U+FFFD",
                    with_commas(eval->n_ill_formed, ill_formed));
    }
    if (eval->svg != NULL) report_note("drawn in %s", eval->options->svg);
}

static enum status report_all(struct eval *eval, double seconds, struct error *error) {
    struct eval_report report = {
        .model = eval->options->model,
        .names = eval->labels.names,
        .n_truncated = eval->n_truncated,
        .device = eval->engine.device,
        .precision = eval->engine.precision,
    };
    enum status status = evaluation_measure(&eval->evaluation, &report.measures, error);
    if (status == STATUS_OK) status = print(eval, &report, error);
    if (status == STATUS_OK && !eval->options->quiet) tell(eval, seconds);
    measures_free(&report.measures);
    return status;
}

// ---- all of it

static enum status prepare(struct eval *eval, struct error *error) {
    const struct model *model = eval->engine.model;
    const bool multi_label = model->config.problem == PROBLEM_MULTI_LABEL;
    const int32_t n_labels = model->config.n_labels;
    void *memory;
    eval->labels = (struct gold_labels){model->labels, n_labels, multi_label};
    eval->evaluation.model = (struct evaluation_model){
        .n_labels = n_labels,
        .multi_label = multi_label,
        .temperature = (double)model->calibration.temperature,
        .thresholds = model->calibration.thresholds,
    };
    enum status status = alloc_array(&memory, (size_t)n_labels, 1, "a record's labels", error);
    if (status != STATUS_OK) return status;
    eval->members = memory;
    status = alloc_array(&memory, RECORD_NBYTES_MAX, 1, "a label", error);
    if (status == STATUS_OK) eval->scratch = memory;
    return status;
}

static enum status run(struct eval *eval, struct error *error) {
    const struct options *options = eval->options;
    if (options->n_inputs == 0) {
        return error_set(error, STATUS_USAGE, "give a file of titles and labels, or - for stdin");
    }
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < options->n_inputs; i++) {
        status = eval_check_input(options, options->inputs[i], error);
    }
    if (status == STATUS_OK) status = open_svg(eval, error);
    if (status == STATUS_OK) status = engine_open(options, &eval->engine, error);
    if (status == STATUS_OK) status = prepare(eval, error);
    const double begin = now_seconds();
    for (int i = 0; status == STATUS_OK && i < options->n_inputs; i++) {
        status = eval_input(eval, options->inputs[i], error);
    }
    if (status == STATUS_OK) {
        status = model_check_unchanged(eval->engine.model, options->model, error);
    }
    return status == STATUS_OK ? report_all(eval, now_seconds() - begin, error) : status;
}

enum status command_eval(const struct options *options, struct error *error) {
    struct eval eval = {.options = options};
    stop_listen();
    const enum status status = run(&eval, error);
    evaluation_free(&eval.evaluation);
    free(eval.members);
    free(eval.scratch);
    output_close(eval.svg);
    engine_close(&eval.engine);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// The files that one input's rows, and what is beside them, go into.
#include <stdlib.h>
#include <string.h>

#include "host/cli/label_run.h"
#include "host/cli/stop.h"

// Only what can be read and written again from any place can be gone on with. A damaged input is
// labelled as far as a survey of the whole of it says, and a rejects file is replayed, in one go.
static bool may_go_on(const struct job *job, const struct run *run) {
    return strcmp(run->item->output, "-") != 0 && strcmp(run->item->input, "-") != 0 &&
           input_can_be_reopened(run->input) && !job->options->salvage &&
           job->replay == REPLAY_NOTHING;
}

// The names of what is written beside the output.
static enum status name_outputs(const struct job *job, struct run *run, struct error *error) {
    const bool rejects = job->options->on_bad == ON_BAD_REJECT;
    const bool scores = job->options->keep_scores == KEEP_SCORES;
    if (strcmp(run->item->output, "-") == 0) return STATUS_OK;
    if (rejects) run->rejects_path = rejects_path(run->item->output);
    if (scores) run->scores_path = scores_path(run->item->output);
    if ((!rejects || run->rejects_path != NULL) && (!scores || run->scores_path != NULL)) {
        return STATUS_OK;
    }
    return error_set(error, STATUS_IO, "out of memory");
}

enum status open_outputs(struct job *job, struct run *run, struct error *error) {
    const struct plan_item *item = run->item;
    struct output **outputs[CHECKPOINT_OUTPUTS_MAX] = {&run->output};
    struct resume resume = {
        .options = job->options,
        .engine = &job->engine,
        .provenance = job->provenance,
        .input_path = item->input,
        .paths = {item->output},
        .n_outputs = 1,
        .settings = run->formats.settings.bytes,
    };
    enum status status = name_outputs(job, run, error);
    if (run->rejects_path != NULL) {
        outputs[resume.n_outputs] = &run->rejects;
        resume.paths[resume.n_outputs++] = run->rejects_path;
    }
    if (run->scores_path != NULL) {
        outputs[resume.n_outputs] = &run->scores;
        resume.paths[resume.n_outputs++] = run->scores_path;
    }
    if (!may_go_on(job, run)) {
        if (strcmp(item->output, "-") != 0) resume_clear(item->output);
        for (uint32_t i = 0; i < resume.n_outputs && status == STATUS_OK; i++) {
            status = output_open(resume.paths[i], outputs[i], error);
        }
    } else if (status == STATUS_OK) {
        run->resume = resume;
        status = resume_begin(&run->resume, stop_asked, &run->input, error);
        for (uint32_t i = 0; i < resume.n_outputs; i++) *outputs[i] = run->resume.outputs[i];
    }
    if (status != STATUS_OK || run->scores == NULL) return status;
    return score_log_create(run->scores, job->engine.model->config.n_labels, SCORE_RUN_ROWS,
                            &run->score_log, error);
}

void close_outputs(struct run *run) {
    score_log_destroy(run->score_log);
    output_close(run->output);
    output_close(run->rejects);
    output_close(run->scores);
    free(run->rejects_path);
    free(run->scores_path);
}

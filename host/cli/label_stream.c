// SPDX-License-Identifier: Apache-2.0
//
// One input on its way through the pipeline: progress, signals, the journal.
#include <string.h>
#include <unistd.h>

#include "host/cli/commands.h"
#include "host/cli/label_run.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"

// From the first signal on: what the batches in flight may take. Saving comes behind that, and five
// seconds are promised.
#define DRAIN_SECONDS 2.5

enum { POLL_MS = 100 };

void label_leave(struct job *job) {
    observe_stop(job);
    log_line(LOG_INFO, "stopped", NULL,
             "stopped by a signal; outputs finished so far are complete: run the same command "
             "again for the rest");
    _exit(STATUS_AGAIN);
}

// Without waiting for threads, which may be waiting for a pipe.
void label_stop(struct run *run) {
    if (run->output != NULL && !run->resume.saved) output_abandon(run->output);
    if (run->rejects != NULL && !run->resume.saved) output_abandon(run->rejects);
    if (run->scores != NULL && !run->resume.saved) output_abandon(run->scores);
    commit_lock_release(&run->lock);
    label_leave(run->job);
}

// Sees to progress, signals and the journal until the pipeline has ended, or is not worth waiting
// for. A journal that cannot be written ends the run.
static enum status attend(struct job *job, struct run *run, struct pipeline *pipeline,
                          struct totals *totals, struct error *error) {
    const struct totals before = resume_before(&run->resume);
    struct progress *progress = &job->progress;
    const int wait_ms = resume_wait_ms(&run->resume, POLL_MS);
    enum status status = STATUS_OK;
    double asked = 0.0;
    progress_resume(progress, &before);
    while (!pipeline_poll(pipeline, wait_ms, totals)) {
        resume_take(&run->resume, pipeline);
        observe_totals(job, run, totals);
        if (stop_asked() && !run->resume.active) label_stop(run);
        if (stop_asked() && asked == 0.0) {
            asked = now_seconds();
            pipeline_drain(pipeline);
        }
        if (asked > 0.0 && now_seconds() - asked > DRAIN_SECONDS) {
            if (status == STATUS_OK) status = resume_save(&run->resume, true, error);
            if (status != STATUS_OK) report_error(error, status);
            label_stop(run);
        }
        if (status == STATUS_OK) {
            status = resume_save(&run->resume, false, error);
            if (status != STATUS_OK) pipeline_drain(pipeline);
        }
        if (job->options->quiet) continue;
        progress_show(progress, input_name(run->input), totals);
    }
    resume_take(&run->resume, pipeline);
    return status;
}

enum status label_stream(struct job *job, struct run *run, struct totals *totals,
                         struct error *error) {
    const struct options *options = job->options;
    const bool may_be_jsonl = options->input_format == INPUT_AUTO && !options->quiet &&
                              run->formats.record.kind == RECORD_TEXT;
    struct pipeline_config config = {
        .encoder = job->engine.encoder,
        .tokenizer = job->engine.tokenizer,
        .record_format = run->formats.record,
        .row_format = run->formats.row,
        .header = options->header && run->formats.row.kind == ROW_TSV,
        .max_length = job->engine.max_length,
        .n_tokenizers = n_tokenizers(job->engine.n_threads),
        .flush_ms = strcmp(run->item->output, "-") == 0 ? IDLE_MS : -1,
        .record_nbytes_max = (size_t)options->max_record_bytes,
        .replay = job->replay,
        .fail_on_bad = options->on_bad == ON_BAD_FAIL,
        .first_line =
            may_be_jsonl ? text_checker_of(&run->extras.watch) : (struct first_line_reader){0},
        .watcher = record_watcher_of(&run->extras.watch),
        .audit = run->audit,
        .beside = run->rejects,
        .previous = job->previous,
        .shared = job->shared,
        .scores = run->score_log,
    };
    resume_configure(&run->resume, &config);
    struct pipeline *pipeline;
    enum status status = pipeline_start(&config, run->input, run->output, &pipeline, error);
    if (status != STATUS_OK) return status;
    enum status attended = attend(job, run, pipeline, totals, error);
    status = pipeline_finish(pipeline, totals, attended == STATUS_OK ? error : NULL);
    observe_totals(job, run, totals);
    if (attended != STATUS_OK) return attended;
    if (status != STATUS_AGAIN) return status;
    struct error unsaved;
    const enum status saved = resume_save(&run->resume, true, &unsaved);
    if (saved != STATUS_OK) report_error(&unsaved, saved);
    if (stop_asked()) label_stop(run);
    return status;
}

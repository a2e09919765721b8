// SPDX-License-Identifier: Apache-2.0
//
// `wader label`: the job. Each input runs through the pipeline to its output; what is committed,
// and when, is told in host/job/commit.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cli/catalog.h"
#include "host/cli/commands.h"
#include "host/cli/label_audit.h"
#include "host/cli/label_previous.h"
#include "host/cli/label_run.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/job/commit.h"
#include "host/job/plan.h"
#include "host/job/provenance.h"

static enum status check_limit(const struct job *job, const struct run *run,
                               const struct totals *totals, struct error *error) {
    const uint64_t bad = totals_bad(totals);
    if (!bad_limit_exceeded(&job->limit, bad, totals->records)) return STATUS_OK;
    return error_set(error, STATUS_ROWS,
                     "%s: %llu of %llu records are bad, more than --max-bad %s allows%s",
                     input_name(run->input), (unsigned long long)bad,
                     (unsigned long long)totals->records, job->options->max_bad,
                     strcmp(run->item->output, "-") == 0 ? "" : "; no output was committed");
}

// Whether what is done was done under the limits of this command.
static bool is_allowed(const struct job *job, const struct commit_found *found) {
    const struct options *options = job->options;
    return !bad_limit_exceeded(&job->limit, found->bad, found->rows) &&
           (found->bad == 0 || options->on_bad == ON_BAD_ROW ||
            (options->on_bad == ON_BAD_REJECT && found->marks.has_rejects)) &&
           (!found->marks.salvaged || options->salvage) &&
           (!found->marks.trailing || options->trailing != TRAILING_ERROR) &&
           (!options->count_duplicates || found->marks.duplicates_counted);
}

// Looks at what is there. *skip: the output is done already.
static enum status prepare_file(struct job *job, struct run *run, bool *skip, bool *was_salvaged,
                                struct error *error) {
    const struct options *options = job->options;
    struct provenance provenance;
    struct commit_found found;
    enum status status = commit_lock_take(run->item->output, &run->lock, error);
    if (status == STATUS_OK && job->provenance == NULL) {
        status = provenance_start(job->engine.model, options->model, &job->provenance, error);
    }
    if (status != STATUS_OK) return status;
    // What cannot be looked at may be there: commit_look says why.
    run->was_absent = access(run->item->output, F_OK) != 0 && errno == ENOENT;
    if (run->was_absent) return STATUS_OK;
    status = provenance_wait(job->provenance, &provenance, error);
    if (status != STATUS_OK) return status;
    provenance.settings = run->formats.settings.bytes;
    status = commit_look(run->item->output, run->item->input, &provenance, &run->lock, stop_asked,
                         &found, error);
    if (status == STATUS_AGAIN) label_stop(run);
    if (status != STATUS_OK) return status;
    if (found.state == COMMIT_STRANGE && !options->force) {
        return error_set(error, STATUS_USAGE,
                         "%s exists, and wader has no record of it (%s.meta.json); move it away, "
                         "or replace it with --force",
                         run->item->output, run->item->output);
    }
    // One that was done under looser limits is not what this command asks for.
    *skip = found.state == COMMIT_DONE && is_allowed(job, &found) && !options->force;
    *was_salvaged = *skip && found.marks.salvaged;
    if (found.state == COMMIT_OTHER && !options->quiet) {
        report_note(
            strcmp(run->item->input, "-") == 0
                ? "%s is there; stdin cannot be compared with what it was made of: labelling "
                  "anew, replacing it"
                : "%s is of another input, model or settings, or not as its record tells: "
                  "labelling anew, replacing it",
            run->item->output);
    }
    return STATUS_OK;
}

static enum status commit(struct job *job, struct run *run, const struct totals *totals,
                          double seconds, struct error *error) {
    struct commit_facts facts = {
        .output_path = run->item->output,
        .input_path = run->item->input,
        .output = run->output,
        .input = run->input,
        .totals = totals,
        .marks = extras_marks(&run->extras),
        .n_before = resume_before(&run->resume).records,
        .seconds = seconds,
        .scores = run->score_log,
        .has_previous = job->previous != NULL,
        .hardware = job->engine.hardware,
        .was_absent = run->was_absent && !job->options->force,
    };
    struct provenance provenance;
    enum status status = provenance_wait(job->provenance, &provenance, error);
    provenance.settings = run->formats.settings.bytes;
    if (status == STATUS_OK && run->score_log != NULL) {
        status = scores_identity(&job->engine, job->provenance, &facts.made_by, error);
    }
    if (status == STATUS_OK) status = input_check_unchanged(run->input, error);
    if (status == STATUS_OK) {
        status = model_check_unchanged(job->engine.model, job->options->model, error);
    }
    if (status != STATUS_OK) return status;
    return commit_publish(&facts, &provenance, &run->lock, error);
}

// 0 where it is no file: nobody knows how much a pipe will bring.
static uint64_t nbytes_of(const char *input) {
    struct stat info;
    return stat(input, &info) == 0 && S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
}

static void start_progress(struct job *job) {
    uint64_t total = 0;
    for (size_t i = 0; i < job->plan.n_items; i++) total += nbytes_of(job->plan.items[i].input);
    progress_start(&job->progress, (enum progress_mode)job->options->progress);
    job->progress.n_files = job->plan.n_items;
    job->progress.total_nbytes = total;
}

// Opens all that the input's rows and what is beside them need.
static enum status begin_outputs(struct job *job, struct run *run, struct error *error) {
    const struct options *options = job->options;
    enum status status =
        extras_open(options, run->item->input, run->item->output, &run->extras, error);
    if (status == STATUS_OK) status = open_outputs(job, run, error);
    if (status == STATUS_OK) {
        const struct totals before = resume_before(&run->resume);
        status = extras_begin(&run->extras, options, run->input, run->item->input,
                              &run->formats.record, run->rejects, &before, error);
    }
    if (status == STATUS_AGAIN) label_stop(run);
    if (status != STATUS_OK) return status;
    return open_audit(options, &job->engine, &run->formats, input_name(run->input), &run->audit,
                      error);
}

static enum status label_input(struct job *job, struct run *run, double begin,
                               struct error *error) {
    const bool is_file = strcmp(run->item->output, "-") != 0;
    struct totals totals = {0};
    enum status status = begin_outputs(job, run, error);
    if (status == STATUS_OK) status = label_stream(job, run, &totals, error);
    if (status == STATUS_OK && is_file) status = check_limit(job, run, &totals, error);
    if (status == STATUS_OK) status = check_audit(run->audit, &totals, error);
    if (status == STATUS_AGAIN && stop_asked()) label_stop(run);
    if (status == STATUS_OK) {
        status = is_file ? commit(job, run, &totals, now_seconds() - begin, error)
                         : output_commit(run->output, error);
    }
    if (status != STATUS_OK) return status;
    run->totals = totals;
    run->fresh = totals;
    job->n_made++;
    job->n_known += totals.reuse.known;
    const struct totals before = resume_before(&run->resume);
    totals_since(&run->fresh, &before);
    totals_add(&job->totals,
               &run->fresh);  // the summary is of what this run added to what is there
    extras_tell(&run->extras, job->options, &totals);
    return is_file ? STATUS_OK : check_limit(job, run, &totals, error);
}

static enum status run_item(struct job *job, struct run *run, struct error *error) {
    const bool is_file = strcmp(run->item->output, "-") != 0;
    bool skip = false, was_salvaged = false;
    const double begin = now_seconds();
    enum status status =
        item_formats_make(job->options, &job->engine, run->item->input, &run->formats, error);
    if (status == STATUS_OK) status = input_open(run->item->input, &run->input, error);
    if (stop_asked()) label_leave(job);  // between two inputs, or while a FIFO had no writer
    if (status == STATUS_OK && is_file) {
        status = prepare_file(job, run, &skip, &was_salvaged, error);
    }
    if (status == STATUS_OK && skip) resume_clear(run->item->output);
    if (status == STATUS_OK && !skip) status = label_input(job, run, begin, error);
    if (status != STATUS_OK) return status;
    run->is_done = skip;
    if (was_salvaged) {
        return error_set(error, STATUS_ROWS,
                         "%s is done already, of a damaged input: %s.meta.json tells how far",
                         run->item->output, run->item->output);
    }
    if (skip && !job->options->quiet) report_note("%s is done already", run->item->output);
    return extras_result(&run->extras, error);
}

static enum status label_item(struct job *job, const struct plan_item *item, struct error *error) {
    struct run run = {.job = job, .item = item, .lock = {.fd = -1}};
    const double begin = now_seconds();
    enum status status = run_item(job, &run, error);
    progress_pass(&job->progress, nbytes_of(item->input), run.totals.records, !run.is_done);
    if (status == STATUS_OK && !run.is_done && job->plan.n_items > 1 && !job->options->quiet) {
        report_shard(&job->progress, item->output, &run.fresh, now_seconds() - begin);
    }
    observe_item(job, &run, status, error);
    resume_end(&run.resume, status);
    close_outputs(&run);
    audit_destroy(run.audit);
    commit_lock_release(&run.lock);
    input_close(run.input);
    extras_close(&run.extras);
    item_formats_free(&run.formats);
    return status;
}

static void add_what_to_do(struct error *error) {
    struct error reason = *error;
    (void)error_set(error, STATUS_AGAIN,
                    "%s; outputs finished so far are complete: run the same command again for the "
                    "rest",
                    reason.text);
}

// A fault of one input is no reason to leave the others; a fault of ours, the disk's or the
// device's is, and gives the exit code. Otherwise that is the first fault's.
static enum status label_all(struct job *job, struct error *error) {
    enum status first = STATUS_OK;
    size_t n_failed = 0;
    start_progress(job);
    for (size_t i = 0; i < job->plan.n_items; i++) {
        enum status status = label_item(job, &job->plan.items[i], error);
        if (status == STATUS_OK) continue;
        n_failed++;
        if (first == STATUS_OK) first = status;
        const bool others_can = status == STATUS_INPUT || status == STATUS_ROWS ||
                                status == STATUS_LOCKED || status == STATUS_USAGE;
        if (status == STATUS_AGAIN) add_what_to_do(error);
        if (!others_can || job->plan.n_items == 1) return status;
        report_error(error, status);
    }
    if (n_failed == 0) return STATUS_OK;
    return error_set(error, first,
                     "%zu of %zu inputs failed; the outputs of the others are complete", n_failed,
                     job->plan.n_items);
}

static enum status make_plan(struct job *job, struct error *error) {
    const struct options *options = job->options;
    struct plan_request request = {
        .inputs = options->inputs,
        .n_inputs = options->n_inputs,
        .output = options->output,
        .tsv = output_is_tsv(options),
    };
    if (options->n_inputs == 0 && isatty(STDIN_FILENO)) {
        return error_set(error, STATUS_USAGE, "give an INPUT, or - to type titles");
    }
    enum status status = bad_limit_parse(options->max_bad, &job->limit, error);
    if (status == STATUS_OK) status = check_record_bytes(options, error);
    if (status == STATUS_OK) status = catalog_shard(options, &request.shard, error);
    if (status == STATUS_OK) status = plan_create(&request, &job->plan, error);
    if (status == STATUS_OK && options->on_bad == ON_BAD_REJECT && job->plan.n_items > 0 &&
        strcmp(job->plan.items[0].output, "-") == 0) {
        return error_set(error, STATUS_USAGE,
                         "--on-bad reject writes a file beside the output, and stdout has no "
                         "beside: give -o OUT");
    }
    if (status == STATUS_OK && job->plan.n_items == 0 && !options->quiet) {
        report_note("share %d of %d is empty: there are %zu inputs; nothing to do",
                    request.shard.index, request.shard.n, job->plan.n_all);
    }
    return status;
}

enum status command_label(const struct options *options, struct error *error) {
    return label_inputs(options, REPLAY_NOTHING, error);
}

// What titles may take their logits from, besides the encoder.
static enum status open_sources(struct job *job, struct error *error) {
    const struct options *options = job->options;
    struct score_identity identity;
    enum status status = shared_titles_create(job->engine.model->config.n_labels,
                                              SHARED_TITLES_NBYTES, &job->shared, error);
    if (status != STATUS_OK || options->previous == NULL) return status;
    status = provenance_start(job->engine.model, options->model, &job->provenance, error);
    if (status == STATUS_OK) {
        status = scores_identity(&job->engine, job->provenance, &identity, error);
    }
    return status == STATUS_OK ? open_previous(options, &identity, &job->previous, error) : status;
}

static void tell_summary(const struct job *job, double seconds) {
    report_summary(&job->totals, seconds, job->engine.workers, job->options->output);
    tell_reuse(job);
}

enum status label_inputs(const struct options *options, enum replay_what replay,
                         struct error *error) {
    struct job job = {.options = options, .replay = replay};
    const double begin = now_seconds();
    stop_listen();
    enum status status = observe_begin(&job, error);
    if (status == STATUS_OK) status = make_plan(&job, error);
    if (status == STATUS_OK) status = observe_plan(&job, error);
    const bool is_empty = job.plan.n_items == 0;
    if (status == STATUS_OK && !is_empty) status = engine_open(options, &job.engine, error);
    if (status == STATUS_OK && !is_empty) status = open_reference(options, &job.engine, error);
    if (status == STATUS_OK && !is_empty) status = open_sources(&job, error);
    if (status == STATUS_OK) status = label_all(&job, error);
    if (!options->quiet && job.totals.records > 0 && status != STATUS_PIPE) {
        tell_summary(&job, now_seconds() - begin);
    }
    status = observe_end(&job, status, error);
    score_set_destroy(job.previous);
    shared_titles_destroy(job.shared);
    provenance_finish(job.provenance);
    engine_close(&job.engine);
    plan_free(&job.plan);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/cli/label_previous.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/label_resume.h"
#include "host/cli/report.h"
#include "host/job/commit_record.h"
#include "host/job/inputs.h"
#include "host/job/kept_scores.h"
#include "host/job/survey.h"

enum { WARNINGS_SHOWN = 3 };

enum status scores_identity(const struct engine *engine, struct provenance_task *provenance,
                            struct score_identity *identity, struct error *error) {
    struct provenance hashes;
    struct buffer program = {0};
    char sha256[SHA256_HEX_LEN + 1];
    *identity = (struct score_identity){.max_length = engine->max_length,
                                        .n_labels = engine->model->config.n_labels};
    enum status status = provenance_wait(provenance, &hashes, error);
    if (status != STATUS_OK) return status;
    status = describe_program(engine, &program, error);
    if (status == STATUS_OK) status = buffer_check(&program, error);
    if (status == STATUS_OK) status = sha256_of(program.bytes, program.len, sha256, error);
    buffer_free(&program);
    if (status != STATUS_OK) return status;
    memcpy(identity->program, sha256, sizeof identity->program);
    memcpy(identity->model, hashes.model_sha256, sizeof identity->model);
    memcpy(identity->tokenizer, hashes.tokenizer_sha256, sizeof identity->tokenizer);
    snprintf(identity->precision, sizeof identity->precision, "%s", engine->precision);
    snprintf(identity->device, sizeof identity->device, "%s", engine->device);
    return STATUS_OK;
}

// ---- opening

struct opening {
    const struct options *options;
    struct score_set *set;
    size_t n_finished, n_unfinished, n_used, n_warned;
};

static void warn(struct opening *opening, const char *output, const char *why) {
    if (opening->n_warned++ >= WARNINGS_SHOWN || opening->options->quiet) return;
    report_warning("--previous: %s: %s; nothing of it is reused", output, why);
}

// What the system does not give now, it may give the next time: that costs less than computing all.
static enum status failed(const struct error *fault, struct error *error) {
    return error_set(error, STATUS_IO,
                     "--previous: %s; run the same command again, or without --previous",
                     fault->text);
}

// The scores of an output whose record is there.
static enum status add_scores(struct opening *opening, const char *output,
                              const struct commit_record *record, struct error *error) {
    char *path = scores_path(output);
    struct error fault = {""};
    if (path == NULL) return error_set(error, STATUS_IO, "out of memory");
    enum status status = score_set_add(opening->set, path, record->sha256, &fault);
    free(path);
    opening->n_used += status == STATUS_OK;
    if (status != STATUS_ROWS) return status == STATUS_OK ? status : failed(&fault, error);
    warn(opening, output, fault.text);
    return STATUS_OK;
}

// One output. STATUS_IO; whatever is wrong with what can be read is a warning.
static enum status add_output(struct opening *opening, const char *output, struct error *error) {
    struct commit_record record;
    struct error fault = {""};
    bool is_there;
    enum status status = commit_record_read(output, &record, &is_there, &fault);
    opening->n_finished += is_there;
    opening->n_unfinished += !is_there;
    if (status == STATUS_OK && is_there) {
        status = add_scores(opening, output, &record, error);
    } else if (status == STATUS_ROWS) {
        warn(opening, output, fault.text);
        status = STATUS_OK;
    } else if (status != STATUS_OK) {
        const struct error reason = fault;
        (void)error_set(&fault, status, "%s: %s", output, reason.text);
        status = failed(&fault, error);
    }
    commit_record_free(&record);
    return status;
}

static enum status add_directory(struct opening *opening, const char *directory,
                                 struct error *error) {
    char **paths;
    size_t n;
    enum status status = survey_directory(directory, &paths, &n, error);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = add_output(opening, paths[i], error);
    }
    survey_paths_free(paths, n);
    return status;
}

static void tell_opened(const struct opening *opening, const char *path) {
    char rows[32];
    if (opening->options->quiet) return;
    if (opening->n_warned > WARNINGS_SHOWN) {
        report_warning("--previous: the same or the like of %zu more outputs",
                       opening->n_warned - WARNINGS_SHOWN);
    }
    if (opening->n_unfinished > 0) {
        report_note("--previous: %zu outputs in %s have no commit record, and are left aside",
                    opening->n_unfinished, path);
    }
    if (opening->n_used == 0) {
        report_warning("--previous %s: nothing in it can be reused: every title is computed", path);
        return;
    }
    report_note("--previous: the scores of %s rows in %zu outputs may be reused",
                with_commas(score_set_rows(opening->set), rows), opening->n_used);
}

enum status open_previous(const struct options *options, const struct score_identity *wanted,
                          struct score_set **out, struct error *error) {
    struct opening opening = {.options = options};
    const char *path = options->previous;
    *out = NULL;
    if (path == NULL) return STATUS_OK;
    if (access(path, F_OK) != 0) {
        return error_set(error, errno == ENOENT ? STATUS_USAGE : STATUS_IO, "--previous %s: %s",
                         path, strerror(errno));
    }
    enum status status = score_set_create(wanted, &opening.set, error);
    if (status != STATUS_OK) return status;
    status = is_directory(path) ? add_directory(&opening, path, error)
                                : add_output(&opening, path, error);
    if (status == STATUS_OK && opening.n_finished == 0) {
        status = error_set(error, STATUS_USAGE,
                           "--previous %s: there is no finished output of label in it; give last "
                           "run's output, a file or a directory, with its commit records",
                           path);
    }
    if (status != STATUS_OK) {
        score_set_destroy(opening.set);
        return status;
    }
    tell_opened(&opening, path);
    *out = opening.set;
    return STATUS_OK;
}

// ---- behind a run

bool previous_removed(const struct job *job, uint64_t *n_removed) {
    if (job->previous == NULL || job->n_made != job->plan.n_all) return false;
    const uint64_t n_rows = score_set_rows(job->previous);
    *n_removed = n_rows > job->n_known ? n_rows - job->n_known : 0;
    return true;
}

void tell_reuse(const struct job *job) {
    const struct reuse *reuse = &job->totals.reuse;
    const uint64_t encoded = totals_encoded(&job->totals);
    uint64_t removed;
    char count[6][32], gone[48] = "";
    if (job->previous == NULL && reuse->shared == 0) return;
    with_commas(encoded, count[0]);
    with_commas(reuse->shared, count[1]);
    if (job->previous == NULL) {
        report_note("%s titles encoded, %s identical to one before", count[0], count[1]);
        return;
    }
    if (previous_removed(job, &removed)) {
        snprintf(gone, sizeof gone, ", %s removed", with_commas(removed, count[2]));
    }
    report_note("%s titles encoded, %s identical to one before; since the previous run: %s reused, "
                "%s changed, %s new%s",
                count[0], count[1], with_commas(reuse->reused, count[3]),
                with_commas(reuse->changed, count[4]),
                with_commas(encoded + reuse->shared - reuse->changed, count[5]), gone);
    const uint64_t n_damaged = score_set_damaged(job->previous);
    if (n_damaged == 0) return;
    report_warning("--previous: %s of its rows are damaged, and were computed again: check the "
                   "disk they are on",
                   with_commas(n_damaged, count[0]));
}

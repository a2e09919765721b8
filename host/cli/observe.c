// SPDX-License-Identifier: Apache-2.0
#include "host/cli/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cli/label_run.h"
#include "host/cli/run_metrics.h"
#include "host/cli/run_report.h"
#include "host/stream/rejects.h"

// How often the metrics are written anew while a run goes on.
#define METRICS_SECONDS 5.0

enum { METRICS_NBYTES_MAX = 1 << 16 };  // what is read of an earlier file: they have 5 KB

// What is there already must be what an earlier run wrote: anything else was named by mistake.
// Reads the beginning of it into `text`.
static enum status look(const char *flag, const char *path, const char *opening,
                        struct buffer *text, struct error *error) {
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return STATUS_OK;
    if (fd < 0) return error_set(error, STATUS_IO, "%s %s: %s", flag, path, strerror(errno));
    ssize_t n = fstat(fd, &info) == 0 ? 1 : -1;
    const bool is_file = n > 0 && S_ISREG(info.st_mode);
    char *at = buffer_reserve(text, METRICS_NBYTES_MAX);
    while (is_file && at != NULL && n != 0 && text->len < METRICS_NBYTES_MAX) {
        n = read(fd, at + text->len, METRICS_NBYTES_MAX - text->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        text->len += (size_t)n;
    }
    const int reason = errno;
    close(fd);
    if (at == NULL) return buffer_check(text, error);
    if (n < 0) {
        return error_set(error, STATUS_IO, "%s %s: reading: %s", flag, path, strerror(reason));
    }
    const size_t len = strlen(opening);
    if (is_file && (text->len == 0 || (text->len >= len && memcmp(at, opening, len) == 0))) {
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE,
                     "%s %s: it is there already, and is no such file of wader's: move it away, or "
                     "give another name",
                     flag, path);
}

// Writes both; a fault of one does not keep the other from being written.
static enum status write_files(struct job *job, const struct observed_end *end,
                               struct error *error) {
    struct observer *observer = &job->observer;
    struct error why;
    enum status status = STATUS_OK;
    if (observer->report != NULL && run_report_write(job, end, &why) != STATUS_OK) {
        status = error_set(error, STATUS_IO, "--report: %s", why.text);
    }
    observer->shown = now_seconds();
    if (observer->metrics != NULL && run_metrics_write(job, end, &why) != STATUS_OK) {
        struct error second;
        const bool both = status != STATUS_OK;
        status = error_set(both ? &second : error, STATUS_IO, "--metrics: %s", why.text);
        if (both) report_error(&second, status);
    }
    return status;
}

static const char *given(const char *path) {
    return path != NULL && *path != '\0' ? path : NULL;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

enum status observe_begin(struct job *job, struct error *error) {
    struct observer *observer = &job->observer;
    struct buffer text = {0};
    enum status status = STATUS_OK;
    observer->report = given(job->options->report);
    observer->metrics = given(job->options->metrics);
    observer->started = time(NULL);
    observer->clock = now_seconds();
    if (observer->report != NULL) {
        status = look("--report", observer->report, RUN_REPORT_OPENING, &text, error);
        buffer_clear(&text);
    }
    if (status == STATUS_OK && observer->metrics != NULL) {
        status = look("--metrics", observer->metrics, RUN_METRICS_OPENING, &text, error);
        observer->last_success = metrics_last_success((struct span){text.bytes, text.len});
    }
    buffer_free(&text);
    const struct observed_end running = {.ended = false};
    if (status == STATUS_OK) status = write_files(job, &running, error);
    if (status == STATUS_OK && observer->report != NULL && observer->metrics != NULL &&
        is_same_file(observer->report, observer->metrics)) {
        status = error_set(error, STATUS_USAGE,
                           "--report and --metrics are both %s: give two names, and move away "
                           "what is there",
                           observer->report);
    }
    observer->began =
        status == STATUS_OK && (observer->report != NULL || observer->metrics != NULL);
    return status;
}

// Whether `path`, which is there, has the name of an output or of what a run keeps beside it.
static bool is_taken(const char *path, const char *output) {
    static const struct {
        const char *before, *behind;
    } names[] = {{"", ""},         {"", ".meta.json"}, {"", REJECTS_SUFFIX},
                 {".", ".scores"}, {".", ".journal"},  {".", ".lock"}};
    if (strstr(path_base(path), path_base(output)) == NULL) return false;
    bool taken = false;
    for (size_t i = 0; i < ARRAY_LEN(names) && !taken; i++) {
        char *name = path_beside(output, names[i].before, names[i].behind);
        taken = name != NULL && strcmp(path_base(name), path_base(path)) == 0 &&
                is_same_file(name, path);
        free(name);
    }
    return taken;
}

// One of them would replace the other in the end.
static enum status check_outputs(const struct job *job, const char *flag, const char *path,
                                 struct error *error) {
    for (size_t i = 0; path != NULL && i < job->plan.n_items; i++) {
        if (!is_taken(path, job->plan.items[i].output)) continue;
        return error_set(error, STATUS_USAGE,
                         "%s %s: that name is the output's (%s), or of a file beside it; give "
                         "another one, and move away what is there",
                         flag, path, job->plan.items[i].output);
    }
    return STATUS_OK;
}

enum status observe_plan(struct job *job, struct error *error) {
    struct observer *observer = &job->observer;
    void *memory;
    if (!observer->began) return STATUS_OK;
    enum status status = check_outputs(job, "--report", observer->report, error);
    if (status == STATUS_OK) status = check_outputs(job, "--metrics", observer->metrics, error);
    if (status != STATUS_OK) return status;
    status = alloc_zeroed(&memory, job->plan.n_items, sizeof *observer->items,
                          "what --report tells of inputs", error);
    if (status != STATUS_OK) return status;
    observer->items = memory;
    observer->n_items = job->plan.n_items;
    observer->by_state[ITEM_NOT_BEGUN] = job->plan.n_items;
    return STATUS_OK;
}

// The model's files are hashed meanwhile; outputs that are files want that too.
static void hash_model(struct job *job) {
    if (job->observer.report == NULL || job->provenance != NULL || job->engine.model == NULL)
        return;
    if (provenance_start(job->engine.model, job->options->model, &job->provenance, NULL) !=
        STATUS_OK) {
        job->provenance = NULL;  // the report tells no hashes then
    }
}

void observe_totals(struct job *job, const struct run *run, const struct totals *totals) {
    struct observer *observer = &job->observer;
    if (!observer->began) return;
    const struct totals before = resume_before(&run->resume);
    observer->current = *totals;
    totals_since(&observer->current, &before);
    observer->current_nbytes = totals->consumed_nbytes > before.consumed_nbytes
                                   ? totals->consumed_nbytes - before.consumed_nbytes
                                   : 0;
    hash_model(job);
    if (observer->metrics == NULL || now_seconds() - observer->shown < METRICS_SECONDS) return;
    const struct observed_end running = {.ended = false};
    struct error why;
    observer->shown = now_seconds();
    if (run_metrics_write(job, &running, &why) == STATUS_OK || observer->metrics_fail) return;
    observer->metrics_fail = true;
    report_warning("--metrics: %s; the run goes on", why.text);
}

static void settle(struct observer *observer, enum item_state state, enum status status,
                   const struct error *error) {
    if (observer->n_behind >= observer->n_items) return;
    struct observed_item *item = &observer->items[observer->n_behind++];
    item->state = state;
    item->status = status;
    if (status != STATUS_OK && error != NULL) {
        item->error = strdup(error->text);
        item->place = error->place;
    }
    observer->by_state[ITEM_NOT_BEGUN]--;
    observer->by_state[state]++;
}

void observe_item(struct job *job, const struct run *run, enum status status,
                  const struct error *error) {
    struct observer *observer = &job->observer;
    if (!observer->began) return;
    totals_add(&observer->behind, &observer->current);
    observer->behind_nbytes += observer->current_nbytes;
    observer->current = (struct totals){0};
    observer->current_nbytes = 0;
    if (status == STATUS_OK && !run->is_done && strcmp(run->item->output, "-") == 0) {
        struct observed_stream *stream = &observer->stream;
        stream->known = true;
        stream->input_nbytes = input_consumed_nbytes(run->input);
        stream->output_nbytes = output_nbytes(run->output);
        memcpy(stream->input_sha256, input_sha256(run->input), sizeof stream->input_sha256);
        memcpy(stream->output_sha256, output_sha256(run->output), sizeof stream->output_sha256);
    }
    settle(observer,
           status == STATUS_AGAIN ? ITEM_STOPPED
           : status != STATUS_OK  ? ITEM_FAILED
           : run->is_done         ? ITEM_ALREADY_DONE
                                  : ITEM_DONE,
           status, error);
}

static void free_items(struct observer *observer) {
    for (size_t i = 0; i < observer->n_items && observer->items != NULL; i++) {
        free(observer->items[i].error);
    }
    free(observer->items);
    observer->items = NULL;
    observer->n_items = 0;
}

enum status observe_end(struct job *job, enum status status, struct error *error) {
    struct observer *observer = &job->observer;
    const struct observed_end end = {.ended = true, .status = status, .error = error};
    struct error why;
    if (observer->began && write_files(job, &end, &why) != STATUS_OK) {
        if (status == STATUS_OK) {
            status = error_set(error, STATUS_IO, "%s; all outputs are complete", why.text);
        } else {
            report_error(&why, STATUS_IO);
        }
    }
    free_items(observer);
    return status;
}

void observe_stop(struct job *job) {
    struct observer *observer = &job->observer;
    struct error error, why;
    if (!observer->began) return;
    const enum status status = error_set(&error, STATUS_AGAIN, "stopped by a signal");
    settle(observer, ITEM_STOPPED, status, &error);
    const struct observed_end end = {.ended = true, .status = status, .error = &error};
    if (write_files(job, &end, &why) != STATUS_OK) report_error(&why, STATUS_IO);
}

// SPDX-License-Identifier: Apache-2.0
#include "host/job/survey.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/job/commit.h"
#include "host/job/commit_record.h"
#include "host/job/inputs.h"
#include "host/job/journal.h"
#include "host/job/kept_scores.h"

const char *output_state_name(enum output_state state) {
    static const char *const names[OUTPUT_STATES] = {
        [OUTPUT_DONE] = "done",       [OUTPUT_MISSING] = "missing",
        [OUTPUT_RUNNING] = "running", [OUTPUT_INTERRUPTED] = "interrupted",
        [OUTPUT_CHANGED] = "changed", [OUTPUT_FOREIGN] = "foreign"};
    return names[state];
}

// ---- names of a directory

struct names {
    char **names;  // [n], sorted
    size_t n, cap;
};

void survey_paths_free(char **paths, size_t n) {
    for (size_t i = 0; i < n; i++) free(paths[i]);
    free(paths);
}

// Takes `name`, which must have come from malloc; NULL is an allocation that failed.
static enum status add_name(struct names *names, char *name, struct error *error) {
    if (name != NULL && names->n == names->cap) {
        const size_t cap = names->cap > 0 ? 2 * names->cap : 64;
        char **more = realloc(names->names, cap * sizeof *more);
        if (more == NULL) {
            free(name);
            name = NULL;
        } else {
            names->names = more;
            names->cap = cap;
        }
    }
    if (name == NULL) return error_set(error, STATUS_IO, "out of memory for a directory's names");
    names->names[names->n++] = name;
    return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(struct names *names) {
    if (names->n > 0) qsort(names->names, names->n, sizeof *names->names, by_name);
}

// Each name of `directory` that `take` makes something of; NULL is nothing.
static enum status list(const char *directory, enum status otherwise,
                        bool (*wanted)(const char *name), struct names *names,
                        struct error *error) {
    DIR *entries = opendir(directory);
    if (entries == NULL) return error_set(error, otherwise, "%s: %s", directory, strerror(errno));
    enum status status = STATUS_OK;
    errno = 0;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(entries)) != NULL;) {
        if (wanted(entry->d_name)) status = add_name(names, strdup(entry->d_name), error);
        errno = 0;
    }
    if (status == STATUS_OK && errno != 0) {
        status = error_set(error, STATUS_IO, "%s: listing it: %s", directory, strerror(errno));
    }
    closedir(entries);
    sort_names(names);
    return status;
}

// ---- what attempts left

// Kept scores were not left: they stand beside what is done.
static bool is_hidden(const char *name) {
    return name[0] == '.' && !span_ends_in(span_text(name), SCORES_SUFFIX) &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// Whether a hidden name begins with .<base of output>. : attempts work under such names.
static bool is_left(const struct names *hidden, const char *output) {
    const char *base = path_base(output);
    const size_t len = strlen(base);
    size_t low = 0, high = hidden->n;
    while (low < high) {  // the first one that is not less than ".<base>."
        const size_t middle = low + (high - low) / 2;
        const char *name = hidden->names[middle] + 1;
        const int order = strncmp(name, base, len);
        if (order < 0 || (order == 0 && (unsigned char)name[len] < '.')) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < hidden->n && strncmp(hidden->names[low] + 1, base, len) == 0 &&
           hidden->names[low][1 + len] == '.';
}

// Of the directory that all outputs of a plan lie in; one that is not there has none.
static enum status list_hidden(const struct plan *plan, struct names *hidden, struct error *error) {
    if (plan->n_items == 0) return STATUS_OK;
    const char *output = plan->items[0].output;
    const size_t len = (size_t)(path_base(output) - output);
    char *directory = len > 0 ? strndup(output, len) : strdup(".");
    if (directory == NULL) return error_set(error, STATUS_IO, "out of memory");
    struct stat info;
    enum status status = STATUS_OK;
    if (stat(directory, &info) == 0) {
        status = list(directory, STATUS_IO, is_hidden, hidden, error);
    } else if (errno != ENOENT) {
        status = error_set(error, STATUS_IO, "%s: %s", directory, strerror(errno));
    }
    free(directory);
    return status;
}

// ---- one output

static enum status compare_record(const struct plan_item *item, const struct stat *output,
                                  struct survey_item *found, struct error *error) {
    struct commit_record record;
    struct error fault;
    struct stat input;
    bool is_there;
    enum status status = commit_record_read(item->output, &record, &is_there, &fault);
    if (status == STATUS_IO) {
        commit_record_free(&record);
        return error_set(error, status, "%s: %s", item->output, fault.text);
    }
    if (!is_there || status != STATUS_OK) {
        found->state = OUTPUT_FOREIGN;
    } else if (record.file_nbytes != (uint64_t)output->st_size ||
               (stat(item->input, &input) == 0 && S_ISREG(input.st_mode) &&
                record.input_nbytes != (uint64_t)input.st_size)) {
        found->state = OUTPUT_CHANGED;
    } else {
        *found = (struct survey_item){.state = OUTPUT_DONE,
                                      .rows = record.rows_out,
                                      .bad = record.bad,
                                      .tokens = record.tokens};
    }
    commit_record_free(&record);
    return STATUS_OK;
}

static void read_journal(const struct plan_item *item, struct survey_item *found) {
    struct totals saved;
    struct stat input;
    if (!journal_look(item->output, &saved)) return;
    found->saved_rows = saved.records;
    if (stat(item->input, &input) == 0 && S_ISREG(input.st_mode) && input.st_size > 0 &&
        saved.consumed_nbytes <= (uint64_t)input.st_size) {
        found->saved_share = (double)saved.consumed_nbytes / (double)input.st_size;
    }
}

static enum status look(const struct plan_item *item, const struct names *hidden,
                        struct survey_item *found, struct error *error) {
    struct stat output;
    const bool left = is_left(hidden, item->output);
    const enum commit_lock_state lock = left ? commit_lock_look(item->output) : COMMIT_LOCK_FREE;
    enum status status = STATUS_OK;
    *found = (struct survey_item){.state = left ? OUTPUT_INTERRUPTED : OUTPUT_MISSING};
    if (lock == COMMIT_LOCK_HELD) {
        found->state = OUTPUT_RUNNING;
    } else if (stat(item->output, &output) == 0) {
        status = compare_record(item, &output, found, error);
        // One that died between output and record.
        if (found->state == OUTPUT_FOREIGN && lock == COMMIT_LOCK_MARKED) {
            found->state = OUTPUT_INTERRUPTED;
        }
    } else if (errno != ENOENT && errno != ENOTDIR) {
        return error_set(error, STATUS_IO, "%s: %s", item->output, strerror(errno));
    }
    if (found->state == OUTPUT_INTERRUPTED) read_journal(item, found);
    return status;
}

enum status survey(const struct plan *plan, struct survey_item *items, struct error *error) {
    struct names hidden = {0};
    enum status status = list_hidden(plan, &hidden, error);
    for (size_t i = 0; i < plan->n_items && status == STATUS_OK; i++) {
        status = look(&plan->items[i], &hidden, &items[i], error);
    }
    survey_paths_free(hidden.names, hidden.n);
    return status;
}

// ---- the outputs of a directory

// The part of a name that is an output's: what stands before .meta.json, or between the dot and
// .lock of a run's lock, or .journal; or all of it.
static struct span output_part(const char *name) {
    static const char *const suffixes[] = {".lock", JOURNAL_SUFFIX};
    struct span part = span_text(name);
    for (size_t i = 0; name[0] == '.' && i < ARRAY_LEN(suffixes); i++) {
        if (!span_ends_in(part, suffixes[i])) continue;
        return (struct span){name + 1, part.len - strlen(".") - strlen(suffixes[i])};
    }
    if (span_ends_in(part, COMMIT_RECORD_SUFFIX)) part.len -= strlen(COMMIT_RECORD_SUFFIX);
    return part;
}

static bool is_output(const char *name) {
    if (name[0] != '.') {
        return inputs_is_own_output(name) && !span_ends_in(span_text(name), REJECTS_SUFFIX);
    }
    return output_part(name).ptr != name && output_part(name).len > 0;
}

enum status survey_directory(const char *directory, char ***paths, size_t *n, struct error *error) {
    struct names found = {0}, whole = {0};
    *paths = NULL;
    *n = 0;
    enum status status = list(directory, STATUS_INPUT, is_output, &found, error);
    for (size_t i = 0; i < found.n && status == STATUS_OK; i++) {
        const struct span name = output_part(found.names[i]);
        const size_t cap = strlen(directory) + name.len + 2;
        char *path = malloc(cap);
        if (path != NULL) snprintf(path, cap, "%s/%.*s", directory, (int)name.len, name.ptr);
        status = add_name(&whole, path, error);
    }
    survey_paths_free(found.names, found.n);
    sort_names(&whole);
    size_t kept = 0;
    for (size_t i = 0; i < whole.n; i++) {
        if (kept > 0 && strcmp(whole.names[kept - 1], whole.names[i]) == 0) {
            free(whole.names[i]);
        } else {
            whole.names[kept++] = whole.names[i];
        }
    }
    *paths = whole.names;
    *n = kept;
    return status;
}

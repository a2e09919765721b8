// SPDX-License-Identifier: Apache-2.0
#include "host/job/plan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/job/commit.h"
#include "host/job/inputs.h"
#include "host/stream/rejects.h"

static enum status out_of_memory(struct error *error) {
    return error_set(error, STATUS_IO, "out of memory for the list of inputs");
}

// One that is there, or is to be made: its name ends in a slash.
static bool names_directory(const char *path) {
    const size_t len = strlen(path);
    return is_directory(path) || (len > 0 && path[len - 1] == '/');
}

char *plan_output_in(const char *directory, const char *input, bool tsv) {
    struct span stem = span_text(path_base(input));
    inputs_cut_kind(&stem);
    const size_t cap = strlen(directory) + stem.len + 32;
    char *output = malloc(cap);
    if (output != NULL) {
        snprintf(output, cap, "%s/%.*s.labels.%s.gz", directory, (int)stem.len, stem.ptr,
                 tsv ? "tsv" : "jsonl");
    }
    return output;
}

static enum status make_directory(const char *path, struct error *error) {
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && is_directory(path))) return STATUS_OK;
    return error_set(error, errno == EEXIST ? STATUS_USAGE : STATUS_IO,
                     "%s: with several inputs, or a directory, the output is a directory: %s", path,
                     strerror(errno));
}

static int by_output(const void *a, const void *b) {
    return strcmp((*(struct plan_item *const *)a)->output, (*(struct plan_item *const *)b)->output);
}

static enum status check_outputs_differ(const struct plan *plan, struct error *error) {
    struct plan_item **sorted = malloc((plan->n_items + 1) * sizeof *sorted);
    if (sorted == NULL) return out_of_memory(error);
    for (size_t i = 0; i < plan->n_items; i++) sorted[i] = &plan->items[i];
    qsort(sorted, plan->n_items, sizeof *sorted, by_output);
    enum status status = STATUS_OK;
    for (size_t i = 1; i < plan->n_items && status == STATUS_OK; i++) {
        if (strcmp(sorted[i - 1]->output, sorted[i]->output) == 0) {
            status = error_set(error, STATUS_USAGE,
                               "%s and %s would both be written to %s; rename one, or label them "
                               "in two runs",
                               sorted[i - 1]->input, sorted[i]->input, sorted[i]->output);
        }
    }
    free(sorted);
    return status;
}

// Found now, not at the end of the run: beside the output stand files with longer names.
static enum status check_name(const char *output, struct error *error) {
    const char *base = path_base(output);
    char directory[PATH_NBYTES_MAX] = ".";
    if (base > output && (size_t)(base - output) < sizeof directory) {
        snprintf(directory, sizeof directory, "%.*s", (int)(base - output), output);
    }
    const long most = pathconf(directory, _PC_NAME_MAX);
    const size_t name_max = most > 0 ? (size_t)most : NAME_MAX;
    if (strlen(base) + COMMIT_NAME_ROOM <= name_max) return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "%s: the output's name has %zu bytes; here it may have %zu at most, since "
                     "its commit record and its unfinished file need longer ones",
                     output, strlen(base), name_max - COMMIT_NAME_ROOM);
}

// An output takes its name in a rename, which would replace a device such as /dev/null as well.
static enum status check_output(const struct plan_item *item, struct error *error) {
    struct stat output;
    if (strcmp(item->output, "-") == 0) return STATUS_OK;
    enum status status = check_name(item->output, error);
    if (status != STATUS_OK) return status;
    if (stat(item->output, &output) != 0) {
        // What is wrong with its directory is told when it is written to.
        if (errno == ENOENT || errno == ENOTDIR) return STATUS_OK;
        return error_set(error, STATUS_IO, "%s: %s", item->output, strerror(errno));
    }
    if (!S_ISREG(output.st_mode)) {
        return error_set(error, STATUS_USAGE,
                         "%s: the output is there already and not a regular file; give another "
                         "name, or - for stdout",
                         item->output);
    }
    return STATUS_OK;
}

// ---- no input is written over

// A file that is there: an input, or what an output or its rejects file would replace or remove.
struct standing {
    dev_t device;
    ino_t inode;
    size_t item;
    bool is_rejects;
};

struct standing_list {
    struct standing *files;
    size_t n;
};

static int by_file(const void *a, const void *b) {
    const struct standing *x = a, *y = b;
    if (x->device != y->device) return x->device < y->device ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

// Adds the file at `path`, if it is there; `why` is the status where that cannot be told.
static enum status add_standing(struct standing_list *list, const char *path,
                                struct standing standing, enum status why, struct error *error) {
    struct stat info;
    if (strcmp(path, "-") == 0) return STATUS_OK;
    if (stat(path, &info) == 0) {
        standing.device = info.st_dev;
        standing.inode = info.st_ino;
        list->files[list->n++] = standing;
        return STATUS_OK;
    }
    // What is wrong with an input is told when it is opened.
    if (errno == ENOENT || errno == ENOTDIR) return STATUS_OK;
    return error_set(error, why, "%s: %s", path, strerror(errno));
}

// The output, and the rejects file that stands beside it, of one item.
static enum status add_replaced(struct standing_list *list, const struct plan_item *item, size_t i,
                                struct error *error) {
    if (strcmp(item->output, "-") == 0) return STATUS_OK;
    char *rejects = rejects_path(item->output);
    if (rejects == NULL) return out_of_memory(error);
    enum status status =
        add_standing(list, item->output, (struct standing){.item = i}, STATUS_IO, error);
    if (status == STATUS_OK) {
        status = add_standing(list, rejects, (struct standing){.item = i, .is_rejects = true},
                              STATUS_IO, error);
    }
    free(rejects);
    return status;
}

static enum status refuse_replaced(const struct plan *plan, const struct standing_list *replaced,
                                   const struct standing_list *inputs, struct error *error) {
    for (size_t i = 0; i < replaced->n; i++) {
        const struct standing *by = &replaced->files[i];
        const struct standing *found =
            bsearch(by, inputs->files, inputs->n, sizeof *found, by_file);
        if (found == NULL) continue;
        const char *input = plan->items[found->item].input, *output = plan->items[by->item].output;
        if (found->item == by->item && !by->is_rejects) {
            return error_set(error, STATUS_USAGE, "%s: the output is the input itself", output);
        }
        return error_set(error, STATUS_USAGE,
                         "%s: this input would be replaced by %s%s; give another -o", input, output,
                         by->is_rejects ? " and its rejects" : "");
    }
    return STATUS_OK;
}

// Of all shares: what one of them writes is the input of another.
static enum status check_inputs_stay(const struct plan *plan, struct error *error) {
    const size_t n = plan->n_items;
    struct standing_list replaced = {.files = malloc((2 * n + 1) * sizeof(struct standing))};
    struct standing_list inputs = {.files = malloc((n + 1) * sizeof(struct standing))};
    enum status status = STATUS_OK;
    if (replaced.files == NULL || inputs.files == NULL) status = out_of_memory(error);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        status = add_replaced(&replaced, &plan->items[i], i, error);
    }
    for (size_t i = 0; i < n && replaced.n > 0 && status == STATUS_OK; i++) {
        status = add_standing(&inputs, plan->items[i].input, (struct standing){.item = i},
                              STATUS_INPUT, error);
    }
    if (status == STATUS_OK && inputs.n > 0) {
        qsort(inputs.files, inputs.n, sizeof *inputs.files, by_file);
        status = refuse_replaced(plan, &replaced, &inputs, error);
    }
    free(replaced.files);
    free(inputs.files);
    return status;
}

static enum status name_outputs(const struct plan_request *request, struct plan *plan,
                                struct error *error) {
    const bool many = plan->many;
    const char *output = request->output != NULL ? request->output : "-";
    if (many && strcmp(output, "-") == 0) {
        return error_set(error, STATUS_USAGE, "several inputs need an output directory: -o DIR");
    }
    if (output[0] == '\0') return error_set(error, STATUS_USAGE, "-o: the name is empty");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->n_items && status == STATUS_OK; i++) {
        struct plan_item *item = &plan->items[i];
        item->output = many ? plan_output_in(output, item->input, request->tsv) : strdup(output);
        status = item->output == NULL ? out_of_memory(error) : STATUS_OK;
        if (status == STATUS_OK && !request->look_only) status = check_output(item, error);
    }
    if (status == STATUS_OK && many) status = check_outputs_differ(plan, error);
    if (status == STATUS_OK && !request->look_only) status = check_inputs_stay(plan, error);
    if (status != STATUS_OK || !many || request->look_only) return status;
    return make_directory(output, error);
}

// Keeps every n-th item from the I-th on: the shares differ by one file at most.
static void take_share(struct plan *plan, struct shard shard) {
    size_t kept = 0;
    for (size_t i = 0; i < plan->n_items; i++) {
        if (i % (size_t)shard.n == (size_t)shard.index) {
            plan->items[kept++] = plan->items[i];
        } else {
            free(plan->items[i].input);
            free(plan->items[i].output);
        }
    }
    plan->n_items = kept;
}

static enum status list_inputs(const struct plan_request *request, struct inputs *inputs,
                               struct error *error) {
    static const char standard_input[] = "-";
    enum status status = STATUS_OK;
    for (int i = 0; i < request->n_inputs && status == STATUS_OK; i++) {
        const char *word = request->inputs[i];
        if (strcmp(word, "-") == 0 && request->n_inputs > 1) {
            return error_set(error, STATUS_USAGE, "stdin (-) cannot be one of several inputs");
        }
        status = inputs_add(inputs, word, !request->look_only, error);
    }
    if (request->n_inputs == 0) status = inputs_add(inputs, standard_input, false, error);
    return status;
}

// The paths become the plan's.
static enum status take_inputs(struct inputs *inputs, struct plan *plan, struct error *error) {
    void *items;
    enum status status = alloc_zeroed(&items, inputs->n, sizeof *plan->items, "the plan", error);
    if (status != STATUS_OK) return status;
    plan->items = items;
    for (size_t i = 0; i < inputs->n; i++) plan->items[i].input = inputs->paths[i];
    plan->n_items = plan->n_all = inputs->n;
    inputs->n = 0;
    return STATUS_OK;
}

enum status plan_create(const struct plan_request *request, struct plan *plan,
                        struct error *error) {
    *plan = (struct plan){0};
    struct inputs inputs = {0};
    enum status status = list_inputs(request, &inputs, error);
    if (status == STATUS_OK) status = take_inputs(&inputs, plan, error);
    // One input into a directory means a file in it.
    plan->many = request->n_inputs > 1 || inputs.is_list ||
                 (request->output != NULL && names_directory(request->output));
    inputs_free(&inputs);
    if (status == STATUS_OK) status = name_outputs(request, plan, error);
    if (status != STATUS_OK) {
        plan_free(plan);
    } else if (request->shard.n > 1) {
        take_share(plan, request->shard);
    }
    return status;
}

void plan_free(struct plan *plan) {
    for (size_t i = 0; i < plan->n_items; i++) {
        free(plan->items[i].input);
        free(plan->items[i].output);
    }
    free(plan->items);
    *plan = (struct plan){0};
}

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
    struct stat input, output;
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
    if (strcmp(item->input, "-") == 0) return STATUS_OK;
    if (stat(item->input, &input) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return STATUS_OK;  // told when it is opened
        return error_set(error, STATUS_INPUT, "%s: %s", item->input, strerror(errno));
    }
    if (input.st_dev == output.st_dev && input.st_ino == output.st_ino) {
        return error_set(error, STATUS_USAGE, "%s: the output is the input itself", item->output);
    }
    return STATUS_OK;
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

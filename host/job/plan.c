// SPDX-License-Identifier: Apache-2.0
#include "host/job/plan.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// How the names of catalogs end, plain; a .gz may follow.
static const char *const kinds[] = {".jsonl", ".tsv", ".txt"};

// Takes `suffix` off the end of `*name`; false where it is not there, or is all there is.
static bool cut_suffix(struct span *name, const char *suffix) {
    const size_t n = strlen(suffix);
    if (name->len <= n || !span_ends_in(*name, suffix)) return false;
    name->len -= n;
    return true;
}

// Takes the kind off the end of a name that has no .gz any more.
static bool cut_kind(struct span *name) {
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (cut_suffix(name, kinds[i])) return true;
    }
    return false;
}

static enum status out_of_memory(struct error *error) {
    return error_set(error, STATUS_IO, "out of memory for the list of inputs");
}

// Takes `input`, which must have come from malloc; NULL is an allocation that failed.
static enum status add(struct plan *plan, char *input, struct error *error) {
    if (input == NULL) return out_of_memory(error);
    struct plan_item *items = realloc(plan->items, (plan->n_items + 1) * sizeof *items);
    if (items == NULL) {
        free(input);
        return out_of_memory(error);
    }
    plan->items = items;
    items[plan->n_items++] = (struct plan_item){.input = input};
    return STATUS_OK;
}

static int by_input(const void *a, const void *b) {
    return strcmp(((const struct plan_item *)a)->input, ((const struct plan_item *)b)->input);
}

// What a catalog directory holds besides its shards is not a catalog: hidden files, outputs of an
// earlier run, other kinds of file.
static bool is_catalog_name(const char *name) {
    struct span stem = span_text(name);
    if (name[0] == '.') return false;
    cut_suffix(&stem, ".gz");
    if (span_ends_in(stem, ".labels.jsonl") || span_ends_in(stem, ".labels.tsv")) return false;
    return cut_kind(&stem);
}

static bool is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool is_regular(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

// One that is there, or is to be made: its name ends in a slash.
static bool names_directory(const char *path) {
    const size_t len = strlen(path);
    return is_directory(path) || (len > 0 && path[len - 1] == '/');
}

static enum status add_directory(struct plan *plan, const char *path, struct error *error) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return error_set(error, STATUS_INPUT, "%s: %s", path, strerror(errno));
    }
    const size_t first = plan->n_items;
    enum status status = STATUS_OK;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(directory)) != NULL;) {
        if (!is_catalog_name(entry->d_name)) continue;
        const size_t cap = strlen(path) + strlen(entry->d_name) + 2;
        char *input = malloc(cap);
        if (input != NULL) snprintf(input, cap, "%s/%s", path, entry->d_name);
        if (input != NULL && !is_regular(input)) {
            free(input);
            continue;
        }
        status = add(plan, input, error);
    }
    closedir(directory);
    if (status == STATUS_OK && plan->n_items == first) {
        status =
            error_set(error, STATUS_INPUT,
                      "%s: no .jsonl, .tsv or .txt file in this directory, plain or .gz", path);
    }
    if (status == STATUS_OK) {
        qsort(plan->items + first, plan->n_items - first, sizeof *plan->items, by_input);
    }
    return status;
}

// dir/<input's base name without its kind>.labels.jsonl.gz
static char *output_in(const char *directory, const char *input, bool tsv) {
    struct span stem = span_text(path_base(input));
    cut_suffix(&stem, ".gz");
    cut_kind(&stem);
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

// An output takes its name in a rename, which would replace a device such as /dev/null as well.
static enum status check_output(const struct plan_item *item, struct error *error) {
    struct stat input, output;
    if (strcmp(item->output, "-") == 0 || stat(item->output, &output) != 0) return STATUS_OK;
    if (!S_ISREG(output.st_mode)) {
        return error_set(error, STATUS_USAGE,
                         "%s: the output is there already and not a regular file; give another "
                         "name, or - for stdout",
                         item->output);
    }
    if (strcmp(item->input, "-") != 0 && stat(item->input, &input) == 0 &&
        input.st_dev == output.st_dev && input.st_ino == output.st_ino) {
        return error_set(error, STATUS_USAGE, "%s: the output is the input itself", item->output);
    }
    return STATUS_OK;
}

static enum status name_outputs(const struct plan_request *request, bool many, struct plan *plan,
                                struct error *error) {
    const char *output = request->output != NULL ? request->output : "-";
    if (many && strcmp(output, "-") == 0) {
        return error_set(error, STATUS_USAGE, "several inputs need an output directory: -o DIR");
    }
    if (output[0] == '\0') return error_set(error, STATUS_USAGE, "-o: the name is empty");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->n_items && status == STATUS_OK; i++) {
        struct plan_item *item = &plan->items[i];
        item->output = many ? output_in(output, item->input, request->tsv) : strdup(output);
        status = item->output == NULL ? out_of_memory(error) : check_output(item, error);
    }
    if (status == STATUS_OK && many) status = check_outputs_differ(plan, error);
    return status == STATUS_OK && many ? make_directory(output, error) : status;
}

// Keeps every n-th item from the I-th on: the shares differ by one file at most.
static void take_share(struct plan *plan, int shard, int n_shards) {
    size_t kept = 0;
    for (size_t i = 0; i < plan->n_items; i++) {
        if (i % (size_t)n_shards == (size_t)shard) {
            plan->items[kept++] = plan->items[i];
        } else {
            free(plan->items[i].input);
            free(plan->items[i].output);
        }
    }
    plan->n_items = kept;
}

enum status plan_create(const struct plan_request *request, struct plan *plan,
                        struct error *error) {
    *plan = (struct plan){0};
    enum status status = STATUS_OK;
    bool many = request->n_inputs > 1;
    for (int i = 0; i < request->n_inputs && status == STATUS_OK; i++) {
        const char *input = request->inputs[i];
        if (strcmp(input, "-") == 0 && request->n_inputs > 1) {
            status = error_set(error, STATUS_USAGE, "stdin (-) cannot be one of several inputs");
        } else if (is_directory(input)) {
            many = true;
            status = add_directory(plan, input, error);
        } else {
            status = add(plan, strdup(input), error);
        }
    }
    if (status == STATUS_OK && request->n_inputs == 0) status = add(plan, strdup("-"), error);
    // One input into a directory means a file in it.
    if (request->output != NULL && names_directory(request->output)) many = true;
    if (status == STATUS_OK) status = name_outputs(request, many, plan, error);
    if (status == STATUS_OK) {
        take_share(plan, request->shard, request->n_shards);
    } else {
        plan_free(plan);
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

// The digits at `text`, at most as many as an int surely holds; NULL where there are none.
static const char *parse_digits(const char *text, int *value) {
    int n = 0;
    for (*value = 0; n < 9 && text[n] >= '0' && text[n] <= '9'; n++) {
        *value = 10 * *value + (text[n] - '0');
    }
    return n > 0 ? text + n : NULL;
}

enum status plan_parse_shard(const char *text, int *shard, int *n_shards, struct error *error) {
    const char *end = parse_digits(text, shard);
    end = end != NULL && *end == '/' ? parse_digits(end + 1, n_shards) : NULL;
    if (end == NULL || *end != '\0' || *shard >= *n_shards) {
        return error_set(error, STATUS_USAGE,
                         "--shard %s: give I/N with 0 <= I < N, for example 0/4", text);
    }
    return STATUS_OK;
}

// SPDX-License-Identifier: Apache-2.0
//
// `wader merge`: a directory of labels is published by its _SUCCESS, once all of it was verified.
#include <stdlib.h>
#include <string.h>

#include "host/cli/commands.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/cli/verify.h"
#include "host/job/commit.h"
#include "host/job/inputs.h"
#include "host/job/success.h"
#include "host/job/survey.h"

struct merge {
    const struct options *options;
    struct catalog_words words;
    struct plan plan;
    struct verify_set set;
    struct buffer more;  // a line each: faults that are of no output of the plan
    size_t n_more;
};

// An output that a run works on is about to change; one that no input has would be published too.
static void find_running(struct merge *merge) {
    for (size_t i = 0; i < merge->set.n; i++) {
        const char *output = merge->set.items[i].output;
        if (commit_lock_look(output) != COMMIT_LOCK_HELD) continue;
        merge->n_more++;
        buffer_add_text(&merge->more, "running    ");
        catalog_add_name(&merge->more, output);
        buffer_add_text(&merge->more, ": a run is writing it\n");
    }
}

// Rows of a part of an input are no catalog's.
static void find_salvaged(struct merge *merge) {
    for (size_t i = 0; i < merge->set.n; i++) {
        if (!merge->set.items[i].record.salvaged) continue;
        merge->n_more++;
        buffer_add_text(&merge->more, "salvaged   ");
        catalog_add_name(&merge->more, merge->set.items[i].output);
        buffer_add_text(&merge->more,
                        ": its input was damaged, and these are the rows before that; label it "
                        "again when its input is whole\n");
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status find_strangers(struct merge *merge, struct error *error) {
    char **paths;
    const size_t n_known = merge->set.n;
    size_t n;
    void *memory;
    if (merge->words.n_inputs == 0) return STATUS_OK;
    enum status status = alloc_array(&memory, n_known, sizeof(char *), "names", error);
    if (status != STATUS_OK) return status;
    const char **known = memory;
    for (size_t i = 0; i < n_known; i++) known[i] = path_base(merge->set.items[i].output);
    qsort(known, n_known, sizeof *known, by_name);
    status = survey_directory(merge->words.output, &paths, &n, error);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        const char *base = path_base(paths[i]);
        if (bsearch(&base, known, n_known, sizeof *known, by_name) != NULL) continue;
        merge->n_more++;
        buffer_add_text(&merge->more, "stranger   ");
        catalog_add_name(&merge->more, paths[i]);
        buffer_add_text(&merge->more, ": it is no INPUT's output; move it away\n");
    }
    survey_paths_free(paths, n);
    free(known);
    return status;
}

static enum status verify(struct merge *merge, struct error *error) {
    enum status status = catalog_plan(merge->options, &merge->words, &merge->plan, error);
    if (status == STATUS_OK && merge->plan.n_items == 0) {
        status = error_set(error, STATUS_ROWS, "%s: there is nothing to merge: no outputs",
                           merge->words.output);
    }
    if (status == STATUS_OK) {
        status = verify_begin(merge->options, &merge->plan, &merge->set, error);
    }
    merge->set.with_tally = true;
    if (status == STATUS_OK) status = verify_run(merge->options, &merge->set, error);
    if (status != STATUS_OK) return status;
    find_running(merge);
    find_salvaged(merge);
    return find_strangers(merge, error);
}

static enum status conclude(struct merge *merge, struct error *error) {
    enum status status = verify_conclude(&merge->set, error);
    if (status == STATUS_OK && merge->n_more > 0) {
        status = error_set(error, STATUS_ROWS, "%zu thing%s in %s %s the way", merge->n_more,
                           merge->n_more == 1 ? "" : "s", merge->words.output,
                           merge->n_more == 1 ? "is in" : "are in");
    }
    if (status == STATUS_OK) {
        return success_write(merge->words.output, &merge->set, error);
    }
    struct error reason = *error;
    return error_set(error, status, "%s; no %s was written", reason.text, SUCCESS_NAME);
}

static enum status print(struct merge *merge, bool merged, struct error *error) {
    const struct options *options = merge->options;
    struct buffer text = {0};
    if (options->json) {
        buffer_add_format(&text, "{\"merged\": %s, \"in_the_way\": %zu, ",
                          merged ? "true" : "false", merge->n_more);
        verify_add_json(&merge->set, &text);
        buffer_add_text(&text, "}\n");
    } else {
        verify_add_faults(&merge->set, &text);
        buffer_add(&text, merge->more.bytes, merge->more.len);
    }
    if (merged && !options->json) {
        uint64_t rows = 0;
        char count[32];
        for (size_t i = 0; i < merge->set.n; i++) rows += merge->set.items[i].record.rows_out;
        catalog_add_name(&text, merge->words.output);
        buffer_add_format(&text, "/%s: %zu outputs, %s rows\n", SUCCESS_NAME, merge->set.n,
                          with_commas(rows, count));
    }
    enum status status = options->quiet && !options->json ? STATUS_OK : catalog_print(&text, error);
    buffer_free(&text);
    return status;
}

// What is there of an earlier merge goes first: it must not outlive a look that finds a fault, nor
// one that cannot be finished.
static enum status withdraw(const struct merge *merge, struct error *error) {
    char path[PATH_NBYTES_MAX];
    bool removed;
    enum status status = success_check(merge->words.output, error);
    if (status == STATUS_OK) {
        status = path_join(path, sizeof path, merge->words.output, SUCCESS_NAME, error);
    }
    if (status == STATUS_OK) status = success_withdraw(path, &removed, error);
    if (status == STATUS_OK && removed && merge->options->verbose) {
        report_note("%s: removed; it is written anew if all is well", path);
    }
    return status;
}

enum status command_merge(const struct options *options, struct error *error) {
    struct merge merge = {.options = options};
    stop_listen();
    enum status status = catalog_words(options, &merge.words, error);
    if (status == STATUS_OK && !is_directory(merge.words.output)) {
        status = error_set(error, STATUS_INPUT, "%s: no such directory", merge.words.output);
    }
    if (status == STATUS_OK) status = withdraw(&merge, error);
    if (status == STATUS_OK) status = verify(&merge, error);
    if (status == STATUS_OK) {
        struct error fault;
        status = conclude(&merge, error);
        const enum status printed = print(&merge, status == STATUS_OK, &fault);
        if (status == STATUS_OK && printed != STATUS_OK) {
            status = printed;
            *error = fault;
        }
    }
    buffer_free(&merge.more);
    verify_set_free(&merge.set);
    free(merge.set.items);
    plan_free(&merge.plan);
    return status;
}

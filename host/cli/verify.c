// SPDX-License-Identifier: Apache-2.0
//
// `wader verify`: are outputs what their commit records say?
#include "host/cli/verify.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/machine.h"
#include "host/cli/commands.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"

enum status verify_begin(const struct options *options, const struct plan *plan,
                         struct verify_set *set, struct error *error) {
    void *memory;
    *set = (struct verify_set){
        .n = plan->n_items,
        .request = {.quick = options->quick, .ids = options->ids, .stop = stop_asked},
        .n_threads = options->threads > 0 ? options->threads : processors_available()};
    enum status status =
        alloc_zeroed(&memory, plan->n_items, sizeof *set->items, "what is to be verified", error);
    set->items = memory;
    if (status != STATUS_OK) set->n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const char *input = plan->items[i].input;
        set->items[i].output = plan->items[i].output;
        set->items[i].input = input[0] != '\0' ? input : NULL;
    }
    if (status == STATUS_OK && options->ids &&
        (options->quick || set->n == 0 || set->items[0].input == NULL)) {
        return error_set(error, STATUS_USAGE,
                         options->quick ? "--ids reads all rows, --quick none: give one of them"
                                        : "--ids: give the inputs, too: -o OUT INPUT...");
    }
    return status;
}

static void show(void *context, uint64_t done_nbytes, uint64_t total_nbytes) {
    progress_show_bytes(context, "verifying", done_nbytes, total_nbytes > 0 ? total_nbytes : 1);
}

enum status verify_run(const struct options *options, struct verify_set *set, struct error *error) {
    struct progress progress;
    const struct verify_watcher watcher = {.show = show, .context = &progress};
    progress_start(&progress, (enum progress_mode)options->progress);
    enum status status = verify_set_run(set, options->quiet ? NULL : &watcher, error);
    if (status == STATUS_AGAIN) {
        return error_set(error, status, "stopped by a signal; nothing was changed");
    }
    return status;
}

size_t verify_count_faults(const struct verify_set *set) {
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) n += set->items[i].verdict != VERDICT_GOOD;
    return n;
}

void verify_add_faults(const struct verify_set *set, struct buffer *out) {
    for (size_t i = 0; i < set->n; i++) {
        const struct verify_item *item = &set->items[i];
        if (item->verdict == VERDICT_GOOD) continue;
        buffer_add_format(out, "%-10s ", verdict_name(item->verdict));
        catalog_add_name(out, item->output);
        buffer_add_text(out, ": ");
        catalog_add_name(out, item->what);
        buffer_add_text(out, "\n");
    }
}

void verify_add_json(const struct verify_set *set, struct buffer *out) {
    buffer_add_format(out, "\"outputs\": %zu, \"faults\": %zu,\n \"items\": [", set->n,
                      verify_count_faults(set));
    for (size_t i = 0; i < set->n; i++) {
        const struct verify_item *item = &set->items[i];
        buffer_add_text(out, i > 0 ? ",\n  {\"output\": " : "\n  {\"output\": ");
        buffer_add_json_string(out, span_text(item->output));
        buffer_add_format(out, ", \"verdict\": \"%s\"", verdict_name(item->verdict));
        if (item->has_record) {
            buffer_add_format(out, ", \"rows\": %llu, \"sha256\": \"%s\"",
                              (unsigned long long)item->record.rows_out, item->record.sha256);
        }
        if (item->record.salvaged) buffer_add_text(out, ", \"salvaged\": true");
        if (item->record.trailing) buffer_add_text(out, ", \"trailing\": true");
        if (item->record.has_rejects) {
            buffer_add_format(out, ", \"rejects\": %llu",
                              (unsigned long long)item->record.rejects_rows);
        }
        if (item->verdict != VERDICT_GOOD) {
            buffer_add_text(out, ", \"what\": ");
            buffer_add_json_string(out, span_text(item->what));
        }
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, "\n ]");
}

enum status verify_conclude(const struct verify_set *set, struct error *error) {
    const size_t n = verify_count_faults(set);
    enum status status = n > 0 ? STATUS_ROWS : STATUS_OK;
    for (size_t i = 0; i < set->n; i++) {
        const struct verify_item *item = &set->items[i];
        if (item->verdict != VERDICT_UNREADABLE || status == STATUS_IO) continue;
        status = item->unreadable;
    }
    if (status == STATUS_OK) return status;
    return error_set(error, status, "%zu of %zu outputs %s good%s", n, set->n,
                     n == 1 ? "is not" : "are not",
                     status == STATUS_ROWS ? "; label them again" : ": not all could be read");
}

// ---- the command

static enum status name_outputs(const struct options *options, struct plan *plan,
                                struct error *error) {
    *plan = (struct plan){0};
    if (options->output != NULL) {
        struct catalog_words words;
        enum status status = catalog_words(options, &words, error);
        return status == STATUS_OK ? catalog_plan(options, &words, plan, error) : status;
    }
    if (options->n_inputs == 0) {
        return error_set(error, STATUS_USAGE, "give the outputs, or the directory they are in");
    }
    enum status status = STATUS_OK;
    for (int i = 0; i < options->n_inputs && status == STATUS_OK; i++) {
        status = catalog_add_outputs(options->inputs[i], plan, error);
    }
    return status;
}

static enum status print(const struct options *options, const struct verify_set *set,
                         struct error *error) {
    struct buffer text = {0};
    char count[32];
    if (options->json) {
        buffer_add_text(&text, "{");
        verify_add_json(set, &text);
        buffer_add_text(&text, "}\n");
    } else {
        uint64_t rows = 0;
        for (size_t i = 0; i < set->n; i++) {
            if (set->items[i].verdict == VERDICT_GOOD) rows += set->items[i].record.rows_out;
        }
        verify_add_faults(set, &text);
        const size_t n_good = set->n - verify_count_faults(set);
        buffer_add_format(&text, "%zu of %zu outputs are good%s, with %s rows\n", n_good, set->n,
                          options->quick ? " by their records and sizes" : "",
                          with_commas(rows, count));
    }
    enum status status = catalog_print(&text, error);
    buffer_free(&text);
    return status;
}

enum status command_verify(const struct options *options, struct error *error) {
    struct plan plan;
    struct verify_set set = {0};
    stop_listen();
    enum status status = name_outputs(options, &plan, error);
    if (status == STATUS_OK && plan.n_items == 0 && plan.n_all == 0) {
        status = error_set(error, STATUS_INPUT, "%s: no outputs of wader's there",
                           options->output != NULL ? options->output : options->inputs[0]);
    }
    if (status == STATUS_OK) status = verify_begin(options, &plan, &set, error);
    if (status == STATUS_OK) status = verify_run(options, &set, error);
    if (status == STATUS_OK && (!options->quiet || options->json)) {
        status = print(options, &set, error);
    }
    if (status == STATUS_OK) status = verify_conclude(&set, error);
    verify_set_free(&set);
    free(set.items);
    plan_free(&plan);
    return status;
}

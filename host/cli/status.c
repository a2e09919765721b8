// SPDX-License-Identifier: Apache-2.0
//
// `wader status`: how far a catalog is, and what to run again.
#include <stdlib.h>
#include <string.h>

#include "host/cli/catalog.h"
#include "host/cli/commands.h"
#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/job/survey.h"

enum { SHOWN = 20 };  // outputs that are not done; -v shows all

struct overview {
    const struct options *options;
    struct plan plan;
    struct survey_item *items;  // [plan.n_items]
    size_t n[OUTPUT_STATES];
    uint64_t rows, bad, tokens;  // of those that are done
    bool *again;                 // [options->shards]: to be run again
};

static void add_up(struct overview *overview) {
    for (size_t i = 0; i < overview->plan.n_items; i++) {
        const struct survey_item *item = &overview->items[i];
        overview->n[item->state]++;
        overview->rows += item->rows;
        overview->bad += item->bad;
        overview->tokens += item->tokens;
        if (overview->again == NULL || item->state == OUTPUT_DONE ||
            item->state == OUTPUT_RUNNING) {
            continue;
        }
        overview->again[i % (size_t)overview->options->shards] = true;
    }
}

// "3,7-9", as Slurm's --array takes it; nothing where there is nothing to run.
static void add_array(const struct overview *overview, struct buffer *out) {
    const int n = overview->options->shards;
    bool begun = false;
    for (int i = 0, end; i < n; i = end) {
        end = i + 1;
        if (!overview->again[i]) continue;
        while (end < n && overview->again[end]) end++;
        buffer_add_format(out, "%s%d", begun ? "," : "", i);
        if (end - i > 1) buffer_add_format(out, "-%d", end - 1);
        begun = true;
    }
}

static bool any_again(const struct overview *overview) {
    for (int i = 0; overview->again != NULL && i < overview->options->shards; i++) {
        if (overview->again[i]) return true;
    }
    return false;
}

// ---- text

static void add_saved(const struct survey_item *item, struct buffer *out) {
    char count[32];
    if (item->saved_rows == 0) return;
    buffer_add_format(out, ": %s rows are saved", with_commas(item->saved_rows, count));
    if (item->saved_share > 0.0) buffer_add_format(out, ", %.0f %%", 100.0 * item->saved_share);
}

static void add_text(const struct overview *overview, struct buffer *out) {
    const struct plan *plan = &overview->plan;
    char count[32];
    buffer_add_format(out, "%zu output%s:", plan->n_items, plan->n_items == 1 ? "" : "s");
    for (int s = 0, shown = 0; s < OUTPUT_STATES; s++) {
        if (overview->n[s] == 0 && s != OUTPUT_DONE) continue;
        buffer_add_format(out, "%s %zu %s", shown++ > 0 ? "," : "", overview->n[s],
                          output_state_name((enum output_state)s));
    }
    buffer_add_format(out, "\n%s rows in those that are done", with_commas(overview->rows, count));
    buffer_add_format(out, ", %s of them bad", with_commas(overview->bad, count));
    buffer_add_format(out, ", %s tokens\n", with_commas(overview->tokens, count));
    size_t shown = 0, left_out = 0;
    for (size_t i = 0; i < plan->n_items; i++) {
        const enum output_state state = overview->items[i].state;
        if (state == OUTPUT_DONE) continue;
        if (shown == SHOWN && !overview->options->verbose) {
            left_out++;
            continue;
        }
        shown++;
        buffer_add_format(out, "%-12s ", output_state_name(state));
        catalog_add_name(out, plan->items[i].output);
        if (plan->items[i].input[0] != '\0') {
            buffer_add_text(out, "  of ");
            catalog_add_name(out, plan->items[i].input);
        }
        add_saved(&overview->items[i], out);
        buffer_add_text(out, "\n");
    }
    if (left_out > 0) buffer_add_format(out, "... and %zu more; -v shows all\n", left_out);
    if (!any_again(overview)) return;
    buffer_add_text(out, "to run again: --array=");
    add_array(overview, out);
    buffer_add_format(out, " with --shard auto and WADER_SHARDS=%d\n", overview->options->shards);
}

// ---- JSON

static void add_json(const struct overview *overview, struct buffer *out) {
    const struct plan *plan = &overview->plan;
    buffer_add_format(out, "{\"outputs\": %zu", plan->n_items);
    for (int s = 0; s < OUTPUT_STATES; s++) {
        buffer_add_format(out, ", \"%s\": %zu", output_state_name((enum output_state)s),
                          overview->n[s]);
    }
    buffer_add_format(out, ", \"rows\": %llu, \"bad\": %llu, \"tokens\": %llu",
                      (unsigned long long)overview->rows, (unsigned long long)overview->bad,
                      (unsigned long long)overview->tokens);
    if (overview->again != NULL) {
        buffer_add_format(out, ", \"shards\": %d, \"array\": \"", overview->options->shards);
        add_array(overview, out);
        buffer_add_text(out, "\"");
    }
    buffer_add_text(out, ",\n \"items\": [");
    for (size_t i = 0; i < plan->n_items; i++) {
        const struct survey_item *item = &overview->items[i];
        buffer_add_text(out, i > 0 ? ",\n  {\"output\": " : "\n  {\"output\": ");
        buffer_add_json_string(out, span_text(plan->items[i].output));
        if (plan->items[i].input[0] != '\0') {
            buffer_add_text(out, ", \"input\": ");
            buffer_add_json_string(out, span_text(plan->items[i].input));
        }
        buffer_add_format(out, ", \"state\": \"%s\"", output_state_name(item->state));
        if (item->state == OUTPUT_DONE) {
            buffer_add_format(out, ", \"rows\": %llu, \"bad\": %llu",
                              (unsigned long long)item->rows, (unsigned long long)item->bad);
        }
        if (item->saved_rows > 0) {
            buffer_add_format(out, ", \"saved_rows\": %llu, \"saved_share\": %.4f",
                              (unsigned long long)item->saved_rows, item->saved_share);
        }
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, "\n ]}\n");
}

// ---- all of it

static enum status look(struct overview *overview, struct error *error) {
    const struct options *options = overview->options;
    struct catalog_words words;
    void *memory;
    enum status status = catalog_words(options, &words, error);
    if (status == STATUS_OK && options->shards > 0 &&
        (words.n_inputs == 0 || options->shard != NULL)) {
        return error_set(
            error, STATUS_USAGE,
            "--shards %d: which share an output is of, all the INPUTs tell: give them, "
            "and no --shard",
            options->shards);
    }
    if (status == STATUS_OK) status = catalog_plan(options, &words, &overview->plan, error);
    if (status == STATUS_OK && options->shards > 0) {
        status = alloc_zeroed(&memory, (size_t)options->shards, sizeof *overview->again, "shares",
                              error);
        overview->again = memory;
    }
    if (status != STATUS_OK) return status;
    status =
        alloc_zeroed(&memory, overview->plan.n_items, sizeof *overview->items, "outputs", error);
    overview->items = memory;
    return status == STATUS_OK ? survey(&overview->plan, overview->items, error) : status;
}

enum status command_status(const struct options *options, struct error *error) {
    struct overview overview = {.options = options};
    struct buffer text = {0};
    stop_at_once();
    enum status status = look(&overview, error);
    if (status == STATUS_OK) {
        add_up(&overview);
        if (options->json) {
            add_json(&overview, &text);
        } else {
            add_text(&overview, &text);
        }
        if (!options->quiet || options->json) status = catalog_print(&text, error);
    }
    const size_t n = overview.plan.n_items, n_done = overview.n[OUTPUT_DONE];
    if (status == STATUS_OK && (n_done < n || (n == 0 && overview.plan.n_all == 0))) {
        status = error_set(error, STATUS_ROWS, "%zu of %zu outputs %s done%s", n - n_done, n,
                           n - n_done == 1 ? "is not" : "are not", n == 0 ? ": there is none" : "");
    }
    buffer_free(&text);
    free(overview.again);
    free(overview.items);
    plan_free(&overview.plan);
    return status;
}

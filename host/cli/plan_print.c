// SPDX-License-Identifier: Apache-2.0
//
// `wader plan` for people and for machines.
#include <math.h>
#include <string.h>

#include "host/cli/catalog.h"
#include "host/cli/plan.h"
#include "host/cli/report.h"

enum { BAR_COLUMNS = 40 };

struct text {
    char text[96];
};

static struct text commas(double n) {
    struct text out;
    char number[32];
    snprintf(out.text, sizeof out.text, "%s", with_commas((uint64_t)llround(n), number));
    return out;
}

// "1.2 GB", in thousands.
static struct text bytes(double n) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    struct text out;
    size_t i = 0;
    for (; n >= 999.5 && i + 1 < ARRAY_LEN(units); i++) n /= 1000;
    snprintf(out.text, sizeof out.text, n < 9.95 && i > 0 ? "%.1f %s" : "%.0f %s", n, units[i]);
    return out;
}

static struct text hours(double seconds) {
    struct text out;
    const uint64_t s = (uint64_t)llround(seconds);
    snprintf(out.text, sizeof out.text, "%llu:%02u:%02u", (unsigned long long)(s / 3600),
             (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    return out;
}

// " (from 1 to 2)" where it is not known exactly.
static void add_range(struct buffer *out, struct estimate figure, struct text (*print)(double)) {
    if (figure.low == figure.high) return;
    buffer_add_format(out, " (%s to %s)", print(figure.low).text, print(figure.high).text);
}

static void add_figure(struct buffer *out, const char *name, struct estimate figure,
                       struct text (*print)(double)) {
    buffer_add_format(out, "%-12s %s", name, print(figure.value).text);
    add_range(out, figure, print);
}

static double per(double a, double b) {
    return b > 0 ? a / b : 0;
}

static void add_lengths(const struct plan_report *report, struct buffer *out) {
    const uint64_t *lengths = report->sample.lengths;
    uint64_t sum = 0, most = 1;
    for (int i = 0; i < PLAN_LENGTHS; i++) {
        sum += lengths[i];
        most = lengths[i] > most ? lengths[i] : most;
    }
    for (int i = 0; i < PLAN_LENGTHS; i++) {
        if (lengths[i] == 0) continue;
        const int first = i > 0 ? plan_length_end(i - 1) + 1 : 2, last = plan_length_end(i);
        const int bar = (int)((double)lengths[i] * BAR_COLUMNS / (double)most + 0.5);
        buffer_add_format(out, "  %5d to %-5d %5.1f %%  %.*s\n", first,
                          last < report->engine.max_length ? last : report->engine.max_length,
                          100 * per((double)lengths[i], (double)sum), bar,
                          "########################################");
    }
}

static void add_bad(const struct plan_report *report, struct buffer *out) {
    bool any = false;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        const uint64_t n = report->sample.by_status[s];
        if (n == 0 || !record_is_bad((enum record_status)s)) continue;
        buffer_add_format(out, "%s%s %llu", any ? ", " : "; in what was read: ",
                          record_status_name((enum record_status)s), (unsigned long long)n);
        any = true;
    }
}

static void add_memory(const struct plan_report *report, struct buffer *out) {
    char what[64];
    const char *why;
    describe_device(&report->device, what, sizeof what, &why);
    buffer_add_format(out, "%-12s ", "memory");
    if (report->device.is_cuda) {
        buffer_add_format(out, "%s on each GPU", bytes((double)report->cuda.device_nbytes).text);
        buffer_add_format(out, ", %s of pinned host memory",
                          bytes((double)report->cuda.pinned_nbytes).text);
    } else {
        const double all = (double)report->cpu.weights_nbytes + (double)report->cpu.working_nbytes;
        buffer_add_format(out, "%s for weights and batches, the word embeddings' pages",
                          bytes(all).text);
    }
    buffer_add_format(out, ", at most %s for all else",
                      bytes((double)rest_nbytes_most(report->options, report->engine.model)).text);
    buffer_add_format(out, " (%s; `wader info` tells more)\n", what);
}

static void add_time(const struct plan_report *report, struct buffer *out) {
    const struct options *options = report->options;
    buffer_add_format(out, "%-12s %s titles/s", "rate", commas(report->rate.value).text);
    add_range(out, report->rate, commas);
    buffer_add_format(
        out, ", %s\n",
        report->is_measured ? "measured here with titles of the sample" : "as --titles-per-s says");
    add_figure(out, "time", report->seconds, hours);
    buffer_add_text(out, "\n");
    if (options->shards == 0) return;
    const struct estimate longest = estimate_times(report->seconds, report->longest_share);
    buffer_add_format(out, "%-12s of %d shares the longest has %.1f %% of the bytes: %s", "shares",
                      options->shards, 100 * report->longest_share, hours(longest.value).text);
    add_range(out, longest, hours);
    buffer_add_text(out, "\n");
}

void plan_add_text(const struct plan_report *report, struct buffer *out) {
    const struct plan_sample *sample = &report->sample;
    buffer_add_format(out, "%-12s %zu file%s, %s\n", "inputs", report->plan.n_items,
                      report->plan.n_items == 1 ? "" : "s",
                      bytes((double)report->input_nbytes).text);
    if (sample->is_whole) {
        buffer_add_format(out, "%-12s all of it\n", "read");
    } else {
        buffer_add_format(out,
                          "%-12s %s of it, the beginnings of %zu; figures are estimates, with "
                          "their 95 %% intervals\n",
                          "read", bytes((double)sample->nbytes).text, sample->n_files);
    }
    add_figure(out, "records", report->records, commas);
    buffer_add_text(out, "\n");
    add_figure(out, "titles", report->titles, commas);
    buffer_add_text(out, "\n");
    add_figure(out, "bad", report->bad, commas);
    add_bad(report, out);
    buffer_add_text(out, "\n");
    add_figure(out, "tokens", report->tokens, commas);
    buffer_add_format(out, ", %.1f a title\n", per(report->tokens.value, report->titles.value));
    add_lengths(report, out);
    add_figure(out, "truncated", report->truncated, commas);
    buffer_add_format(out, ", %.2f %% at %d tokens\n",
                      100 * per(report->truncated.value, report->titles.value),
                      (int)report->engine.max_length);
    add_time(report, out);
    add_figure(out, "rows", report->row_nbytes, bytes);
    buffer_add_text(out, "\n");
    add_figure(out, "disk", report->file_nbytes, bytes);
    if (report->scores_nbytes.value > 0) {
        buffer_add_format(out, ", and %s of kept scores", bytes(report->scores_nbytes.value).text);
    }
    if (report->has_room) {
        buffer_add_format(out, "; %s free at ", bytes((double)report->free_nbytes).text);
        catalog_add_name(out, report->room_of);
    }
    buffer_add_text(out, "\n");
    add_memory(report, out);
}

// ---- JSON

static void add_json_figure(struct buffer *out, const char *name, struct estimate figure) {
    buffer_add_format(out, ",\n \"%s\": {\"value\": %.6g, \"low\": %.6g, \"high\": %.6g}", name,
                      figure.value, figure.low, figure.high);
}

// Counts: whole numbers.
static void add_json_count(struct buffer *out, const char *name, struct estimate figure) {
    buffer_add_format(out, ",\n \"%s\": {\"value\": %.0f, \"low\": %.0f, \"high\": %.0f}", name,
                      figure.value, figure.low, figure.high);
}

static void add_json_sample(const struct plan_report *report, struct buffer *out) {
    const struct plan_sample *sample = &report->sample;
    buffer_add_format(out,
                      ",\n \"sample\": {\"is_whole\": %s, \"files\": %zu, \"nbytes\": %llu, "
                      "\"bad\": {",
                      sample->is_whole ? "true" : "false", sample->n_files,
                      (unsigned long long)sample->nbytes);
    bool any = false;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        if (sample->by_status[s] == 0 || !record_is_bad((enum record_status)s)) continue;
        buffer_add_format(out, "%s\"%s\": %llu", any ? ", " : "",
                          record_status_name((enum record_status)s),
                          (unsigned long long)sample->by_status[s]);
        any = true;
    }
    buffer_add_text(out, "}, \"lengths\": [");
    for (int i = 0; i < PLAN_LENGTHS; i++) {
        buffer_add_format(out, "%s{\"to\": %d, \"titles\": %llu}", i > 0 ? ", " : "",
                          (int)plan_length_end(i), (unsigned long long)sample->lengths[i]);
    }
    buffer_add_text(out, "]}");
}

static void add_json_memory(const struct plan_report *report, struct buffer *out) {
    if (report->device.is_cuda) {
        buffer_add_format(out, ",\n \"memory\": {\"device_nbytes\": %zu, \"pinned_nbytes\": %zu",
                          report->cuda.device_nbytes, report->cuda.pinned_nbytes);
    } else {
        buffer_add_format(out, ",\n \"memory\": {\"weights_nbytes\": %zu, \"working_nbytes\": %zu",
                          report->cpu.weights_nbytes, report->cpu.working_nbytes);
    }
    buffer_add_format(out, ", \"rest_nbytes\": %zu}",
                      rest_nbytes_most(report->options, report->engine.model));
}

void plan_add_json(const struct plan_report *report, struct buffer *out) {
    const struct options *options = report->options;
    buffer_add_format(out, "{\"files\": %zu, \"input_nbytes\": %llu, \"max_length\": %d",
                      report->plan.n_items, (unsigned long long)report->input_nbytes,
                      (int)report->engine.max_length);
    add_json_count(out, "records", report->records);
    add_json_count(out, "titles", report->titles);
    add_json_count(out, "bad", report->bad);
    add_json_count(out, "tokens", report->tokens);
    add_json_count(out, "truncated", report->truncated);
    add_json_count(out, "plain_nbytes", report->plain_nbytes);
    add_json_count(out, "row_nbytes", report->row_nbytes);
    add_json_count(out, "file_nbytes", report->file_nbytes);
    add_json_count(out, "scores_nbytes", report->scores_nbytes);
    add_json_figure(out, "titles_per_s", report->rate);
    buffer_add_format(out, ",\n \"rate_is\": \"%s\"", report->is_measured ? "measured" : "given");
    add_json_figure(out, "seconds", report->seconds);
    if (options->shards > 0) {
        buffer_add_format(out, ",\n \"shards\": %d, \"longest_share\": %.6f", options->shards,
                          report->longest_share);
        add_json_figure(out, "longest_seconds",
                        estimate_times(report->seconds, report->longest_share));
    }
    if (report->has_room) {
        buffer_add_format(
            out, ",\n \"free_nbytes\": %llu, \"fits\": %s", (unsigned long long)report->free_nbytes,
            plan_disk_nbytes(report) <= (double)report->free_nbytes ? "true" : "false");
    }
    add_json_sample(report, out);
    add_json_memory(report, out);
    buffer_add_text(out, "}\n");
}

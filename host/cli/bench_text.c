// SPDX-License-Identifier: Apache-2.0
//
// `wader bench` on a terminal: one screen of 100 columns.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/bench.h"
#include "host/cli/report.h"

enum { COLUMNS = 100, INDENT = 12 };

const char *bench_figure(double value, char text[FIGURE_NBYTES]) {
    if (!(value < 1e15)) {
        snprintf(text, FIGURE_NBYTES, "%g", value);
    } else if (value < 99.95) {
        const int decimals = value >= 9.995 || value == 0 ? 1 : value >= 0.095 ? 2 : 4;
        snprintf(text, FIGURE_NBYTES, "%.*f", decimals, value);
    } else {
        with_commas((uint64_t)(value + 0.5), text);
    }
    return text;
}

void bench_stage_title(const struct bench_stage *stage, char *text, size_t cap) {
    const char *suffix = strstr(stage->name, "_1");
    if (strcmp(stage->name, "end_to_end") == 0) {
        snprintf(text, cap, "end to end");
    } else if (suffix != NULL) {
        snprintf(text, cap, "%.*s", (int)(suffix - stage->name), stage->name);
    } else {
        snprintf(text, cap, "%s", stage->name);
    }
}

// ---- lines of words

// What a terminal would act on is left out; bytes that are no UTF-8 do not come from here.
static void add_clean(struct buffer *out, const struct buffer *text) {
    for (size_t i = 0; i < text->len; i++) {
        const unsigned char c = (unsigned char)text->bytes[i];
        const char shown = c < 0x20 || c == 0x7f ? '?' : (char)c;
        buffer_add(out, &shown, 1);
    }
}

// A number stays with its per cent sign.
static bool may_break(const char *at) {
    return at[0] == ' ' && at[1] != '%';
}

// "name      text", broken at spaces; a word that is too long for a line is cut apart.
static void add_block(struct buffer *out, const char *name, const struct buffer *text) {
    struct buffer clean = {0};
    add_clean(&clean, text);
    size_t at = 0;
    bool first = true;
    while (at < clean.len || first) {
        const size_t room = COLUMNS - INDENT;
        size_t n = clean.len - at;
        if (n > room) {
            n = room;
            while (n > 0 && !may_break(clean.bytes + at + n)) n--;
            if (n == 0) n = room;
        }
        buffer_add_format(out, "%-*s%.*s\n", INDENT, first ? name : "", (int)n, clean.bytes + at);
        at += n;
        while (at < clean.len && clean.bytes[at] == ' ') at++;
        first = false;
    }
    out->failed = out->failed || clean.failed;
    buffer_free(&clean);
}

#define BLOCK(out, name, ...)                          \
    do {                                               \
        struct buffer text_ = {0};                     \
        buffer_add_format(&text_, __VA_ARGS__);        \
        add_block(out, name, &text_);                  \
        (out)->failed = (out)->failed || text_.failed; \
        buffer_free(&text_);                           \
    } while (0)

// ---- what was measured, and where

static void add_head(const struct bench_report *report, const struct bench_lengths *lengths,
                     struct buffer *out) {
    const struct host_facts *host = &report->host;
    const struct engine *engine = &report->engine;
    const struct bert_config *config = &engine->model->config;
    const struct corpus *corpus = &report->corpus;
    char n[FIGURE_NBYTES], records[FIGURE_NBYTES + 32] = "";
    BLOCK(out, "model", "%s: %d layers, %d wide, %d heads, feed-forward %d; %s on %s%s%s%s, %s",
          report->options->model, config->n_layers, config->hidden_size, config->n_heads,
          config->intermediate_size, engine->precision, engine->device,
          engine->hardware[0] != '\0' ? " (" : "", engine->hardware,
          engine->hardware[0] != '\0' ? ")" : "", engine->workers);
    BLOCK(out, "machine", "%s, %d of %d processors, %.1f GiB, load %.2f before; %s (%s); %s",
          host->cpu, host->processors, host->processors_online,
          (double)host->memory_nbytes / (1 << 30), host->load, host->kernels, host->flags,
          host->system);
    BLOCK(out, "libraries", "wader %s, %s", WADER_VERSION, host->libraries);
    add_block(out, "command", &report->command);
    if (report->input == NULL) {
        snprintf(records, sizeof records, "made up, --lengths %.16s", report->options->lengths);
    } else {
        snprintf(records, sizeof records, "of %s records",
                 bench_figure((double)corpus->n_records, n));
    }
    BLOCK(out, "titles",
          "%s %s%s%s%s; %.1f tokens each (median %d, 95 %% up to %d, most %d), %.0f bytes",
          with_commas((uint64_t)corpus->n_titles, n), records, report->input != NULL ? " in " : "",
          report->input != NULL ? report->input : "", corpus->is_cut ? " (its beginning)" : "",
          lengths->mean, (int)lengths->median, (int)lengths->p95, (int)lengths->max,
          lengths->nbytes);
}

static void add_ceilings(const struct bench_report *report, struct buffer *out) {
    const struct ceilings *ceilings = &report->result.ceilings;
    const int n = report->engine.n_threads;
    struct buffer text = {0};
    buffer_add_format(&text, "copy %.1f GB/s in cache, %.1f in memory",
                      samples_spread(&ceilings->copy).max * 1e-9,
                      samples_spread(&ceilings->memory).max * 1e-9);
    if (n > 1) {
        buffer_add_format(&text, " (%d threads: %.1f)", n,
                          samples_spread(&ceilings->memory_all).max * 1e-9);
    }
    if (ceilings->has_gemm) {
        buffer_add_format(&text, "; %s products of %d x %d by %d x %d: %.1f GFLOP/s",
                          report->engine.precision, ceilings->gemm_rows, ceilings->gemm_in,
                          ceilings->gemm_in, ceilings->gemm_out,
                          samples_spread(&ceilings->gemm).max * 1e-9);
        const bool is_cuda = report->engine.is_cuda;
        const int n_all = is_cuda ? report->engine.n_workers : n;
        if (n_all > 1) {
            buffer_add_format(&text, " (%d %s: %.1f)", n_all, is_cuda ? "GPUs" : "threads",
                              samples_spread(&ceilings->gemm_all).max * 1e-9);
        }
    }
    add_block(out, "ceilings", &text);
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

// ---- the table

static void add_share(struct buffer *out, double share) {
    const double percent = 100 * share;
    const int decimals = percent < 0.095 ? 2 : percent < 9.95 ? 1 : 0;
    buffer_add_format(out, "%6.*f %%", decimals, percent);
}

static void add_stage(const struct bench_stage *stage, struct buffer *out) {
    char title[32], titles[FIGURE_NBYTES], tokens[FIGURE_NBYTES], rate[FIGURE_NBYTES];
    char ceiling[FIGURE_NBYTES] = "";
    if (!stage->is_measured) return;
    bench_stage_title(stage, title, sizeof title);
    if (stage->ceiling_name != NULL) bench_figure(stage->ceiling, ceiling);
    buffer_add_format(out, "%-*s%7d %13s %14s %11s %-8s %10s ", INDENT, title,
                      (int)stage->n_threads, bench_figure(stage->titles_per_s, titles),
                      bench_figure(stage->tokens_per_s, tokens),
                      bench_figure(stage->rate.median, rate), stage->unit, ceiling);
    if (stage->ceiling_name != NULL) {
        add_share(out, stage->share);
    } else {
        buffer_add_text(out, "       -");
    }
    const double half = 50 * (stage->rate.max - stage->rate.min) / stage->rate.median;
    buffer_add_format(out, "  \xc2\xb1%3.0f %%\n", half);
}

static void add_table(const struct bench_report *report, struct buffer *out) {
    buffer_add_format(out, "\n%-*s%7s %13s %14s %20s %10s %8s  %6s\n", INDENT, "stage", "threads",
                      "titles/s", "tokens/s", "rate        ", "ceiling", "share", "range");
    for (int id = 0; id < STAGES; id++) add_stage(&report->result.stages[id], out);
    buffer_add_text(out, "\n");
}

// ---- what it says

static void add_busy(const struct bench_report *report, struct buffer *out) {
    const struct bench_result *result = &report->result;
    const struct bench_stage *whole = &result->stages[STAGE_END_TO_END];
    char titles[FIGURE_NBYTES], tokens[FIGURE_NBYTES], n[FIGURE_NBYTES];
    BLOCK(out, "end to end",
          "%s titles/s, %s tokens/s (%s titles in %.2f s); busy: reading %.0f %%, tokenizing "
          "%.0f %%, encoding %.0f %%, writing %.0f %% of their threads' time",
          bench_figure(whole->titles_per_s, titles), bench_figure(whole->tokens_per_s, tokens),
          with_commas((uint64_t)result->run_titles, n), result->run_seconds,
          100 * result->busy.read, 100 * result->busy.tokenize, 100 * result->busy.encode,
          100 * result->busy.write);
}

static void add_works(const struct bench_result *result, struct buffer *text) {
    double total = 0;
    for (int w = 0; w < ENCODER_WORKS; w++) total += result->profile[w].median;
    if (!result->has_profile || !(total > 0)) return;
    buffer_add_text(text, "; its time: ");
    const char *separator = "";
    for (int w = 0; w < ENCODER_WORKS; w++) {
        const double share = result->profile[w].median / total;
        if (share < 0.0005) continue;
        buffer_add_format(text, "%s%s %.1f %%", separator, encoder_work_name((enum encoder_work)w),
                          100 * share);
        separator = ", ";
    }
}

static void add_encoder(const struct bench_report *report, struct buffer *out) {
    const struct bench_result *result = &report->result;
    const struct flops *flops = &result->flops;
    const double titles = flops->titles > 0 ? (double)flops->titles : 1;
    char each[FIGURE_NBYTES];
    struct buffer text = {0};
    buffer_add_format(&text, "%s MFLOP a title", bench_figure(flops->total / titles * 1e-6, each));
    if (result->mfu > 0) {
        buffer_add_format(&text,
                          "; model FLOP utilisation %.1f %% of the products' ceiling, end to end "
                          "%.1f %%",
                          100 * result->mfu, 100 * result->end_to_end_mfu);
    }
    buffer_add_format(&text, "; padding efficiency %.1f %% (rows: tokens %.1f %%, [CLS] %.1f %%)",
                      100 * flops_padding_efficiency(flops),
                      100 * (double)flops->tokens / (double)flops->token_rows,
                      100 * (double)flops->titles / (double)flops->title_rows);
    add_works(result, &text);
    add_block(out, "encoder", &text);
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

static void add_feed(const struct bench_report *report, struct buffer *out) {
    const struct verdict *verdict = &report->verdict;
    char ns[FIGURE_NBYTES], feed[FIGURE_NBYTES], hundred[FIGURE_NBYTES], each[FIGURE_NBYTES];
    struct buffer text = {0};
    buffer_add_format(&text,
                      "%s ns of a core a title, so %s cores for every 100,000 titles/s of a GPU; "
                      "one run here feeds up to %s titles/s",
                      bench_figure(report->result.host_ns, ns),
                      bench_figure(verdict->cores_per_100k, hundred),
                      bench_figure(verdict->feed_titles_per_s, feed));
    if (verdict->cores_per_worker > 0) {
        buffer_add_format(&text, "; each GPU needs %s cores at its rate here",
                          bench_figure(verdict->cores_per_worker, each));
    }
    add_block(out, "host", &text);
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

void bench_print_text(const struct bench_report *report, const struct bench_lengths *lengths,
                      struct buffer *out) {
    const struct bench_result *result = &report->result;
    const struct spread startup = samples_spread(&report->startup);
    struct buffer bound = {0}, lift = {0};
    add_head(report, lengths, out);
    add_ceilings(report, out);
    add_table(report, out);
    add_busy(report, out);
    add_encoder(report, out);
    verdict_bound(&report->settings, result, &report->verdict, &bound);
    verdict_lift(&report->settings, result, &report->verdict, &lift);
    add_block(out, "bound", &bound);
    add_block(out, "lift", &lift);
    add_feed(report, out);
    BLOCK(out, "start-up",
          "%.3f s from command to first label (%.3f to %.3f), files in the page "
          "cache",
          startup.median, startup.min, startup.max);
    BLOCK(out, "measured",
          "%d rounds after one to warm up, medians, in %.1f s; range: half of "
          "what lies between the slowest and the quickest%s",
          result->n_rounds, result->seconds,
          report->host.load > 0.5 * report->host.processors
              ? "; the machine was busy with other things: take these figures with care"
              : "");
    out->failed = out->failed || bound.failed || lift.failed;
    buffer_free(&bound);
    buffer_free(&lift);
}

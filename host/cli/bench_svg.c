// SPDX-License-Identifier: Apache-2.0
//
// `wader bench --svg`: one picture, valid XML by itself. It asks for no font or file and runs
// nothing; what comes from a model or a command line is escaped like any text.
#include "host/cli/bench_svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/utf8.h"
#include "host/cli/report.h"

enum { WIDTH = 1120, HEIGHT = 600, MARGIN = 32, TOP = 118, LINE_BYTES = 150, NAME_BYTES = 40 };

void svg_escape(struct buffer *out, struct span text) {
    struct buffer clean = {0};
    buffer_add_utf8(&clean, text);
    for (size_t i = 0; i < clean.len; i++) {
        const unsigned char c = (unsigned char)clean.bytes[i];
        const char *escaped = c == '&'   ? "&amp;"
                              : c == '<' ? "&lt;"
                              : c == '>' ? "&gt;"
                              : c == '"' ? "&quot;"
                              : c < 0x20 ? "?"
                                         : NULL;
        if (escaped != NULL) {
            buffer_add_text(out, escaped);
        } else {
            buffer_add(out, clean.bytes + i, 1);
        }
    }
    out->failed = out->failed || clean.failed;
    buffer_free(&clean);
}

void svg_text(struct buffer *out, double x, double y, const char *kind, const char *anchor,
              const char *text) {
    buffer_add_format(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", kind, x,
                      y, anchor);
    svg_escape(out, span_text(text));
    buffer_add_text(out, "</text>\n");
}

struct svg_axis svg_axis_of(double least, double most) {
    const struct svg_axis axis = {pow(10, floor(log10(least))), pow(10, ceil(log10(most)))};
    return axis.high > axis.low ? axis : (struct svg_axis){axis.low, 10 * axis.low};
}

double svg_place(const struct svg_axis *axis, double value) {
    if (!(value > axis->low)) return 0;
    return log10(value / axis->low) / log10(axis->high / axis->low);
}

const char *svg_decade(double value, char text[FIGURE_NBYTES]) {
    if (value < 0.99) {
        snprintf(text, FIGURE_NBYTES, "%g", value);
    } else if (value < 999999) {
        with_commas((uint64_t)(value + 0.5), text);
    } else {
        snprintf(text, FIGURE_NBYTES, value < 9.9e8 ? "%.0f M" : "%.0f G",
                 value < 9.9e8 ? value * 1e-6 : value * 1e-9);
    }
    return text;
}

// A line of words, cut where it would leave the picture.
static void add_line(struct buffer *out, double y, const char *kind, const struct buffer *text) {
    struct span shown = {text->bytes, text->len};
    const bool is_cut = shown.len > LINE_BYTES;
    if (is_cut) {
        shown.len = LINE_BYTES;
        while (shown.len > 0 && ((unsigned char)shown.ptr[shown.len] & 0xC0) == 0x80) shown.len--;
    }
    buffer_add_format(out, "<text class=\"%s\" x=\"%d\" y=\"%.1f\">", kind, (int)MARGIN, y);
    svg_escape(out, shown);
    buffer_add_text(out, is_cut ? " \xe2\x80\xa6</text>\n" : "</text>\n");
}

static void add_head(const struct bench_report *report, struct buffer *out) {
    const struct engine *engine = &report->engine;
    const struct bench_stage *whole = &report->result.stages[STAGE_END_TO_END];
    struct buffer line = {0};
    char titles[FIGURE_NBYTES], tokens[FIGURE_NBYTES];
    const char *model = report->options->model;
    size_t len = strlen(model);
    while (len > 1 && model[len - 1] == '/') len--;
    size_t begin = len > NAME_BYTES ? len : 0;
    while (begin > 0 && model[begin - 1] != '/') begin--;
    buffer_add_format(&line, "%.*s, %s on %s, %s: ", (int)(len - begin), model + begin,
                      engine->precision, engine->device, engine->workers);
    buffer_add_format(&line, "%s titles/s, %s tokens/s", bench_figure(whole->titles_per_s, titles),
                      bench_figure(whole->tokens_per_s, tokens));
    add_line(out, 44, "head", &line);
    buffer_clear(&line);
    buffer_add_format(&line, "%s%s%s; %s; wader %s, %s", report->host.cpu,
                      engine->hardware[0] != '\0' ? ", " : "", engine->hardware,
                      report->host.kernels, WADER_VERSION, report->host.libraries);
    add_line(out, 66, "small", &line);
    add_line(out, 84, "small", &report->command);
    out->failed = out->failed || line.failed;
    buffer_free(&line);
}

// Broken at spaces; what does not go on four lines is left to the description.
static void add_foot(const struct bench_report *report, struct buffer *out) {
    struct buffer words = {0}, line = {0};
    verdict_bound(&report->settings, &report->result, &report->verdict, &words);
    buffer_add_text(&words, " ");
    verdict_lift(&report->settings, &report->result, &report->verdict, &words);
    size_t at = 0;
    for (int row = 0; row < 4 && at < words.len; row++) {
        size_t n = words.len - at;
        if (n > LINE_BYTES) {
            n = LINE_BYTES;
            while (n > 1 && (words.bytes[at + n] != ' ' || words.bytes[at + n + 1] == '%')) n--;
        }
        buffer_clear(&line);
        buffer_add(&line, words.bytes + at, n);
        add_line(out, HEIGHT - 74 + 18 * row, "label", &line);
        at += n + 1;
    }
    out->failed = out->failed || words.failed || line.failed;
    buffer_free(&words);
    buffer_free(&line);
}

static void add_description(const struct bench_report *report, struct buffer *out) {
    struct buffer words = {0};
    verdict_bound(&report->settings, &report->result, &report->verdict, &words);
    buffer_add_text(&words, " ");
    verdict_lift(&report->settings, &report->result, &report->verdict, &words);
    for (int id = 0; id < STAGES; id++) {
        const struct bench_stage *stage = &report->result.stages[id];
        char title[32], figure[FIGURE_NBYTES];
        if (!stage->is_measured) continue;
        bench_stage_title(stage, title, sizeof title);
        buffer_add_format(&words, " %s on %d threads: %s titles/s", title, (int)stage->n_threads,
                          bench_figure(stage->titles_per_s, figure));
        if (stage->ceiling_name != NULL) {
            buffer_add_format(&words, ", %.2f %% of its ceiling", 100 * stage->share);
        }
        buffer_add_text(&words, ".");
    }
    buffer_add_text(out,
                    "<title id=\"title\">wader bench: each stage of a run, and the encoder's "
                    "parts, against their ceilings</title>\n<desc id=\"desc\">");
    svg_escape(out, (struct span){words.bytes, words.len});
    buffer_add_text(out, "</desc>\n");
    out->failed = out->failed || words.failed;
    buffer_free(&words);
}

void bench_print_svg(const struct bench_report *report, struct buffer *out) {
    const struct svg_box left = {MARGIN, TOP, 500, 372}, right = {588, TOP, 500, 372};
    const struct svg_box all = {MARGIN, TOP, 1056, 372};
    buffer_add_format(out,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                      "viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"title desc\">\n",
                      WIDTH, HEIGHT, WIDTH, HEIGHT);
    add_description(report, out);
    buffer_add_text(out,
                    "<style>text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,"
                    "\"Noto Sans\",\"Helvetica Neue\",Arial,sans-serif;fill:#1f2328}"
                    ".head{font-size:18px;font-weight:600}.part{font-size:14px;font-weight:600}"
                    ".label{font-size:12px}.small{font-size:11px;fill:#57606a}"
                    ".mark{font-size:11px;font-weight:600}</style>\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    add_head(report, out);
    if (svg_add_roofline(report, &left, out)) {
        svg_add_stages(report, &right, out);
    } else {
        svg_add_stages(report, &all, out);
    }
    add_foot(report, out);
    buffer_add_text(out, "</svg>\n");
}

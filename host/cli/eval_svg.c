// SPDX-License-Identifier: Apache-2.0
//
// `wader eval --svg`: one picture, valid XML by itself. It asks for no font or file and runs
// nothing; names out of a model are escaped like any text.
#include "host/cli/eval_svg.h"

#include <stdio.h>

enum { MARGIN = 28, TOP = 92, PLOT = 300, BARS = 56, BETWEEN = 56 };

#define COLUMN 6.5  // an 11 pixel sans-serif's letters, the wider ones

// ---- text

static void add_escaped(struct buffer *out, const struct buffer *text) {
    for (size_t i = 0; i < text->len; i++) {
        switch (text->bytes[i]) {
            case '&':
                buffer_add_text(out, "&amp;");
                break;
            case '<':
                buffer_add_text(out, "&lt;");
                break;
            case '>':
                buffer_add_text(out, "&gt;");
                break;
            case '"':
                buffer_add_text(out, "&quot;");
                break;
            case '\'':
                buffer_add_text(out, "&#39;");
                break;
            default:
                buffer_add(out, text->bytes + i, 1);
        }
    }
    out->failed = out->failed || text->failed;
}

static void add_cut(struct buffer *out, struct span text, size_t columns) {
    struct buffer cut = {0};
    (void)eval_add_cut(&cut, text, columns);
    add_escaped(out, &cut);
    buffer_free(&cut);
}

void svg_add_name(struct buffer *out, const char *name, size_t columns) {
    add_cut(out, span_text(name), columns);
}

void svg_add_text(struct buffer *out, double x, double y, const char *kind, const char *attributes,
                  struct span text, size_t columns) {
    buffer_add_format(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\"%s>", kind, x, y, attributes);
    add_cut(out, text, columns);
    buffer_add_text(out, "</text>\n");
}

static void add_line(struct buffer *out, double x, double y, const char *kind, const char *text) {
    svg_add_text(out, x, y, kind, "", span_text(text), SVG_SHOWN_COLUMNS);
}

double svg_name_width(const char *name) {
    const size_t columns = eval_columns(span_text(name));
    return COLUMN * (double)(columns < SVG_NAME_COLUMNS ? columns : SVG_NAME_COLUMNS);
}

double svg_names_width(const struct eval_report *report) {
    double widest = 4.0 * COLUMN;
    for (int32_t k = 0; k < report->measures.model.n_labels; k++) {
        const double width = svg_name_width(report->names[k]);
        if (width > widest) widest = width;
    }
    return widest;
}

// ---- reliability

// Behind the bars: a grid of quarters with their numbers, and the line of perfect calibration.
static void add_grid(struct buffer *out, double x, double y) {
    buffer_add_format(out,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"#f6f7f9\"/>\n",
                      x, y, (int)PLOT, (int)PLOT);
    for (int quarter = 0; quarter <= 4; quarter++) {
        const double at = PLOT * quarter / 4.0;
        char number[16];
        snprintf(number, sizeof number, "%.4g", quarter / 4.0);
        buffer_add_format(out, "<path d=\"M%.1f %.1fh%dM%.1f %.1fv%d\" stroke=\"#e1e4e8\"/>\n", x,
                          y + at, (int)PLOT, x + at, y, (int)PLOT);
        svg_add_text(out, x - 8, y + PLOT - at + 4, "small", " text-anchor=\"end\"",
                     span_text(number), 8);
        svg_add_text(out, x + at, y + PLOT + 16, "small", " text-anchor=\"middle\"",
                     span_text(number), 8);
    }
}

static void add_bars(const struct reliability *reliability, struct buffer *out, double x,
                     double y) {
    const double width = (double)PLOT / EVALUATION_BINS;
    uint64_t most = 1;
    for (int b = 0; b < EVALUATION_BINS; b++) {
        if (reliability->bins[b].n > most) most = reliability->bins[b].n;
    }
    for (int b = 0; b < EVALUATION_BINS; b++) {
        const struct reliability_bin *bin = &reliability->bins[b];
        if (bin->n == 0) continue;
        const double share = (double)bin->n_right / (double)bin->n;
        const double mean = bin->sum / (double)bin->n;
        const double tall = BARS * (double)bin->n / (double)most;
        buffer_add_format(out,
                          "<g><title>%llu, mean probability %.3f, right %.3f</title>"
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                          "fill=\"" SVG_RIGHT "\" fill-opacity=\"0.75\"/>",
                          (unsigned long long)bin->n, mean, share, x + width * b + 1,
                          y + PLOT * (1.0 - share), width - 2, PLOT * share);
        // Where the bar would end if probabilities were right.
        buffer_add_format(
            out, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"" SVG_RIGHT "\" stroke-width=\"2\"/>",
            x + width * b + 1, y + PLOT * (1.0 - mean), width - 2);
        buffer_add_format(out,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                          "fill=\"#8b949e\"/></g>\n",
                          x + width * b + 1, y + PLOT + 40 + BARS - tall, width - 2, tall);
    }
}

static void add_best(const struct measures *measures, struct buffer *out, double x, double y) {
    for (int b = 0; measures->place == TEMPERATURE_INSIDE && b < EVALUATION_BINS; b++) {
        const struct reliability_bin *bin = &measures->at_best.bins[b];
        if (bin->n == 0) continue;
        buffer_add_format(out,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#fff\" "
                          "stroke=\"" SVG_BEST "\" stroke-width=\"1.8\"/>\n",
                          x + PLOT * bin->sum / (double)bin->n,
                          y + PLOT * (1.0 - (double)bin->n_right / (double)bin->n));
    }
}

static void add_legend(const struct measures *measures, struct buffer *out, double x, double y) {
    char text[160];
    buffer_add_format(out,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"11\" height=\"11\" fill=\"" SVG_RIGHT
                      "\" fill-opacity=\"0.75\"/>\n",
                      x, y - 10);
    snprintf(text, sizeof text, "temperature %.4g: NLL %.4f, calibration error %.4f",
             measures->model.temperature, measures->reliability.nll, measures->reliability.error);
    add_line(out, x + 18, y, "small", text);
    if (measures->place != TEMPERATURE_INSIDE) return;
    buffer_add_format(out,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#fff\" stroke=\"" SVG_BEST
                      "\" stroke-width=\"1.8\"/>\n",
                      x + 5.5, y + 14);
    snprintf(text, sizeof text, "best temperature %.4g: NLL %.4f, calibration error %.4f",
             measures->temperature, measures->at_best.nll, measures->at_best.error);
    add_line(out, x + 18, y + 18, "small", text);
}

static void add_reliability(const struct measures *measures, struct buffer *out,
                            struct svg_box *box) {
    const bool multi_label = measures->model.multi_label;
    const double x = box->x + 36, y = box->y + 32;
    add_line(out, box->x, box->y, "head", "Reliability");
    add_line(out, box->x, box->y + 17, "small",
             multi_label ? "how often labels of a probability hold; the dash is the probability"
                         : "how often a label is right; the dash is its probability");
    add_grid(out, x, y);
    add_bars(&measures->reliability, out, x, y);
    buffer_add_format(out,
                      "<path d=\"M%.1f %.1fl%d -%d\" stroke=\"#57606a\" stroke-dasharray=\"4 4\"/>"
                      "\n",
                      x, y + PLOT, (int)PLOT, (int)PLOT);
    add_best(measures, out, x, y);
    svg_add_text(out, x + PLOT / 2.0, y + PLOT + 32, "small", " text-anchor=\"middle\"",
                 span_text("probability"), SVG_SHOWN_COLUMNS);
    svg_add_text(out, x - 8, y + PLOT + 40 + BARS, "small", " text-anchor=\"end\"",
                 span_text(multi_label ? "labels" : "titles"), SVG_SHOWN_COLUMNS);
    add_legend(measures, out, box->x, y + PLOT + 40 + BARS + 26);
    box->width = 36 + PLOT + 40;
    box->height = 32 + PLOT + 40 + BARS + 46;
}

// ---- all of it

// Its size is known when all is drawn, so this comes last and is put before the rest.
static void add_head(const struct eval_report *report, struct buffer *out, double width,
                     double height) {
    const struct measures *measures = &report->measures;
    char text[256];
    buffer_add_format(out,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                      "viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"title desc\">\n"
                      "<title id=\"title\">wader eval: ",
                      width, height, width, height);
    svg_add_name(out, report->model, SVG_SHOWN_COLUMNS);
    snprintf(text, sizeof text, "%.1f %% of %llu titles %sright",
             100.0 * (double)measures->n_right / (double)measures->n_titles,
             (unsigned long long)measures->n_titles, measures->model.multi_label ? "exactly " : "");
    buffer_add_format(out,
                      "</title>\n<desc id=\"desc\">%s. %s, beside a reliability diagram: "
                      "calibration error %.4f at temperature %.4g.</desc>\n",
                      text,
                      measures->confusion != NULL
                          ? "The confusion matrix, rows the right label and columns the predicted "
                            "one"
                          : "The F1 of each label",
                      measures->reliability.error, measures->model.temperature);
    buffer_add_text(out,
                    "<style>text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,"
                    "\"Noto Sans\",\"Helvetica Neue\",Arial,sans-serif;fill:#1f2328}"
                    ".big{font-size:20px;font-weight:600}.head{font-size:14px;font-weight:600}"
                    ".label{font-size:11px}.small{font-size:11px;fill:#57606a}"
                    ".light{fill:#fff}</style>\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    add_line(out, MARGIN, 38, "big", text);
    buffer_add_format(out, "<text class=\"small\" x=\"%d\" y=\"58\">", (int)MARGIN);
    svg_add_name(out, report->model, 60);
    buffer_add_format(out, " \xc2\xb7 95 %% interval %.1f to %.1f %%", 100.0 * measures->low,
                      100.0 * measures->high);
    if (measures->n_macro > 0) {
        buffer_add_format(out, " \xc2\xb7 macro F1 %.3f", measures->macro_f1);
    }
    buffer_add_text(out, "</text>\n");
}

void eval_print_svg(const struct eval_report *report, struct buffer *out) {
    struct buffer body = {0};
    struct svg_box left = {.x = MARGIN, .y = TOP};
    if (report->measures.confusion != NULL) {
        svg_add_matrix(report, &body, &left);
    } else {
        svg_add_f1(report, &body, &left);
    }
    struct svg_box right = {.x = left.x + left.width + BETWEEN, .y = TOP};
    add_reliability(&report->measures, &body, &right);
    const double height = left.height > right.height ? left.height : right.height;
    add_head(report, out, right.x + right.width + MARGIN, TOP + height + MARGIN);
    buffer_add(out, body.bytes, body.len);
    out->failed = out->failed || body.failed;
    buffer_free(&body);
    buffer_add_text(out, "</svg>\n");
}

// SPDX-License-Identifier: Apache-2.0
//
// The drawing's left part: which labels are taken for which, or how each fares.
#include <math.h>
#include <stdio.h>

#include "host/cli/eval_svg.h"

// Of more labels neither names nor numbers could be read; then the whole matrix is WIDE.
enum { NAMED_LABELS = 50, WIDE = 640, HEAD = 28, BAR = 220, ROW = 18, CAPTION = 430 };

static double cell_size(int32_t n_labels) {
    if (n_labels <= 10) return 40.0;
    if (n_labels <= 20) return 28.0;
    return n_labels <= NAMED_LABELS ? 20.0 : (double)WIDE / (double)n_labels;
}

// White at 0, `to` (three bytes, red the highest) at 1.
static unsigned mix(unsigned to, double share) {
    unsigned mixed = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        const double part = (double)(to >> shift & 255);
        mixed |= (unsigned)(255.0 - (255.0 - part) * share + 0.5) << shift;
    }
    return mixed;
}

struct cell {
    double x, y, size;
    uint32_t n;
    uint64_t of;  // titles in its row
    bool right;
    const char *gold, *predicted;
    bool is_named;  // there is room for its number
};

static void add_number(const struct cell *cell, bool light, struct buffer *out) {
    char digits[16], attributes[64];
    const int n_digits = snprintf(digits, sizeof digits, "%lu", (unsigned long)cell->n);
    double size = cell->size * (cell->size < 30.0 ? 0.45 : 0.33);
    const double widest = (cell->size - 3.0) / (0.6 * n_digits);
    if (size > 13.0) size = 13.0;
    if (size > widest) size = widest;
    snprintf(attributes, sizeof attributes, " text-anchor=\"middle\" font-size=\"%.1f\"", size);
    svg_add_text(out, cell->x + cell->size / 2, cell->y + cell->size / 2 + 0.35 * size,
                 light ? "light" : "number", attributes, span_text(digits), sizeof digits);
}

// The shade goes by the root of the share, or what is rarely wrong would not be seen at all.
static void add_cell(const struct cell *cell, struct buffer *out) {
    const double shade = sqrt((double)cell->n / (double)cell->of);
    const double gap = cell->size > 8.0 ? 1.0 : 0.0;
    if (cell->is_named) {
        buffer_add_text(out, "<g><title>");
        svg_add_name(out, cell->gold, SVG_SHOWN_COLUMNS);
        buffer_add_text(out, cell->right ? " found: " : " taken for ");
        if (!cell->right) {
            svg_add_name(out, cell->predicted, SVG_SHOWN_COLUMNS);
            buffer_add_text(out, ": ");
        }
        buffer_add_format(out, "%lu of %llu</title>", (unsigned long)cell->n,
                          (unsigned long long)cell->of);
    }
    buffer_add_format(out,
                      "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                      "fill=\"#%06x\"/>",
                      cell->x, cell->y, cell->size - gap, cell->size - gap,
                      mix(cell->right ? 0x1f5fa8 : 0xc2571a, shade));
    if (cell->is_named) {
        add_number(cell, shade > 0.6, out);
        buffer_add_text(out, "</g>");
    }
    buffer_add_text(out, "\n");
}

static void add_names(const struct eval_report *report, double x, double y, double size,
                      struct buffer *out) {
    for (int32_t k = 0; k < report->measures.model.n_labels; k++) {
        const struct span name = span_text(report->names[k]);
        const double middle = size * ((double)k + 0.5);
        char turn[80];
        svg_add_text(out, x - 8, y + middle + 4, "label", " text-anchor=\"end\"", name,
                     SVG_NAME_COLUMNS);
        snprintf(turn, sizeof turn, " transform=\"rotate(-45 %.1f %.1f)\"", x + middle, y - 8);
        svg_add_text(out, x + middle, y - 8, "label", turn, name, SVG_NAME_COLUMNS);
    }
}

void svg_add_matrix(const struct eval_report *report, struct buffer *out, struct svg_box *box) {
    const struct measures *measures = &report->measures;
    const int32_t n = measures->model.n_labels;
    const bool is_named = n <= NAMED_LABELS;
    const double size = cell_size(n), side = size * (double)n;
    const double names = is_named ? svg_names_width(report) + 8.0 : 0.0;
    const double above = is_named ? 0.75 * names + 10.0 : 8.0;
    const double x = box->x + names, y = box->y + HEAD + above;
    svg_add_text(out, box->x, box->y, "head", "", span_text("Confusion matrix"), SVG_SHOWN_COLUMNS);
    svg_add_text(out, box->x, box->y + 17, "small", "",
                 span_text("rows: the right label; columns: what was predicted; shade: share of "
                           "the row"),
                 SVG_SHOWN_COLUMNS);
    buffer_add_format(out,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                      "fill=\"#f6f7f9\"/>\n",
                      x, y, side, side);
    if (is_named) add_names(report, x, y, size, out);
    for (int32_t i = 0; i < n * n; i++) {
        const int32_t gold = i / n, predicted = i % n;
        const struct cell cell = {.x = x + size * (double)predicted,
                                  .y = y + size * (double)gold,
                                  .size = size,
                                  .n = measures->confusion[i],
                                  .of = measures->labels[gold].support,
                                  .right = gold == predicted,
                                  .gold = report->names[gold],
                                  .predicted = report->names[predicted],
                                  .is_named = is_named};
        if (cell.n > 0) add_cell(&cell, out);
    }
    box->width = CAPTION > names + side ? CAPTION : names + side;
    for (int32_t k = 0; is_named && k < n; k++) {  // names lean over the right edge
        const double lean = 0.72 * svg_name_width(report->names[k]);
        const double end = names + size * ((double)k + 0.5) + lean;
        if (end > box->width) box->width = end;
    }
    box->height = HEAD + above + side;
}

void svg_add_f1(const struct eval_report *report, struct buffer *out, struct svg_box *box) {
    const struct measures *measures = &report->measures;
    const int32_t n = measures->model.n_labels;
    const double names = svg_names_width(report) + 8.0;
    double y = box->y + HEAD + 8.0;
    svg_add_text(out, box->x, box->y, "head", "", span_text("F1 by label"), SVG_SHOWN_COLUMNS);
    svg_add_text(out, box->x, box->y + 17, "small", "",
                 span_text(n > NAMED_LABELS ? "of the first 50 labels, and how many titles have it"
                                            : "and how many titles have it"),
                 SVG_SHOWN_COLUMNS);
    for (int32_t k = 0; k < n && k < NAMED_LABELS; k++, y += ROW) {
        const struct label_counts *counts = &measures->labels[k];
        char text[64];
        double f1 = 0.0;
        const bool is_defined = f1_of(counts, &f1);
        svg_add_text(out, box->x + names - 8, y + 12, "label", " text-anchor=\"end\"",
                     span_text(report->names[k]), SVG_NAME_COLUMNS);
        buffer_add_format(out,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" "
                          "fill=\"#f6f7f9\"/><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                          "height=\"%d\" fill=\"" SVG_RIGHT "\" fill-opacity=\"0.75\"/>\n",
                          box->x + names, y, (int)BAR, ROW - 3, box->x + names, y, BAR * f1,
                          ROW - 3);
        if (is_defined) {
            snprintf(text, sizeof text, "%.3f, %llu titles", f1,
                     (unsigned long long)counts->support);
        } else {
            snprintf(text, sizeof text, "none, 0 titles");
        }
        svg_add_text(out, box->x + names + BAR + 8, y + 12, "small", "", span_text(text),
                     SVG_SHOWN_COLUMNS);
    }
    box->width = names + BAR + 110.0;
    box->height = y - box->y;
}

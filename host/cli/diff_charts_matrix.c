// SPDX-License-Identifier: Apache-2.0
//
// The flip matrix as a heat map.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/diff_html.h"

enum { NAMES = 102, NAME_SHOWN = 14, HEAD = 82, CELL_MIN = 24, CELL_MAX = 44, WIDE = 420 };

// Beyond it a cell is so strong that its number is written in the page's light colour.
#define STRONG 0.78

struct cell {
    double x, y, size;
    uint64_t n, of;  // of all ids that OLD gave this label
    uint32_t old, new;
};

// The shade goes by the root of the share of its row, or rare flips would not be seen.
static void add_cell(const struct diff_report *report, const struct cell *cell,
                     struct buffer *out) {
    const double shade = sqrt((double)cell->n / (double)cell->of);
    buffer_add_text(out, "<g><title>");
    html_add_text(out, diff_label_name(report, cell->old), HTML_NAME_COLUMNS);
    if (cell->old == cell->new) {
        buffer_add_text(out, " kept: ");
    } else {
        buffer_add_text(out, " to ");
        html_add_text(out, diff_label_name(report, cell->new), HTML_NAME_COLUMNS);
        buffer_add_text(out, ": ");
    }
    diff_add_count(out, cell->n);
    buffer_add_text(out, " of ");
    diff_add_count(out, cell->of);
    buffer_add_text(out, "</title>");
    chart_add_rect(out, cell->x, cell->y, cell->size - 1.5, cell->size - 1.5,
                   cell->old == cell->new ? "kept" : "flip", shade);
    const struct chart_number number = chart_short(cell->n);
    char kind[32];
    snprintf(kind, sizeof kind, "cell%s%s", shade > STRONG ? " strong" : "",
             strlen(number.text) > 3 && cell->size < 30 ? " small" : "");
    chart_add_text(out, cell->x + cell->size / 2 - 0.75, cell->y + cell->size / 2 + 3, kind,
                   "middle", span_text(number.text), 8);
    buffer_add_text(out, "</g>\n");
}

static void add_names(const struct diff_report *report, size_t n, double size, struct buffer *out) {
    for (size_t i = 0; i < n; i++) {
        const struct span name = diff_label_name(report, diff_number_shown(report, i));
        const double middle = size * ((double)i + 0.5);
        chart_add_text(out, NAMES - 6, HEAD + middle + 4, "name", "end", name, NAME_SHOWN);
        buffer_add_format(out, "<g transform=\"translate(%.1f %d) rotate(-45)\">",
                          NAMES + middle + 2, HEAD - 5);
        chart_add_text(out, 0, 0, "name", "start", name, NAME_SHOWN - 1);
        buffer_add_text(out, "</g>\n");
    }
}

void chart_add_matrix(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const size_t n = diff_n_shown(report);
    const double lean = 40.0;  // of the last name, over the right edge
    double size = (CHART_WIDTH - NAMES - lean) / (double)n;
    if (size < CELL_MIN) size = CELL_MIN;
    if (size > CELL_MAX) size = CELL_MAX;
    const double side = size * (double)n, width = fmax(NAMES + side + lean, CHART_WIDTH);
    chart_begin(out, "matrix", width, HEAD + side + 4, width > WIDE ? width : 0,
                "Labels in OLD and in NEW",
                "Rows are labels in OLD, columns labels in NEW, of ids that both have; a cell's "
                "shade is its share of the row. Off the diagonal are flips, whose most frequent "
                "ones are in the table.");
    chart_add_rect(out, NAMES, HEAD, side, side, "empty", 1.0);
    add_names(report, n, size, out);
    for (size_t i = 0; i < n; i++) {
        struct cell cell = {.y = HEAD + size * (double)i, .size = size};
        cell.old = diff_number_shown(report, i);
        for (size_t j = 0; j < n; j++) {
            cell.of += diff_counts_of_flip(counts, cell.old, diff_number_shown(report, j));
        }
        for (size_t j = 0; j < n; j++) {
            cell.new = diff_number_shown(report, j);
            cell.n = diff_counts_of_flip(counts, cell.old, cell.new);
            cell.x = NAMES + size * (double)j;
            if (cell.n > 0) add_cell(report, &cell, out);
        }
    }
    chart_end(out);
}

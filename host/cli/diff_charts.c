// SPDX-License-Identifier: Apache-2.0
//
// The page's bars: labels, statuses, scores and their changes.
#include <math.h>
#include <stdio.h>

#include "host/cli/diff_html.h"

enum { NAME_WIDTH = 104, NAME_SHOWN = 14, BAR = 10, ROW = 32, PLOT_HEIGHT = 150, AXIS = 34 };

// ---- what all charts are made of

void chart_begin(struct buffer *out, const char *name, double width, double height,
                 double min_width, const char *title, const char *description) {
    buffer_add_format(out,
                      "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\"",
                      width, height, name, name);
    if (min_width > 0) buffer_add_format(out, " style=\"min-width:%.0fpx\"", min_width);
    buffer_add_format(out, ">\n<title id=\"%s-t\">%s</title><desc id=\"%s-d\">%s</desc>\n", name,
                      title, name, description);
}

void chart_end(struct buffer *out) {
    buffer_add_text(out, "</svg>\n");
}

void chart_add_text(struct buffer *out, double x, double y, const char *kind, const char *anchor,
                    struct span text, size_t columns) {
    buffer_add_format(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", kind, x,
                      y, anchor);
    html_add_text(out, text, columns);
    buffer_add_text(out, "</text>");
}

void chart_add_rect(struct buffer *out, double x, double y, double width, double height,
                    const char *kind, double opacity) {
    buffer_add_format(out,
                      "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"",
                      kind, x, y, width, height);
    if (opacity < 1.0) buffer_add_format(out, " fill-opacity=\"%.3f\"", opacity);
    buffer_add_text(out, "/>");
}

struct chart_number chart_short(uint64_t n) {
    struct chart_number number;
    static const char *const units[] = {"k", "M", "G", "T"};
    double value = (double)n;
    int unit = -1;
    for (; value >= 9999.5 || (unit >= 0 && value >= 999.5); unit++) value /= 1000.0;
    if (unit < 0) {
        snprintf(number.text, sizeof number.text, "%.0f", value);
    } else {
        snprintf(number.text, sizeof number.text, value < 9.95 ? "%.1f%s" : "%.0f%s", value,
                 units[unit < 3 ? unit : 3]);
    }
    return number;
}

static void add_line(struct buffer *out, double x, double y, const char *kind, const char *anchor,
                     const char *text) {
    chart_add_text(out, x, y, kind, anchor, span_text(text), 80);
}

static double share(uint64_t part, uint64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 0.0;
}

// ---- rows of two bars

struct two_bars {
    double y, most;  // most: the share that takes all of the width
    struct span name;
    uint64_t n[DIFF_SIDES];
};

static void add_two_bars(const struct two_bars *bars, const uint64_t rows[DIFF_SIDES],
                         struct buffer *out) {
    static const char *const kinds[] = {"old", "new"};
    const double width = CHART_WIDTH - NAME_WIDTH - 58.0;
    chart_add_text(out, NAME_WIDTH - 8, bars->y + BAR + 4, "name", "end", bars->name, NAME_SHOWN);
    for (int side = 0; side < DIFF_SIDES; side++) {
        const double part = share(bars->n[side], rows[side]);
        const double length = bars->most > 0 ? width * part / bars->most : 0.0;
        const double y = bars->y + side * (BAR + 1);
        struct buffer text = {0};
        diff_add_percent(&text, bars->n[side], rows[side]);
        chart_add_rect(out, NAME_WIDTH, y, length, BAR, kinds[side], 1.0);
        chart_add_text(out, NAME_WIDTH + length + 5, y + BAR - 1, side == DIFF_OLD ? "tiny" : "num",
                       "start", (struct span){text.bytes, text.len}, 20);
        buffer_free(&text);
    }
    buffer_add_text(out, "\n");
}

void chart_add_labels(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const size_t all = diff_n_shown(report);
    const size_t n = all < CHART_LABELS_MAX ? all : CHART_LABELS_MAX;
    struct two_bars bars = {.y = 4};
    for (size_t i = 0; i < n; i++) {
        for (int side = 0; side < DIFF_SIDES; side++) {
            const uint64_t of_label =
                diff_counts_of_label(counts, side, diff_number_shown(report, i));
            bars.most = fmax(bars.most, share(of_label, counts->rows[side]));
        }
    }
    chart_begin(out, "labels", CHART_WIDTH, 8 + ROW * (double)n, 0, "Share of rows by label",
                "Two bars for each label: its share of OLD's rows and of NEW's. The table below "
                "has the numbers.");
    for (size_t i = 0; i < n; i++, bars.y += ROW) {
        const uint32_t label = diff_number_shown(report, i);
        bars.name = diff_label_name(report, label);
        for (int side = 0; side < DIFF_SIDES; side++) {
            bars.n[side] = diff_counts_of_label(counts, side, label);
        }
        add_two_bars(&bars, counts->rows, out);
    }
    chart_end(out);
}

void chart_add_statuses(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    struct two_bars bars = {.y = 4};
    int n = 0;
    for (int s = RECORD_OK + 1; s < RECORD_STATUS_COUNT; s++) {
        n += counts->by_status[DIFF_OLD][s] > 0 || counts->by_status[DIFF_NEW][s] > 0;
        for (int side = 0; side < DIFF_SIDES; side++) {
            bars.most = fmax(bars.most, share(counts->by_status[side][s], counts->rows[side]));
        }
    }
    if (n == 0) {
        buffer_add_text(out,
                        "<p>No row of either side has a status: none is truncated, none "
                        "abstains, none is bad.</p>\n");
        return;
    }
    chart_begin(out, "statuses", CHART_WIDTH, 8 + ROW * (double)n, 0, "Share of rows by status",
                "Two bars for each status: its share of OLD's rows and of NEW's.");
    for (int s = RECORD_OK + 1; s < RECORD_STATUS_COUNT; s++) {
        bars.n[DIFF_OLD] = counts->by_status[DIFF_OLD][s];
        bars.n[DIFF_NEW] = counts->by_status[DIFF_NEW][s];
        if (bars.n[DIFF_OLD] == 0 && bars.n[DIFF_NEW] == 0) continue;
        bars.name = span_text(record_status_name((enum record_status)s));
        add_two_bars(&bars, counts->rows, out);
        bars.y += ROW;
    }
    chart_end(out);
}

// ---- columns

// A share that is a little more than `most`, and easy to read.
static double round_up(double most) {
    static const double steps[] = {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                   0.05,   0.1,    0.2,    0.25,  0.4,   0.5,   0.6,  0.8};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (most <= steps[i]) return steps[i];
    }
    return 1.0;
}

void chart_add_scores(const struct diff_report *report, struct buffer *out) {
    const struct diff_measures *measures = &report->measures;
    const uint64_t *all = report->diff->counts.scored;
    const double width = CHART_WIDTH - AXIS - 8.0, column = width / DIFF_BARS;
    double most = 0.0;
    for (int side = 0; side < DIFF_SIDES; side++) {
        for (int bar = 0; bar < DIFF_BARS; bar++) {
            most = fmax(most, share(measures->bars[side][bar], all[side]));
        }
    }
    most = round_up(most);
    chart_begin(out, "scores", CHART_WIDTH, PLOT_HEIGHT + 44, 0, "Distribution of scores",
                "Share of rows by score, in 20 bins: OLD as filled columns, NEW as a line.");
    for (int tick = 0; tick <= 4; tick++) {
        char text[32];
        const double y = 8 + PLOT_HEIGHT * (1.0 - tick / 4.0), x = AXIS + width * tick / 4.0;
        buffer_add_format(out, "<path class=\"grid\" d=\"M%d %.1fh%.1f\"/>", (int)AXIS, y, width);
        snprintf(text, sizeof text, "%.3g %%", 25.0 * most * tick);
        add_line(out, AXIS - 4, y + 3.5, "tiny", "end", text);
        snprintf(text, sizeof text, "%.4g", tick / 4.0);
        add_line(out, x, PLOT_HEIGHT + 22, "tiny", "middle", text);
    }
    for (int bar = 0; bar < DIFF_BARS; bar++) {
        const double tall =
            PLOT_HEIGHT * share(measures->bars[DIFF_OLD][bar], all[DIFF_OLD]) / most;
        if (tall > 0) {
            chart_add_rect(out, AXIS + column * bar + 0.75, 8 + PLOT_HEIGHT - tall, column - 1.5,
                           tall, "old", 1.0);
        }
    }
    buffer_add_format(out, "\n<path class=\"step\" d=\"M%d %d", (int)AXIS, 8 + PLOT_HEIGHT);
    for (int bar = 0; bar < DIFF_BARS; bar++) {
        const double tall =
            PLOT_HEIGHT * share(measures->bars[DIFF_NEW][bar], all[DIFF_NEW]) / most;
        buffer_add_format(out, "V%.1fh%.2f", 8 + PLOT_HEIGHT - tall, column);
    }
    buffer_add_format(out, "V%d\"/>\n", 8 + PLOT_HEIGHT);
    add_line(out, AXIS + width / 2, PLOT_HEIGHT + 38, "tiny", "middle", "score");
    chart_end(out);
}

static void add_change_edge(struct buffer *out, int edge, double x) {
    char text[32];
    const int32_t at = diff_change_edges[edge];
    snprintf(text, sizeof text, "%s%g", at < 0 ? "\xe2\x88\x92" : "+",
             (double)(at < 0 ? -at : at) / SCORE_MAX);
    buffer_add_format(out,
                      "<text class=\"tiny\" text-anchor=\"end\" "
                      "transform=\"translate(%.1f %d) rotate(-55)\">%s</text>",
                      x + 3, PLOT_HEIGHT + 24, text);
}

// By the root, or the few that changed much would not be seen beside the many that did not.
void chart_add_changes(const struct diff_report *report, struct buffer *out) {
    const struct diff_measures *measures = &report->measures;
    const double width = CHART_WIDTH - 16.0, column = width / DIFF_CHANGE_BINS;
    uint64_t most = 1;
    for (int bin = 0; bin < DIFF_CHANGE_BINS; bin++) {
        if (measures->in_changes[bin] > most) most = measures->in_changes[bin];
    }
    chart_begin(out, "changes", CHART_WIDTH, PLOT_HEIGHT + 66, 0, "Change of scores",
                "Ids on both sides by how much their score fell, on the left, or rose, on the "
                "right; heights go by the square root of the number above each column.");
    for (int bin = 0; bin < DIFF_CHANGE_BINS; bin++) {
        const uint64_t n = measures->in_changes[bin];
        const double tall = (PLOT_HEIGHT - 8) * sqrt((double)n / (double)most);
        const double x = 8 + column * bin;
        const char *kind = bin < DIFF_CHANGE_BINS / 2   ? "fell"
                           : bin > DIFF_CHANGE_BINS / 2 ? "new"
                                                        : "old";
        if (n > 0) {
            chart_add_rect(out, x + 1, 16 + PLOT_HEIGHT - 8 - tall, column - 2, tall, kind, 1.0);
        }
        add_line(out, x + column / 2, 12 + PLOT_HEIGHT - 8 - tall, "tiny", "middle",
                 chart_short(n).text);
        if (bin > 0) add_change_edge(out, bin - 1, x);
        buffer_add_text(out, "\n");
    }
    buffer_add_format(out, "<path class=\"grid\" d=\"M8 %dh%.1f\"/>", 8 + PLOT_HEIGHT, width);
    add_line(out, 8, PLOT_HEIGHT + 62, "tiny", "start", "fell");
    add_line(out, CHART_WIDTH - 8, PLOT_HEIGHT + 62, "tiny", "end", "rose");
    chart_end(out);
}

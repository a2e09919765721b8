// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/bench_svg.h"

enum { NAMES = 86, FIGURES = 146, ROW = 34, BAR = 16, HEADER = 48 };

// On one thread only where that is all there is.
static bool is_shown(const struct bench_stage *stage) {
    return stage->is_measured && strstr(stage->name, "_1") == NULL;
}

static double ceiling_of(const struct bench_stage *stage) {
    return stage->ceiling_name != NULL ? stage->titles_per_s / stage->share : stage->titles_per_s;
}

static struct svg_axis axis_of(const struct bench_result *result) {
    double least = 1e300, most = 0;
    for (int id = 0; id < STAGES; id++) {
        const struct bench_stage *stage = &result->stages[id];
        if (!is_shown(stage)) continue;
        least = fmin(least, stage->titles_per_s);
        most = fmax(most, fmax(ceiling_of(stage), stage->titles_per_s));
    }
    struct svg_axis axis = svg_axis_of(least, most);
    if (svg_place(&axis, least) < 0.06) axis.low /= 10;  // a bar that can be seen
    return axis;
}

static void add_grid(const struct svg_axis *axis, const struct svg_box *plot, struct buffer *out) {
    char text[FIGURE_NBYTES];
    const int n = (int)lround(log10(axis->high / axis->low)), step = n > 7 ? 2 : 1;
    for (int i = 0; i <= n; i++) {
        const double value = axis->low * pow(10, i);
        const double x = plot->x + plot->width * svg_place(axis, value);
        buffer_add_format(out, "<path d=\"M%.1f %.1fv%.1f\" stroke=\"" SVG_GRID "\"/>\n", x,
                          plot->y, plot->height);
        if (i % step != 0) continue;
        svg_text(out, x, plot->y + plot->height + 15, "small", "middle", svg_decade(value, text));
    }
    svg_text(out, plot->x + plot->width / 2, plot->y + plot->height + 32, "small", "middle",
             "titles/s, logarithmic");
}

static void add_row(const struct bench_stage *stage, bool is_bound, const struct svg_axis *axis,
                    const struct svg_box *plot, double y, struct buffer *out) {
    char title[32], text[FIGURE_NBYTES], share[32] = "\xe2\x80\x93";
    const double rate = plot->width * svg_place(axis, stage->titles_per_s);
    const double ceiling = plot->width * svg_place(axis, ceiling_of(stage));
    const double middle = y + BAR / 2.0 + 4;
    bench_stage_title(stage, title, sizeof title);
    svg_text(out, plot->x - 10, middle, is_bound ? "mark" : "label", "end", title);
    if (ceiling > rate) {
        buffer_add_format(out,
                          "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" "
                          "fill=\"" SVG_ROOM "\"/>\n",
                          plot->x, y, ceiling, (int)BAR);
    }
    buffer_add_format(out,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
                      plot->x, y, rate, (int)BAR, is_bound ? SVG_BOUND : SVG_RATE);
    if (stage->ceiling_name != NULL) {
        buffer_add_format(out,
                          "<path d=\"M%.1f %.1fv%d\" stroke=\"#1f2328\" stroke-width=\"2\"/>\n",
                          plot->x + ceiling, y - 2, BAR + 4);
        const double percent = 100 * stage->share;
        snprintf(share, sizeof share, "%.*f %%",
                 percent < 0.095  ? 2
                 : percent < 9.95 ? 1
                                  : 0,
                 percent);
    }
    svg_text(out, plot->x + plot->width + 82, middle, "label", "end",
             bench_figure(stage->titles_per_s, text));
    svg_text(out, plot->x + plot->width + FIGURES - 8, middle, "label", "end", share);
}

void svg_add_stages(const struct bench_report *report, const struct svg_box *box,
                    struct buffer *out) {
    const struct bench_result *result = &report->result;
    const struct svg_axis axis = axis_of(result);
    const struct svg_box plot = {box->x + NAMES, box->y + HEADER, box->width - NAMES - FIGURES,
                                 box->height - HEADER - 52};
    svg_text(out, box->x, box->y + 4, "part", "start", "Stages, each alone");
    svg_text(out, box->x, box->y + 22, "small", "start",
             "bar: measured; mark: its ceiling (memory copy, matrix products, slowest stage)");
    svg_text(out, plot.x + plot.width + 82, plot.y - 6, "small", "end", "titles/s");
    svg_text(out, plot.x + plot.width + FIGURES - 8, plot.y - 6, "small", "end", "share");
    add_grid(&axis, &plot, out);
    double y = plot.y + 8;
    for (int id = 0; id < STAGES; id++) {
        const struct bench_stage *stage = &result->stages[id];
        if (!is_shown(stage)) continue;
        add_row(stage, id == (int)report->verdict.bound, &axis, &plot, y, out);
        y += ROW;
    }
}

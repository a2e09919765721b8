// SPDX-License-Identifier: Apache-2.0
//
// The roofline (Williams, Waterman and Patterson, CACM 2009): operations a second against
// operations a byte, under what copying memory and products of matrices allow.
#include <math.h>
#include <stdio.h>

#include "host/cli/bench_svg.h"

enum { MARKS = 44, HEADER = 48, LEGEND_ROW = 16 };

struct point {
    enum encoder_work work;
    double intensity, rate;  // FLOP/byte, FLOP/s
    double share;            // of the encoder's time
    double x, y;             // where it is drawn
    double label_x, label_y;
};

struct roofline {
    struct point points[ENCODER_WORKS];
    int n_points;
    double gemm, memory, cache;  // ceilings: FLOP/s, bytes/s moved
    struct svg_axis x, y;
    struct svg_box plot;
};

// Operations of works that flops.h leaves out, for they are no products: an addition of the
// residual or of two embeddings, and eight an element for LayerNorm (mean, difference, square,
// sum, scale, weight, bias).
static double operations(const struct bench_report *report, enum encoder_work work) {
    const struct flops *flops = &report->result.profile_flops;
    const struct bert_config *config = &report->engine.model->config;
    const double h = config->hidden_size;
    const double rows =
        (config->n_layers - 1) * (double)flops->token_rows + (double)flops->title_rows;
    if (work == ENCODER_NORM) return 2 * 8 * h * rows;
    if (work == ENCODER_EMBED) return 9 * h * (double)flops->token_rows;
    return flops->by_work[work];
}

static void find_points(const struct bench_report *report, struct roofline *roofline) {
    double total = 0;
    for (int w = 0; w < ENCODER_WORKS; w++) total += report->result.profile[w].median;
    for (int w = 0; w < ENCODER_WORKS; w++) {
        const double seconds = report->result.profile[w].median;
        const double flops = operations(report, (enum encoder_work)w);
        const double bytes = bench_work_nbytes(report, (enum encoder_work)w);
        if (!(seconds > 0 && flops > 0 && bytes > 0)) continue;
        roofline->points[roofline->n_points++] = (struct point){.work = (enum encoder_work)w,
                                                                .intensity = flops / bytes,
                                                                .rate = flops / seconds,
                                                                .share = seconds / total};
    }
}

static void find_axes(struct roofline *roofline) {
    const double ridge = roofline->gemm / roofline->memory;
    double x_low = ridge, x_high = 2 * ridge;
    double y_low = roofline->gemm, y_high = roofline->gemm * 1.2;
    for (int i = 0; i < roofline->n_points; i++) {
        const struct point *point = &roofline->points[i];
        x_low = fmin(x_low, point->intensity);
        x_high = fmax(x_high, point->intensity);
        y_low = fmin(y_low, point->rate);
        y_high = fmax(y_high, point->rate);
    }
    roofline->x = svg_axis_of(x_low, x_high);
    roofline->y = svg_axis_of(y_low / 1e9, y_high / 1e9);
}

static double x_of(const struct roofline *roofline, double intensity) {
    return roofline->plot.x + roofline->plot.width * svg_place(&roofline->x, intensity);
}

static double y_of(const struct roofline *roofline, double flops_per_s) {
    const struct svg_box *plot = &roofline->plot;
    return plot->y + plot->height * (1 - svg_place(&roofline->y, flops_per_s * 1e-9));
}

static void add_grid(const struct roofline *roofline, struct buffer *out) {
    const struct svg_box *plot = &roofline->plot;
    char text[FIGURE_NBYTES];
    const int nx = (int)lround(log10(roofline->x.high / roofline->x.low));
    const int ny = (int)lround(log10(roofline->y.high / roofline->y.low));
    for (int i = 0; i <= nx; i++) {
        const double value = roofline->x.low * pow(10, i), x = x_of(roofline, value);
        buffer_add_format(out, "<path d=\"M%.1f %.1fv%.1f\" stroke=\"" SVG_GRID "\"/>\n", x,
                          plot->y, plot->height);
        svg_text(out, x, plot->y + plot->height + 15, "small", "middle", svg_decade(value, text));
    }
    for (int i = 0; i <= ny; i++) {
        const double value = roofline->y.low * pow(10, i), y = y_of(roofline, value * 1e9);
        buffer_add_format(out, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"" SVG_GRID "\"/>\n", plot->x,
                          y, plot->width);
        svg_text(out, plot->x - 6, y + 4, "small", "end", svg_decade(value, text));
    }
    svg_text(out, plot->x + plot->width / 2, plot->y + plot->height + 31, "small", "middle",
             "operations a byte moved");
    buffer_add_format(out,
                      "<text class=\"small\" text-anchor=\"middle\" transform=\"translate(%.1f "
                      "%.1f) rotate(-90)\">GFLOP/s</text>\n",
                      plot->x - MARKS + 8, plot->y + plot->height / 2);
}

// From the left or the lower edge of the plot up to the ridge, along `bytes_per_s`.
static void add_slope(const struct roofline *roofline, double bytes_per_s, const char *dashes,
                      const char *name, struct buffer *out) {
    const double least = fmax(roofline->x.low, roofline->y.low * 1e9 / bytes_per_s);
    const double ridge = roofline->gemm / bytes_per_s;
    if (!(ridge > least)) return;
    const double x0 = x_of(roofline, least), y0 = y_of(roofline, least * bytes_per_s);
    const double x1 = x_of(roofline, ridge), y1 = y_of(roofline, roofline->gemm);
    char text[96];
    buffer_add_format(out,
                      "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"" SVG_LINE
                      "\" stroke-width=\"1.5\"%s fill=\"none\"/>\n",
                      x0, y0, x1, y1, dashes);
    snprintf(text, sizeof text, "%s %.0f GB/s", name, bytes_per_s * 1e-9);
    const double length = hypot(x1 - x0, y1 - y0);
    if (length < 80) return;
    const double along = 0.06;
    buffer_add_format(out,
                      "<text class=\"small\" transform=\"translate(%.1f %.1f) rotate(%.1f)\">%s"
                      "</text>\n",
                      x0 + along * (x1 - x0) - 5, y0 + along * (y1 - y0) - 6,
                      atan2(y1 - y0, x1 - x0) * 180 / 3.14159265358979, text);
}

static void add_roof(const struct roofline *roofline, struct buffer *out) {
    const double y = y_of(roofline, roofline->gemm);
    const double x = x_of(roofline, roofline->gemm / fmax(roofline->memory, roofline->cache));
    const double right = roofline->plot.x + roofline->plot.width;
    char text[96];
    add_slope(roofline, roofline->memory, "", "memory", out);
    add_slope(roofline, roofline->cache, " stroke-dasharray=\"4 3\"", "cache", out);
    buffer_add_format(
        out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"" SVG_LINE "\" stroke-width=\"1.5\"/>\n", x, y,
        right);
    snprintf(text, sizeof text, "products %.0f GFLOP/s", roofline->gemm * 1e-9);
    svg_text(out, x + 8, y - 7, "small", "start", text);
}

static bool is_taken(const struct roofline *roofline, int n_placed, double x, double y) {
    for (int i = 0; i < roofline->n_points; i++) {
        const struct point *point = &roofline->points[i];
        if (hypot(point->x - x, point->y - (y - 4)) < 12) return true;
        if (i < n_placed && fabs(point->label_x - x) < 12 && fabs(point->label_y - y) < 12) {
            return true;
        }
    }
    return y < roofline->plot.y + 10 || y > roofline->plot.y + roofline->plot.height - 2;
}

// A number beside each point, where no other point or number is.
static void place_labels(struct roofline *roofline) {
    for (int i = 0; i < roofline->n_points; i++) {
        struct point *point = &roofline->points[i];
        point->x = x_of(roofline, point->intensity);
        point->y = y_of(roofline, point->rate);
    }
    for (int i = 0; i < roofline->n_points; i++) {
        struct point *point = &roofline->points[i];
        point->label_x = point->x;
        point->label_y = point->y + 20;
        for (int turn = 0; turn < 48; turn++) {
            const double angle = (turn % 12) * 3.14159265358979 / 6 + 1.5707963267949;
            const double radius = 15 + 7 * (turn / 12);
            const double x = point->x + radius * cos(angle);
            const double y = point->y + radius * sin(angle) + 4;
            if (is_taken(roofline, i, x, y)) continue;
            point->label_x = x;
            point->label_y = y;
            break;
        }
    }
}

static void add_points(const struct roofline *roofline, struct buffer *out) {
    char text[FIGURE_NBYTES];
    for (int i = 0; i < roofline->n_points; i++) {
        const struct point *point = &roofline->points[i];
        buffer_add_format(out,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"" SVG_RATE
                          "\" fill-opacity=\"0.8\"/>\n",
                          point->x, point->y);
        snprintf(text, sizeof text, "%d", i + 1);
        svg_text(out, point->label_x, point->label_y, "mark", "middle", text);
    }
}

// Two columns: number, name, share of the time.
static void add_legend(const struct roofline *roofline, double x, double y, double width,
                       struct buffer *out) {
    const int n_rows = (roofline->n_points + 1) / 2;
    for (int i = 0; i < roofline->n_points; i++) {
        const struct point *point = &roofline->points[i];
        const double left = x + (i / n_rows) * (width / 2 + 6);
        const double row = y + (i % n_rows) * LEGEND_ROW;
        char text[120];
        snprintf(text, sizeof text, "%d", i + 1);
        svg_text(out, left + 8, row, "mark", "end", text);
        svg_text(out, left + 14, row, "small", "start", encoder_work_name(point->work));
        snprintf(text, sizeof text, "%.1f %%", 100 * point->share);
        svg_text(out, left + width / 2 - 8, row, "small", "end", text);
    }
}

bool svg_add_roofline(const struct bench_report *report, const struct svg_box *box,
                      struct buffer *out) {
    const struct ceilings *ceilings = &report->result.ceilings;
    struct roofline roofline = {
        .gemm = samples_spread(&ceilings->gemm).max,
        // A copied byte is moved twice: read and written.
        .memory = 2 * samples_spread(&ceilings->memory).max,
        .cache = 2 * samples_spread(&ceilings->copy).max,
    };
    // What a device's memory allows is not measured: there is no slope to draw.
    if (!report->result.has_profile || !ceilings->has_gemm || report->engine.is_cuda) return false;
    find_points(report, &roofline);
    const int n_rows = (roofline.n_points + 1) / 2;
    roofline.plot = (struct svg_box){box->x + MARKS, box->y + HEADER, box->width - MARKS - 16,
                                     box->height - HEADER - 52 - n_rows * LEGEND_ROW};
    find_axes(&roofline);
    svg_text(out, box->x, box->y + 4, "part", "start", "The encoder's parts under the roof");
    svg_text(out, box->x, box->y + 22, "small", "start",
             "batches on one thread; at the right, the share of their time");
    add_grid(&roofline, out);
    add_roof(&roofline, out);
    place_labels(&roofline);
    add_points(&roofline, out);
    add_legend(&roofline, box->x, box->y + box->height - n_rows * LEGEND_ROW + 10, box->width, out);
    return true;
}

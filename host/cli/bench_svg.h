// SPDX-License-Identifier: Apache-2.0
//
// The picture's parts. Lengths are in pixels, y goes down. Private to bench_svg*.c,
// but for svg_escape, which diff*.c share.
#ifndef WADER_HOST_CLI_BENCH_SVG_H
#define WADER_HOST_CLI_BENCH_SVG_H

#include "host/cli/bench.h"

#define SVG_RATE  "#1f5fa8"  // what was measured
#define SVG_BOUND "#c2571a"  // the stage that bounds the run
#define SVG_ROOM  "#dfe7f1"  // up to the ceiling
#define SVG_GRID  "#e1e4e8"
#define SVG_LINE  "#57606a"

struct svg_box {
    double x, y, width, height;
};

// A logarithmic axis over whole decades.
struct svg_axis {
    double low, high;  // powers of ten
};
struct svg_axis svg_axis_of(double least, double most);
double svg_place(const struct svg_axis *axis, double value);  // 0 to 1, from low to high

// <text class="kind">. `anchor` is "start", "middle" or "end".
void svg_text(struct buffer *out, double x, double y, const char *kind, const char *anchor,
              const char *text);

// "10", "1,000", "1 M" into `text` of FIGURE_NBYTES; returns `text`.
const char *svg_decade(double value, char text[FIGURE_NBYTES]);

// Bytes of `text` with &, <, >, quotes and control characters as XML has them.
void svg_escape(struct buffer *out, struct span text);

// Arithmetic intensity against operations a second, of what one thread or device did. False, and
// nothing drawn, where the encoder gave no account of its parts or no ceilings were measured.
bool svg_add_roofline(const struct bench_report *report, const struct svg_box *box,
                      struct buffer *out);

// Each stage's titles/s up to its ceiling.
void svg_add_stages(const struct bench_report *report, const struct svg_box *box,
                    struct buffer *out);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The drawing's parts. Lengths are in pixels, y goes down. Private to eval_svg*.c.
#ifndef WADER_HOST_CLI_EVAL_SVG_H
#define WADER_HOST_CLI_EVAL_SVG_H

#include "host/cli/eval_report.h"

#define SVG_RIGHT "#1f5fa8"  // what is right, and probabilities as they are
#define SVG_WRONG "#c2571a"  // what is wrong
#define SVG_BEST  "#8a5a00"  // at the best temperature

enum { SVG_NAME_COLUMNS = 22, SVG_SHOWN_COLUMNS = 400 };

// A part's place and, once it is drawn, its size.
struct svg_box {
    double x, y, width, height;
};

// <text class="kind" ...>: `text`, cut to `columns` and escaped. `kind` is a class of the style
// sheet in eval_svg.c, `attributes` more of the element, "" for none.
void svg_add_text(struct buffer *out, double x, double y, const char *kind, const char *attributes,
                  struct span text, size_t columns);

// A name or path inside an element, cut and escaped.
void svg_add_name(struct buffer *out, const char *name, size_t columns);

// What a label's name takes, cut to SVG_NAME_COLUMNS; and the widest one.
double svg_name_width(const char *name);
double svg_names_width(const struct eval_report *report);

// The confusion matrix, or where there is none each label's F1.
void svg_add_matrix(const struct eval_report *report, struct buffer *out, struct svg_box *box);
void svg_add_f1(const struct eval_report *report, struct buffer *out, struct svg_box *box);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The page's parts. Charts are SVG inside it; their colours are the page's, light, dark or printed.
// Private to diff_html*.c, diff_style.c and diff_charts*.c.
#ifndef WADER_HOST_CLI_DIFF_HTML_H
#define WADER_HOST_CLI_DIFF_HTML_H

#include "host/cli/diff_report.h"

enum {
    CHART_WIDTH = 340,      // of a drawing; the page scales it
    CHART_LABELS_MAX = 40,  // of more labels, only the first are drawn, and no matrix
    HTML_ID_COLUMNS = 160,
    HTML_NAME_COLUMNS = 60,
};

// The page up to its title, and from the last figure on: diff_style.c.
extern const char diff_html_head[];
extern const char diff_html_foot[];

// Text of a file's or a user's, cut, and escaped for elements and for attributes in double quotes.
void html_add_text(struct buffer *out, struct span text, size_t columns);

// "+0.12": with the minus of typographers, which is as wide as the plus.
void html_add_signed(struct buffer *out, int digits, double value);

// Each adds one <table>; pairs and sources with the panel around it. `title` and `what` are ours.
void html_add_label_table(const struct diff_report *report, struct buffer *out);
void html_add_flip_table(const struct diff_report *report, struct buffer *out);
void html_add_score_table(const struct diff_report *report, struct buffer *out);
void html_add_pairs(const struct diff_report *report, const struct diff_top *top, const char *title,
                    const char *what, struct buffer *out);
void html_add_sources(const struct diff_report *report, struct buffer *out);

// Each adds one <svg>.
void chart_add_labels(const struct diff_report *report, struct buffer *out);
void chart_add_matrix(const struct diff_report *report, struct buffer *out);
void chart_add_scores(const struct diff_report *report, struct buffer *out);
void chart_add_changes(const struct diff_report *report, struct buffer *out);
void chart_add_statuses(const struct diff_report *report, struct buffer *out);

// ---- for the charts

// <svg> with a title and a description for who cannot see it; chart_end closes it. `name` makes the
// ids of both. `min_width` in pixels: below it the page scrolls; 0 for none.
void chart_begin(struct buffer *out, const char *name, double width, double height,
                 double min_width, const char *title, const char *description);
void chart_end(struct buffer *out);

// <text class="kind">, cut and escaped. `anchor`: "start", "middle", "end".
void chart_add_text(struct buffer *out, double x, double y, const char *kind, const char *anchor,
                    struct span text, size_t columns);
void chart_add_rect(struct buffer *out, double x, double y, double width, double height,
                    const char *kind, double opacity);

// "1234", "12k", "3.4M": a count in few letters.
struct chart_number {
    char text[24];
};
struct chart_number chart_short(uint64_t n);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The page's tables.
#include <stdio.h>

#include "host/cli/diff_html.h"

enum { TABLE_LABELS = 60, TABLE_FLIPS = 10 };

void html_add_label_table(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const size_t all = diff_n_shown(report), n = all < TABLE_LABELS ? all : TABLE_LABELS;
    buffer_add_text(out,
                    "<table class=\"numbers\"><caption>Rows by label</caption><thead><tr>"
                    "<th scope=\"col\">label</th><th scope=\"col\">OLD</th>"
                    "<th scope=\"col\">NEW</th><th scope=\"col\">change, points</th></tr>"
                    "</thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const uint32_t label = diff_number_shown(report, i);
        const uint64_t old = diff_counts_of_label(counts, DIFF_OLD, label);
        const uint64_t new = diff_counts_of_label(counts, DIFF_NEW, label);
        const struct diff_figure p = diff_share(old, counts->rows[DIFF_OLD]);
        const struct diff_figure q = diff_share(new, counts->rows[DIFF_NEW]);
        buffer_add_text(out, "<tr><th scope=\"row\"><bdi>");
        html_add_text(out, diff_label_name(report, label), HTML_NAME_COLUMNS);
        buffer_add_text(out, "</bdi></th><td>");
        diff_add_count(out, old);
        buffer_add_text(out, "</td><td>");
        diff_add_count(out, new);
        buffer_add_text(out, "</td><td>");
        if (p.is_defined && q.is_defined) {
            html_add_signed(out, 2, 100.0 * (q.value - p.value));
        }
        buffer_add_text(out, "</td></tr>\n");
    }
    buffer_add_text(out, "</tbody></table>\n");
    if (all > n) buffer_add_format(out, "<p>and %zu more, in --json</p>\n", all - n);
}

void html_add_flip_table(const struct diff_report *report, struct buffer *out) {
    struct diff_flip flips[TABLE_FLIPS];
    const size_t n = diff_most_flips(report, flips, TABLE_FLIPS);
    if (n == 0) {
        buffer_add_text(out, "<p>No shared id got another label.</p>\n");
        return;
    }
    buffer_add_text(out,
                    "<table class=\"numbers\"><caption>Most frequent flips</caption><thead>"
                    "<tr><th scope=\"col\">OLD</th><th scope=\"col\" class=\"word\">NEW</th>"
                    "<th scope=\"col\">ids</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        buffer_add_text(out, "<tr><th scope=\"row\"><bdi>");
        html_add_text(out, diff_label_name(report, flips[i].old), HTML_NAME_COLUMNS);
        buffer_add_text(out, "</bdi></th><td class=\"word\"><bdi>");
        html_add_text(out, diff_label_name(report, flips[i].new), HTML_NAME_COLUMNS);
        buffer_add_text(out, "</bdi></td><td>");
        diff_add_count(out, flips[i].n);
        buffer_add_text(out, "</td></tr>\n");
    }
    buffer_add_text(out, "</tbody></table>\n");
}

// A row of figures of both sides, `q` of diff_percents or -1 for the mean.
static void add_score_row(const struct diff_report *report, const char *title, int q,
                          struct buffer *out) {
    buffer_add_format(out, "<tr><th scope=\"row\">%s</th>", title);
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct diff_spread *spread = &report->measures.scores[side];
        if (spread->n > 0) {
            buffer_add_format(out, "<td>%.4f</td>", q < 0 ? spread->mean : spread->quantiles[q]);
        } else {
            buffer_add_text(out, "<td>\xe2\x80\x93</td>");
        }
    }
    buffer_add_text(out, "</tr>\n");
}

void html_add_score_table(const struct diff_report *report, struct buffer *out) {
    buffer_add_text(out,
                    "<table class=\"numbers\"><caption>Scores: the mean, and what so many of them "
                    "do not exceed</caption><thead><tr><th scope=\"col\">share</th>"
                    "<th scope=\"col\">OLD</th><th scope=\"col\">NEW</th></tr></thead><tbody>\n");
    add_score_row(report, "mean", -1, out);
    for (int q = 0; q < DIFF_QUANTILES; q++) {
        char title[16];
        snprintf(title, sizeof title, "%d %%", diff_percents[q]);
        add_score_row(report, title, q, out);
    }
    buffer_add_text(out, "</tbody></table>\n");
}

static void add_seen(const struct diff_report *report, const struct diff_seen *seen,
                     struct buffer *out) {
    buffer_add_text(out, "<td class=\"word\"><bdi>");
    html_add_text(out, diff_label_name(report, seen->label), HTML_NAME_COLUMNS);
    buffer_add_format(out, "</bdi> <span class=\"score\">%.4f</span></td>",
                      (double)seen->score / SCORE_MAX);
}

void html_add_pairs(const struct diff_report *report, const struct diff_top *top, const char *title,
                    const char *what, struct buffer *out) {
    buffer_add_format(out, "<section class=\"panel long\"><h2>%s</h2><p class=\"hint\">%s</p>\n",
                      title, what);
    if (top->n == 0) {
        buffer_add_text(out, "<p>There is none.</p></section>\n");
        return;
    }
    buffer_add_format(out,
                      "<table class=\"pairs\"><caption class=\"hidden\">%s</caption><thead><tr>"
                      "<th scope=\"col\">id</th><th scope=\"col\">OLD</th>"
                      "<th scope=\"col\">NEW</th></tr></thead><tbody>\n",
                      title);
    for (size_t i = 0; i < top->n; i++) {
        const struct diff_pair *pair = &top->pairs[i];
        buffer_add_text(out, "<tr><th scope=\"row\"><bdi>");
        html_add_text(out, (struct span){pair->id.bytes, pair->id.len}, HTML_ID_COLUMNS);
        buffer_add_text(out, "</bdi></th>");
        add_seen(report, &pair->old, out);
        add_seen(report, &pair->new, out);
        buffer_add_text(out, "</tr>\n");
    }
    buffer_add_text(out, "</tbody></table></section>\n");
}

// ---- where the rows are from

static void add_setting(void *context, struct span key, const struct span *old,
                        const struct span *new) {
    struct buffer *out = context;
    const struct span none = span_text("none");
    buffer_add_text(out, "<tr><th scope=\"row\">");
    html_add_text(out, (struct span){key.ptr + 1, key.len - 2}, HTML_NAME_COLUMNS);
    buffer_add_text(out, "</th><td class=\"word\">");
    html_add_text(out, old != NULL ? *old : none, HTML_NAME_COLUMNS);
    buffer_add_text(out, "</td><td class=\"word\">");
    html_add_text(out, new != NULL ? *new : none, HTML_NAME_COLUMNS);
    buffer_add_text(out, "</td></tr>\n");
}

static void add_hash(struct buffer *out, const struct diff_side *side, bool several,
                     const char *sha256) {
    buffer_add_text(out, "<td class=\"word\">");
    if (side->n_recorded == 0) {
        buffer_add_text(out, "no commit record");
    } else if (several) {
        buffer_add_text(out, "several");
    } else {
        buffer_add_format(out, "<code>%.16s</code>", sha256);
    }
    buffer_add_text(out, "</td>");
}

void html_add_sources(const struct diff_report *report, struct buffer *out) {
    const struct diff_side *sides = report->diff->sides;
    const struct diff_counts *counts = &report->diff->counts;
    buffer_add_text(
        out,
        "<section class=\"panel\"><h2>Where the rows are from</h2>\n"
        "<table class=\"pairs\"><caption class=\"hidden\">Both sides</caption><thead><tr>"
        "<th scope=\"col\"></th><th scope=\"col\">OLD</th>"
        "<th scope=\"col\">NEW</th></tr></thead><tbody>\n"
        "<tr><th scope=\"row\">rows</th>");
    for (int i = 0; i < DIFF_SIDES; i++) {
        buffer_add_text(out, "<td class=\"word\">");
        diff_add_count(out, counts->rows[i]);
        buffer_add_text(out, "</td>");
    }
    buffer_add_text(out,
                    "</tr>\n<tr><th scope=\"row\">outputs, of them as their commit record "
                    "says</th>");
    for (int i = 0; i < DIFF_SIDES; i++) {
        buffer_add_format(out, "<td class=\"word\">%zu, %zu</td>", sides[i].n_files,
                          sides[i].n_recorded);
    }
    buffer_add_format(out, "</tr>\n<tr><th scope=\"row\">model: %s</th>",
                      diff_sameness_word(diff_same_model(report)));
    for (int i = 0; i < DIFF_SIDES; i++) {
        add_hash(out, &sides[i], sides[i].many_models, sides[i].record.model_sha256);
    }
    buffer_add_format(out, "</tr>\n<tr><th scope=\"row\">tokenizer: %s</th>",
                      diff_sameness_word(diff_same_tokenizer(report)));
    for (int i = 0; i < DIFF_SIDES; i++) {
        add_hash(out, &sides[i], sides[i].many_tokenizers, sides[i].record.tokenizer_sha256);
    }
    buffer_add_format(out,
                      "</tr>\n<tr><th scope=\"row\">settings</th><td class=\"word\" "
                      "colspan=\"2\">%s</td></tr>\n",
                      diff_sameness_word(diff_same_settings(report)));
    diff_settings(report, add_setting, out);
    buffer_add_text(out, "</tbody></table></section>\n");
}

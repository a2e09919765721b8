// SPDX-License-Identifier: Apache-2.0
//
// `wader diff --html`: one page that asks for nothing else and runs nothing; its policy forbids
// both. Ids and labels come out of files: each is escaped, and stands in text, never in a tag.
#include "host/cli/diff_html.h"

#include <stdio.h>

#include "host/cli/bench_svg.h"
#include "host/cli/eval_report.h"

void html_add_text(struct buffer *out, struct span text, size_t columns) {
    struct buffer cut = {0};
    (void)eval_add_cut(&cut, text, columns);
    svg_escape(out, (struct span){cut.bytes, cut.len});
    out->failed = out->failed || cut.failed;
    buffer_free(&cut);
}

static void add_path(struct buffer *out, const char *path) {
    html_add_text(out, span_text(path), HTML_ID_COLUMNS);
}

void html_add_signed(struct buffer *out, int digits, double value) {
    char text[64];
    snprintf(text, sizeof text, "%+.*f", digits, value);
    buffer_add_text(out, text[0] == '-' ? "\xe2\x88\x92" : "+");
    buffer_add_text(out, text + 1);
}

// ---- the top

static void add_card(struct buffer *out, const char *title, const struct buffer *value,
                     const struct buffer *note) {
    buffer_add_format(out, "<div class=\"card\"><dt>%s</dt><dd><strong>", title);
    buffer_add(out, value->bytes, value->len);
    buffer_add_text(out, "</strong><span>");
    buffer_add(out, note->bytes, note->len);
    buffer_add_text(out, "</span></dd></div>\n");
    out->failed = out->failed || value->failed || note->failed;
}

static void add_psi_card(struct buffer *out, const char *title, const struct diff_figure *psi) {
    struct buffer value = {0}, note = {0};
    if (psi->is_defined) {
        buffer_add_format(&value, "%.4f", psi->value);
        buffer_add_format(&note, "%s change", diff_psi_word(psi->value));
    } else {
        buffer_add_text(&value, "\xe2\x80\x93");
        buffer_add_text(&note, "one side is empty");
    }
    add_card(out, title, &value, &note);
    buffer_free(&value);
    buffer_free(&note);
}

static void add_share_card(struct buffer *out, const char *title, uint64_t n, uint64_t of,
                           const char *what) {
    struct buffer value = {0}, note = {0};
    diff_add_percent(&value, n, of);
    diff_add_count(&note, n);
    buffer_add_text(&note, " of ");
    diff_add_count(&note, of);
    buffer_add_format(&note, " %s", what);
    add_card(out, title, &value, &note);
    buffer_free(&value);
    buffer_free(&note);
}

static void add_shift_card(const struct diff_report *report, struct buffer *out) {
    const struct diff_spread *change = &report->measures.change;
    struct buffer value = {0}, note = {0};
    if (change->n > 0) {
        html_add_signed(&value, 4, change->mean);
        diff_add_count(&note, report->diff->counts.newly_low);
        buffer_add_text(&note, " newly below 0.5, ");
        diff_add_count(&note, report->diff->counts.newly_high);
        buffer_add_text(&note, " above");
    } else {
        buffer_add_text(&value, "\xe2\x80\x93");
        buffer_add_text(&note, "no id has a score on both sides");
    }
    add_card(out, "Mean score change", &value, &note);
    buffer_free(&value);
    buffer_free(&note);
}

static void add_gates(const struct diff_report *report, struct buffer *out) {
    int n = 0;
    for (int i = 0; i < report->n_gates; i++) n += report->verdicts[i].tripped;
    if (report->n_gates == 0) return;
    buffer_add_format(out, "<section class=\"gates %s\"><h2>", n > 0 ? "bad" : "good");
    if (n > 0) {
        buffer_add_format(out, "%d of %d gates tripped", n, report->n_gates);
    } else {
        buffer_add_text(out, "Every gate passed");
    }
    buffer_add_text(out, "</h2><ul>\n");
    for (int i = 0; i < report->n_gates; i++) {
        const struct diff_verdict *verdict = &report->verdicts[i];
        struct buffer text = {0};
        diff_describe_gate(&report->gates[i], verdict, &text);
        buffer_add_format(out, "<li><b>%s</b> <code>", verdict->tripped ? "tripped" : "passed");
        html_add_text(out, span_text(report->gates[i].text), HTML_NAME_COLUMNS);
        buffer_add_text(out, "</code>: ");
        html_add_text(out, (struct span){text.bytes, text.len}, HTML_ID_COLUMNS);
        buffer_add_text(out, "</li>\n");
        buffer_free(&text);
    }
    buffer_add_text(out, "</ul></section>\n");
}

static void add_top(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    buffer_add_text(out, "<header><h1>What changed</h1>\n<p class=\"paths\"><span><b>OLD</b> ");
    add_path(out, report->diff->sides[DIFF_OLD].path);
    buffer_add_text(out, "</span> <span><b>NEW</b> ");
    add_path(out, report->diff->sides[DIFF_NEW].path);
    buffer_add_text(out, "</span></p></header>\n");
    add_gates(report, out);
    buffer_add_text(out, "<dl class=\"cards\">\n");
    add_share_card(out, "Flips", counts->flips, counts->common, "shared ids have another label");
    add_psi_card(out, "PSI of labels", &report->measures.psi);
    add_psi_card(out, "PSI of scores", &report->measures.score_psi);
    add_shift_card(report, out);
    add_share_card(out, "New ids", counts->added, counts->rows[DIFF_NEW], "rows of NEW");
    add_share_card(out, "Gone ids", counts->gone, counts->rows[DIFF_OLD], "rows of OLD");
    buffer_add_text(out, "</dl>\n");
}

// ---- all of it

static void add_panel(struct buffer *out, const char *title, const char *hint) {
    buffer_add_format(out, "<section class=\"panel\"><h2>%s</h2><p class=\"hint\">%s</p>\n", title,
                      hint);
}

// Many labels take the page's whole width, and what a phone cannot show it scrolls to.
static void add_flips(const struct diff_report *report, struct buffer *out) {
    const size_t n = diff_n_shown(report);
    const bool is_drawn = diff_has_matrix(report) && n > 0 && n <= CHART_LABELS_MAX;
    buffer_add_format(out, "<section class=\"panel%s\">", is_drawn && n > 12 ? " full" : "");
    buffer_add_text(out,
                    "<h2>Flips</h2><p class=\"hint\">rows: label in OLD; columns: in NEW; "
                    "<span class=\"key kept\">kept</span> <span class=\"key flip\">flipped</span>"
                    "</p>\n");
    if (is_drawn) {
        buffer_add_text(out,
                        "<div class=\"wide\" role=\"region\" aria-label=\"Flip matrix\" "
                        "tabindex=\"0\">");
        chart_add_matrix(report, out);
        buffer_add_text(out, "</div>\n");
    }
    html_add_flip_table(report, out);
    buffer_add_text(out, "</section>\n");
}

static void add_charts(const struct diff_report *report, struct buffer *out) {
    static const char legend[] =
        "<span class=\"key old\">OLD</span> <span class=\"key new\">NEW"
        "</span>";
    add_panel(out, "Labels", legend);
    chart_add_labels(report, out);
    html_add_label_table(report, out);
    buffer_add_text(out, "</section>\n");
    add_flips(report, out);
    add_panel(out, "Scores", legend);
    chart_add_scores(report, out);
    html_add_score_table(report, out);
    buffer_add_text(out, "</section>\n");
    add_panel(out, "Change of scores",
              "of ids on both sides: new score less old one; numbers are ids");
    chart_add_changes(report, out);
    buffer_add_text(out, "</section>\n");
    add_panel(out, "Statuses", legend);
    chart_add_statuses(report, out);
    buffer_add_text(out, "</section>\n");
}

void diff_print_html(const struct diff_report *report, struct buffer *out) {
    buffer_add_text(out, diff_html_head);
    buffer_add_text(out, "<title>wader diff: ");
    add_path(out, report->diff->sides[DIFF_OLD].path);
    buffer_add_text(out, " and ");
    add_path(out, report->diff->sides[DIFF_NEW].path);
    buffer_add_text(out, "</title>\n</head><body><main>\n");
    add_top(report, out);
    buffer_add_text(out, "<div class=\"panels\">\n");
    add_charts(report, out);
    html_add_sources(report, out);
    html_add_pairs(report, &report->diff->counts.surest_flips, "Surest flips",
                   "another label, and the highest sum of both scores", out);
    html_add_pairs(report, &report->diff->counts.falls, "Deepest falls",
                   "the same label, and the score that fell most", out);
    buffer_add_text(out, "</div>\n");
    buffer_add_text(out, diff_html_foot);
}

// SPDX-License-Identifier: Apache-2.0
//
// `wader diff` for people: a screen of figures, their tables aligned.
#include <stdio.h>

#include "host/cli/diff_report.h"
#include "host/cli/eval_report.h"

enum {
    INDENT = 22,
    NAME_COLUMNS = 24,
    COUNT_COLUMNS = 14,
    SHARE_COLUMNS = 9,
    LABELS_SHOWN = 16,
    MATRIX_LABELS = 10,  // of more labels the most frequent flips take the matrix's place
    PAIRS_SHOWN = 5,
    FLIPS_SHOWN = 10,
    PATH_COLUMNS = 76,
    ID_COLUMNS = 28,
};

// ---- cells

static void add_title(struct buffer *out, const char *title) {
    buffer_add_format(out, "%-*s", (int)INDENT, title);
}

static void add_padded(struct buffer *out, struct span text, size_t columns) {
    const size_t taken = eval_add_cut(out, text, columns);
    buffer_add_format(out, "%*s", (int)(columns - taken), "");
}

static void add_right(struct buffer *out, const struct buffer *text, int columns) {
    const int len = (int)text->len;
    buffer_add_format(out, "%*s%.*s", len < columns ? columns - len : 0, "", len,
                      text->bytes != NULL ? text->bytes : "");
    out->failed = out->failed || text->failed;
}

static void add_count(struct buffer *out, uint64_t n, int columns) {
    struct buffer text = {0};
    diff_add_count(&text, n);
    add_right(out, &text, columns);
    buffer_free(&text);
}

static void add_percent(struct buffer *out, uint64_t part, uint64_t whole, int columns) {
    struct buffer text = {0};
    diff_add_percent(&text, part, whole);
    add_right(out, &text, columns);
    buffer_free(&text);
}

// ---- the sides

static void print_side(const struct diff_report *report, int side, struct buffer *out) {
    const struct diff_side *it = &report->diff->sides[side];
    add_title(out, side == DIFF_OLD ? "OLD" : "NEW");
    (void)eval_add_cut(out, span_text(it->path), PATH_COLUMNS);
    buffer_add_text(out, "\n");
    add_title(out, "");
    diff_add_count(out, it->n_files);
    buffer_add_text(out, it->n_files == 1 ? " output, " : " outputs, ");
    if (it->n_recorded == it->n_files) {
        buffer_add_text(out, "as the commit record says\n");
    } else if (it->n_recorded == 0) {
        buffer_add_text(out, "no commit record to check it against\n");
    } else {
        diff_add_count(out, it->n_recorded);
        buffer_add_text(out, " of them with a commit record, which holds\n");
    }
}

struct settings {
    struct buffer *out;
    int n;
};

static void add_setting(void *context, struct span key, const struct span *old,
                        const struct span *new) {
    struct settings *settings = context;
    buffer_add_text(settings->out, settings->n++ > 0 ? ", " : ": ");
    (void)eval_add_cut(settings->out, (struct span){key.ptr + 1, key.len - 2}, NAME_COLUMNS);
    buffer_add_text(settings->out, " ");
    (void)eval_add_cut(settings->out, old != NULL ? *old : span_text("none"), NAME_COLUMNS);
    buffer_add_text(settings->out, " to ");
    (void)eval_add_cut(settings->out, new != NULL ? *new : span_text("none"), NAME_COLUMNS);
}

static void print_made_by(const struct diff_report *report, struct buffer *out) {
    struct settings settings = {.out = out};
    const struct diff_side *old = &report->diff->sides[DIFF_OLD], *new = old + 1;
    const enum diff_sameness model = diff_same_model(report);
    add_title(out, "model");
    buffer_add_text(out, diff_sameness_word(model));
    if (model == DIFF_DIFFERENT) {
        buffer_add_format(out, ": %.12s to %.12s", old->record.model_sha256,
                          new->record.model_sha256);
    }
    buffer_add_format(out, "; tokenizer %s; settings %s",
                      diff_sameness_word(diff_same_tokenizer(report)),
                      diff_sameness_word(diff_same_settings(report)));
    diff_settings(report, add_setting, &settings);
    buffer_add_text(out, "\n");
}

// ---- counts

static void print_row(struct buffer *out, const char *title, uint64_t old, uint64_t new,
                      const uint64_t rows[DIFF_SIDES]) {
    add_title(out, title);
    add_count(out, old, COUNT_COLUMNS);
    add_percent(out, old, rows[DIFF_OLD], SHARE_COLUMNS);
    add_count(out, new, COUNT_COLUMNS);
    add_percent(out, new, rows[DIFF_NEW], SHARE_COLUMNS);
    buffer_add_text(out, "\n");
}

static void print_score(struct buffer *out, const char *title, const struct diff_spread *old,
                        const struct diff_spread *new, int q) {
    add_title(out, title);
    const struct diff_spread *spreads[] = {old, new};
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct diff_spread *it = spreads[side];
        const int columns = COUNT_COLUMNS + (side == DIFF_NEW ? SHARE_COLUMNS : 0);
        if (it->n == 0) {
            buffer_add_format(out, "%*s", columns, "-");
        } else {
            buffer_add_format(out, "%*.4f", columns, q < 0 ? it->mean : it->quantiles[q]);
        }
    }
    buffer_add_text(out, "\n");
}

static void print_counts(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const uint64_t *rows = counts->rows;
    const struct diff_spread *scores = report->measures.scores;
    uint64_t of_status[DIFF_SIDES][3];
    for (int side = 0; side < DIFF_SIDES; side++) {
        of_status[side][0] = counts->by_status[side][RECORD_TRUNCATED];
        of_status[side][1] = counts->by_status[side][RECORD_ABSTAIN];
        of_status[side][2] = diff_bad(counts, side);
    }
    static const char *const titles[] = {"truncated", "abstained", "bad"};
    buffer_add_format(out, "\n%*s%*s%*s\n", (int)INDENT, "", (int)COUNT_COLUMNS, "OLD",
                      SHARE_COLUMNS + COUNT_COLUMNS, "NEW");
    add_title(out, "rows");
    add_count(out, rows[DIFF_OLD], COUNT_COLUMNS);
    add_count(out, rows[DIFF_NEW], SHARE_COLUMNS + COUNT_COLUMNS);
    buffer_add_text(out, "\n");
    print_row(out, "ids of one side only", counts->gone, counts->added, rows);
    for (int i = 0; i < 3; i++) {
        print_row(out, titles[i], of_status[DIFF_OLD][i], of_status[DIFF_NEW][i], rows);
    }
    print_score(out, "mean score", &scores[DIFF_OLD], &scores[DIFF_NEW], -1);
    print_score(out, "median score", &scores[DIFF_OLD], &scores[DIFF_NEW], 4);
    print_score(out, "5 % of scores to", &scores[DIFF_OLD], &scores[DIFF_NEW], 1);
}

static void print_psi(const char *title, const struct diff_figure *psi, struct buffer *out) {
    add_title(out, title);
    if (psi->is_defined) {
        buffer_add_format(out, "%.4f, %s change (below 0.1 little, to 0.25 some, above much)\n",
                          psi->value, diff_psi_word(psi->value));
    } else {
        buffer_add_text(out, "- (one side is empty)\n");
    }
}

static void print_changes(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const struct diff_spread *change = &report->measures.change;
    buffer_add_text(out, "\n");
    add_title(out, "flips");
    diff_add_percent(out, counts->flips, counts->common);
    buffer_add_text(out, "  (");
    diff_add_count(out, counts->flips);
    buffer_add_text(out, " of ");
    diff_add_count(out, counts->common);
    buffer_add_text(out, " ids on both sides got another label)\n");
    add_title(out, "score change");
    if (change->n > 0) {
        buffer_add_format(out, "mean %+.4f, 90 %% of ids from %+.4f to %+.4f; ", change->mean,
                          change->quantiles[1], change->quantiles[7]);
        diff_add_count(out, counts->newly_low);
        buffer_add_text(out, " newly below 0.5, ");
        diff_add_count(out, counts->newly_high);
        buffer_add_text(out, " newly above\n");
    } else {
        buffer_add_text(out, "- (no id has a score on both sides)\n");
    }
    print_psi("label PSI", &report->measures.psi, out);
    print_psi("score PSI", &report->measures.score_psi, out);
}

// ---- labels

static size_t name_columns(const struct diff_report *report, size_t n) {
    size_t widest = 5;
    for (size_t i = 0; i < n; i++) {
        const size_t columns = eval_columns(diff_label_name(report, diff_number_shown(report, i)));
        if (columns > widest) widest = columns;
    }
    return widest < NAME_COLUMNS ? widest : NAME_COLUMNS;
}

static uint64_t *flip_row(const struct diff_report *report, size_t i, uint64_t row[MATRIX_LABELS]) {
    for (size_t j = 0; j < diff_n_shown(report); j++) {
        row[j] = diff_counts_of_flip(&report->diff->counts, diff_number_shown(report, i),
                                     diff_number_shown(report, j));
    }
    return row;
}

static void print_labels(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const uint64_t *rows = counts->rows;
    const size_t all = diff_n_shown(report), n = all < LABELS_SHOWN ? all : LABELS_SHOWN;
    const size_t columns = name_columns(report, n);
    buffer_add_format(out, "\n    %-*s%*s%9s%*s%9s%12s\n", (int)columns, "label", 12, "OLD",
                      "share", 12, "NEW", "share", "change");
    for (size_t i = 0; i < n; i++) {
        const uint32_t label = diff_number_shown(report, i);
        const uint64_t old = diff_counts_of_label(counts, DIFF_OLD, label);
        const uint64_t new = diff_counts_of_label(counts, DIFF_NEW, label);
        const struct diff_figure p = diff_share(old, rows[DIFF_OLD]);
        const struct diff_figure q = diff_share(new, rows[DIFF_NEW]);
        buffer_add_format(out, "%2zu  ", i + 1);
        add_padded(out, diff_label_name(report, label), columns);
        add_count(out, old, 12);
        add_percent(out, old, rows[DIFF_OLD], SHARE_COLUMNS);
        add_count(out, new, 12);
        add_percent(out, new, rows[DIFF_NEW], SHARE_COLUMNS);
        if (p.is_defined && q.is_defined) {
            buffer_add_format(out, "%+9.2f pp", 100.0 * (q.value - p.value));
        }
        buffer_add_text(out, "\n");
    }
    if (all > n) buffer_add_format(out, "    and %zu more (--json has all)\n", all - n);
}

static void print_matrix(const struct diff_report *report, struct buffer *out) {
    const size_t n = diff_n_shown(report);
    uint64_t row[MATRIX_LABELS];
    buffer_add_text(out, "\nlabels of ids on both sides: rows OLD's, columns NEW's\n    ");
    for (size_t j = 0; j < n; j++) buffer_add_format(out, "%9zu", j + 1);
    buffer_add_text(out, "\n");
    for (size_t i = 0; i < n; i++) {
        flip_row(report, i, row);
        buffer_add_format(out, "%2zu  ", i + 1);
        for (size_t j = 0; j < n; j++) {
            if (row[j] > 0) {
                buffer_add_format(out, "%9llu", (unsigned long long)row[j]);
            } else {
                buffer_add_format(out, "%9s", ".");
            }
        }
        buffer_add_text(out, "\n");
    }
}

static void print_flips(const struct diff_report *report, struct buffer *out) {
    struct diff_flip flips[FLIPS_SHOWN];
    if (diff_n_shown(report) <= MATRIX_LABELS && diff_has_matrix(report)) {
        if (report->diff->counts.common > 0) print_matrix(report, out);
        return;
    }
    const size_t n = diff_most_flips(report, flips, FLIPS_SHOWN);
    if (n > 0) buffer_add_text(out, "\nmost frequent flips\n");
    for (size_t i = 0; i < n; i++) {
        add_count(out, flips[i].n, 12);
        buffer_add_text(out, "  ");
        (void)eval_add_cut(out, diff_label_name(report, flips[i].old), NAME_COLUMNS);
        buffer_add_text(out, " to ");
        (void)eval_add_cut(out, diff_label_name(report, flips[i].new), NAME_COLUMNS);
        buffer_add_text(out, "\n");
    }
}

static void print_top(const struct diff_report *report, const char *title,
                      const struct diff_top *top, struct buffer *out) {
    if (top->n == 0) return;
    buffer_add_format(out, "\n%s\n", title);
    for (size_t i = 0; i < top->n && i < PAIRS_SHOWN; i++) {
        const struct diff_pair *pair = &top->pairs[i];
        buffer_add_text(out, "    ");
        add_padded(out, (struct span){pair->id.bytes, pair->id.len}, ID_COLUMNS);
        buffer_add_format(out, "  %.6f ", (double)pair->old.score / SCORE_MAX);
        add_padded(out, diff_label_name(report, pair->old.label), NAME_COLUMNS);
        buffer_add_format(out, " %.6f ", (double)pair->new.score / SCORE_MAX);
        (void)eval_add_cut(out, diff_label_name(report, pair->new.label), NAME_COLUMNS);
        buffer_add_text(out, "\n");
    }
}

static void print_gates(const struct diff_report *report, struct buffer *out) {
    if (report->n_gates > 0) buffer_add_text(out, "\n");
    for (int i = 0; i < report->n_gates; i++) {
        add_title(out, report->verdicts[i].tripped ? "gate tripped" : "gate passed");
        add_padded(out, span_text(report->gates[i].text), NAME_COLUMNS);
        buffer_add_text(out, " ");
        diff_describe_gate(&report->gates[i], &report->verdicts[i], out);
        buffer_add_text(out, "\n");
    }
}

void diff_print_text(const struct diff_report *report, struct buffer *out) {
    print_side(report, DIFF_OLD, out);
    print_side(report, DIFF_NEW, out);
    print_made_by(report, out);
    print_counts(report, out);
    print_changes(report, out);
    print_labels(report, out);
    print_flips(report, out);
    print_top(report, "surest flips", &report->diff->counts.surest_flips, out);
    print_gates(report, out);
}

// SPDX-License-Identifier: Apache-2.0
//
// `wader eval` for people: a screen of figures, their tables aligned.
#include <stdio.h>

#include "host/cli/eval_report.h"
#include "host/cli/report.h"

enum {
    INDENT = 18,
    NAME_COLUMNS = 28,  // of a label's name in a table
    LABELS_SHOWN = 60,
    MATRIX_LABELS = 12,  // of more labels the pairs that are confused most take the matrix's place
    PAIRS_SHOWN = 12,
};

static void add_title(struct buffer *out, const char *title) {
    buffer_add_format(out, "%-*s", (int)INDENT, title);
}

static void add_count(struct buffer *out, uint64_t n) {
    char text[32];
    buffer_add_text(out, with_commas(n, text));
}

static void add_name(struct buffer *out, const char *name, size_t columns) {
    const size_t taken = eval_add_cut(out, span_text(name), columns);
    buffer_add_format(out, "%*s", (int)(columns - taken), "");
}

// Three digits behind the point, or "-" where there is nothing to divide by.
static void add_ratio(struct buffer *out, uint64_t part, uint64_t whole, int columns) {
    double value;
    if (ratio(part, whole, &value)) {
        buffer_add_format(out, "%*.3f", columns, value);
    } else {
        buffer_add_format(out, "%*s", columns, "-");
    }
}

static size_t name_columns(const struct eval_report *report) {
    size_t widest = 0;
    const int32_t n = report->measures.model.n_labels;
    for (int32_t k = 0; k < n && k < LABELS_SHOWN; k++) {
        const size_t columns = eval_columns(span_text(report->names[k]));
        if (columns > widest) widest = columns;
    }
    return widest < NAME_COLUMNS ? widest : NAME_COLUMNS;
}

// ---- figures

static void print_accuracy(const struct measures *measures, struct buffer *out) {
    const bool multi_label = measures->model.multi_label;
    double f1;
    add_title(out, multi_label ? "exactly right" : "accuracy");
    buffer_add_format(out, "%.1f %%  (",
                      100.0 * (double)measures->n_right / (double)measures->n_titles);
    add_count(out, measures->n_right);
    buffer_add_text(out, " of ");
    add_count(out, measures->n_titles);
    buffer_add_format(out, "; 95 %% interval %.1f to %.1f %%)\n", 100.0 * measures->low,
                      100.0 * measures->high);
    if (measures->n_macro > 0) {
        add_title(out, "macro F1");
        buffer_add_format(out, "%.3f\n", measures->macro_f1);
    }
    if (multi_label && f1_of(&measures->all, &f1)) {
        add_title(out, "micro F1");
        buffer_add_format(out, "%.3f\n", f1);
    }
    if (measures->model.thresholds == NULL || multi_label) return;
    add_title(out, "with thresholds");
    add_count(out, measures->n_answered);
    buffer_add_format(out, " answered (%.1f %%), ",
                      100.0 * (double)measures->n_answered / (double)measures->n_titles);
    add_count(out, measures->n_titles - measures->n_answered);
    buffer_add_text(out, " abstained");
    if (measures->n_answered > 0) {
        buffer_add_format(
            out, "; of the answered %.1f %% right",
            100.0 * (double)measures->n_answered_right / (double)measures->n_answered);
    }
    buffer_add_text(out, "\n");
}

static void print_temperature(const struct measures *measures, struct buffer *out) {
    add_title(out, "likelihood");
    buffer_add_format(out, "NLL %.4f, calibration error %.4f at temperature %.6g%s\n",
                      measures->reliability.nll, measures->reliability.error,
                      measures->model.temperature,
                      measures->model.temperature == 1.0 ? "" : " (calibration.json)");
    add_title(out, "best temperature");
    switch (measures->place) {
        case TEMPERATURE_NONE:
            buffer_add_text(out,
                            "none: every title is right, or all logits are equal; it takes titles "
                            "that are wrong\n");
            return;
        case TEMPERATURE_AT_MIN:
        case TEMPERATURE_AT_MAX:
            buffer_add_format(out,
                              "%.6g or %s, where the search ends: NLL %.4f, calibration error "
                              "%.4f\n",
                              measures->temperature,
                              measures->place == TEMPERATURE_AT_MIN ? "less" : "more",
                              measures->at_best.nll, measures->at_best.error);
            return;
        case TEMPERATURE_INSIDE:
            break;
    }
    buffer_add_format(out, "%.4f: NLL %.4f, calibration error %.4f\n", measures->temperature,
                      measures->at_best.nll, measures->at_best.error);
    add_title(out, "calibration.json");
    buffer_add_format(out, "%s\n", eval_calibration_of(measures).text);
}

// ---- tables

static void print_labels(const struct eval_report *report, size_t columns, struct buffer *out) {
    const struct measures *measures = &report->measures;
    const float *thresholds = measures->model.thresholds;
    const int32_t n = measures->model.n_labels;
    buffer_add_text(out, "\n");
    add_name(out, "label", columns > 5 ? columns : 5);
    buffer_add_format(out, "%9s%11s%11s%8s%7s%s\n", "titles", "predicted", "precision", "recall",
                      "F1", thresholds != NULL ? "  threshold" : "");
    for (int32_t k = 0; k < n && k < LABELS_SHOWN; k++) {
        const struct label_counts *counts = &measures->labels[k];
        add_name(out, report->names[k], columns > 5 ? columns : 5);
        buffer_add_format(out, "%9llu%11llu", (unsigned long long)counts->support,
                          (unsigned long long)counts->predicted);
        add_ratio(out, counts->right, counts->predicted, 11);
        add_ratio(out, counts->right, counts->support, 8);
        add_ratio(out, 2 * counts->right, counts->support + counts->predicted, 7);
        if (thresholds != NULL) buffer_add_format(out, "%11.3f", (double)thresholds[k]);
        buffer_add_text(out, "\n");
    }
    if (n > LABELS_SHOWN) {
        buffer_add_text(out, "and ");
        add_count(out, (uint64_t)(n - LABELS_SHOWN));
        buffer_add_text(out, " more (--json has all)\n");
    }
}

static int digits_of(uint32_t n) {
    int digits = 1;
    for (; n > 9; n /= 10) digits++;
    return digits;
}

static void print_matrix(const struct eval_report *report, size_t columns, struct buffer *out) {
    const struct measures *measures = &report->measures;
    const int32_t n = measures->model.n_labels;
    uint32_t most = (uint32_t)n - 1;
    for (int32_t i = 0; i < n * n; i++) {
        if (measures->confusion[i] > most) most = measures->confusion[i];
    }
    const int width = digits_of(most) + 2;
    buffer_add_text(out, "\nrows: the right label; columns: what was predicted\n");
    buffer_add_format(out, "%*s", (int)columns + 5, "");
    for (int32_t k = 0; k < n; k++) buffer_add_format(out, "%*d", width, (int)k);
    buffer_add_text(out, "\n");
    for (int32_t gold = 0; gold < n; gold++) {
        buffer_add_format(out, "%3d  ", (int)gold);
        add_name(out, report->names[gold], columns);
        for (int32_t k = 0; k < n; k++) {
            const uint32_t count = measures->confusion[gold * n + k];
            if (count == 0) {
                buffer_add_format(out, "%*s", width, ".");
            } else {
                buffer_add_format(out, "%*lu", width, (unsigned long)count);
            }
        }
        buffer_add_text(out, "\n");
    }
}

static void print_pairs(const struct eval_report *report, struct buffer *out) {
    struct confused pairs[PAIRS_SHOWN];
    const int32_t n = eval_most_confused(&report->measures, pairs, PAIRS_SHOWN);
    if (n == 0) return;
    buffer_add_text(out, "\nconfused most (--json has the whole matrix)\n");
    for (int32_t i = 0; i < n; i++) {
        buffer_add_format(out, "%9lu  ", (unsigned long)pairs[i].n);
        (void)eval_add_cut(out, span_text(report->names[pairs[i].gold]), NAME_COLUMNS);
        buffer_add_text(out, " taken for ");
        (void)eval_add_cut(out, span_text(report->names[pairs[i].predicted]), NAME_COLUMNS);
        buffer_add_text(out, "\n");
    }
}

static void print_confusion(const struct eval_report *report, size_t columns, struct buffer *out) {
    const struct measures *measures = &report->measures;
    if (measures->model.multi_label) {
        buffer_add_text(out, "\nno confusion matrix: each label holds or not, for itself\n");
    } else if (measures->confusion == NULL) {
        buffer_add_format(out, "\nno confusion matrix: there are more than %d labels\n",
                          (int)CONFUSION_LABELS_MAX);
    } else if (measures->model.n_labels <= MATRIX_LABELS) {
        print_matrix(report, columns, out);
    } else {
        print_pairs(report, out);
    }
}

static void print_bins(const struct measures *measures, struct buffer *out) {
    const char *what = measures->model.multi_label ? "labels" : "titles";
    buffer_add_format(out, "\nprobability%11s%7s%8s\n", what, "mean",
                      measures->model.multi_label ? "true" : "right");
    for (int b = 0; b < EVALUATION_BINS; b++) {
        const struct reliability_bin *bin = &measures->reliability.bins[b];
        if (bin->n == 0) continue;
        buffer_add_format(out, "%.2f to %.2f%10llu%7.3f", (double)b / EVALUATION_BINS,
                          (double)(b + 1) / EVALUATION_BINS, (unsigned long long)bin->n,
                          bin->sum / (double)bin->n);
        add_ratio(out, bin->n_right, bin->n, 8);
        buffer_add_text(out, "\n");
    }
}

void eval_print_text(const struct eval_report *report, struct buffer *out) {
    const size_t columns = name_columns(report);
    add_title(out, "model");
    (void)eval_add_cut(out, span_text(report->model), 80);
    buffer_add_text(out, "\n");
    add_title(out, "titles");
    add_count(out, report->measures.n_titles);
    if (report->n_truncated > 0) {
        buffer_add_text(out, ", of them truncated ");
        add_count(out, report->n_truncated);
    }
    buffer_add_text(out, "\n");
    print_accuracy(&report->measures, out);
    print_temperature(&report->measures, out);
    print_labels(report, columns, out);
    print_confusion(report, columns, out);
    print_bins(&report->measures, out);
}

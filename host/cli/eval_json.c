// SPDX-License-Identifier: Apache-2.0
//
// `wader eval --json`: one object on one line. Keys are stable; what is not defined is null.
//   wader             version
//   model, device, precision
//   problem           "single_label", "multi_label"
//   titles, truncated
//   temperature       the model's own, of calibration.json; 1 without one
//   right             titles whose label is right; multi_label: all of them, and no other
//   accuracy          right / titles
//   accuracy_interval [low, high], 95 %, Wilson
//   macro_f1          the mean over labels that have an F1
//   micro_f1          multi_label: of the sums over labels; else null, since it is the accuracy
//   labels            of each: name, support, predicted, right, precision, recall, f1, threshold
//   confusion         [[...], ...], rows true, columns predicted, in the order of labels; null for
//                     multi_label and for more than 1,000 labels
//   nll               negative log likelihood, mean over titles (multi_label: and labels)
//   ece               expected calibration error
//   bins              of its 15: from, to, n, confidence (the mean probability), accuracy (the
//                     share that was right)
//   answered          null without thresholds and for multi_label; else titles, abstained,
//                     coverage, right, accuracy
//   best_temperature  temperature, place ("inside", "at_min", "at_max", "none"), nll, ece, bins
//   calibration       what calibration.json should hold, or null where the place is not "inside"
#include "host/cli/eval_report.h"

static void add_number(struct buffer *out, const char *key, double value) {
    buffer_add_format(out, ",\"%s\":%.9g", key, value);
}

static void add_or_null(struct buffer *out, const char *key, bool is_defined, double value) {
    if (is_defined) {
        add_number(out, key, value);
    } else {
        buffer_add_format(out, ",\"%s\":null", key);
    }
}

static void add_count(struct buffer *out, const char *key, uint64_t n) {
    buffer_add_format(out, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void add_text(struct buffer *out, const char *key, const char *text) {
    buffer_add_format(out, "\"%s\":", key);
    buffer_add_json_string(out, span_text(text));
}

static void add_ratio(struct buffer *out, const char *key, uint64_t part, uint64_t whole) {
    double value = 0.0;
    const bool is_defined = ratio(part, whole, &value);
    add_or_null(out, key, is_defined, value);
}

static void add_labels(const struct eval_report *report, struct buffer *out) {
    const struct measures *measures = &report->measures;
    const float *thresholds = measures->model.thresholds;
    buffer_add_text(out, ",\"labels\":[");
    for (int32_t k = 0; k < measures->model.n_labels; k++) {
        const struct label_counts *counts = &measures->labels[k];
        double f1 = 0.0;
        const bool has_f1 = f1_of(counts, &f1);
        buffer_add_text(out, k > 0 ? ",{" : "{");
        add_text(out, "name", report->names[k]);
        add_count(out, "support", counts->support);
        add_count(out, "predicted", counts->predicted);
        add_count(out, "right", counts->right);
        add_ratio(out, "precision", counts->right, counts->predicted);
        add_ratio(out, "recall", counts->right, counts->support);
        add_or_null(out, "f1", has_f1, f1);
        add_or_null(out, "threshold", thresholds != NULL,
                    thresholds != NULL ? (double)thresholds[k] : 0.0);
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, "]");
}

static void add_confusion(const struct measures *measures, struct buffer *out) {
    const int32_t n = measures->model.n_labels;
    const uint32_t *count = measures->confusion;
    if (count == NULL) {
        buffer_add_text(out, ",\"confusion\":null");
        return;
    }
    buffer_add_text(out, ",\"confusion\":[");
    for (int32_t gold = 0; gold < n; gold++) {
        for (int32_t k = 0; k < n; k++) {
            const char *before = k > 0 ? "," : gold > 0 ? ",[" : "[";
            buffer_add_format(out, "%s%lu", before, (unsigned long)*count++);
        }
        buffer_add_text(out, "]");
    }
    buffer_add_text(out, "]");
}

static void add_bins(const struct reliability *reliability, struct buffer *out) {
    buffer_add_text(out, ",\"bins\":[");
    for (int b = 0; b < EVALUATION_BINS; b++) {
        const struct reliability_bin *bin = &reliability->bins[b];
        buffer_add_format(out, "%s{\"from\":%.6f,\"to\":%.6f", b > 0 ? "," : "",
                          (double)b / EVALUATION_BINS, (double)(b + 1) / EVALUATION_BINS);
        add_count(out, "n", bin->n);
        add_or_null(out, "confidence", bin->n > 0, bin->sum / (double)(bin->n + (bin->n == 0)));
        add_ratio(out, "accuracy", bin->n_right, bin->n);
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, "]");
}

static void add_answered(const struct measures *measures, struct buffer *out) {
    const uint64_t n = measures->n_answered;
    if (measures->model.thresholds == NULL || measures->model.multi_label) {
        buffer_add_text(out, ",\"answered\":null");
        return;
    }
    buffer_add_format(out, ",\"answered\":{\"titles\":%llu", (unsigned long long)n);
    add_count(out, "abstained", measures->n_titles - n);
    add_ratio(out, "coverage", n, measures->n_titles);
    add_count(out, "right", measures->n_answered_right);
    add_ratio(out, "accuracy", measures->n_answered_right, n);
    buffer_add_text(out, "}");
}

static void add_best_temperature(const struct measures *measures, struct buffer *out) {
    static const char *const places[] = {[TEMPERATURE_INSIDE] = "inside",
                                         [TEMPERATURE_AT_MIN] = "at_min",
                                         [TEMPERATURE_AT_MAX] = "at_max",
                                         [TEMPERATURE_NONE] = "none"};
    const bool is_there = measures->place != TEMPERATURE_NONE;
    const struct eval_calibration calibration = eval_calibration_of(measures);
    buffer_add_format(out, ",\"best_temperature\":{\"place\":\"%s\"", places[measures->place]);
    add_or_null(out, "temperature", is_there, measures->temperature);
    add_or_null(out, "nll", is_there, measures->at_best.nll);
    add_or_null(out, "ece", is_there, measures->at_best.error);
    if (is_there) {
        add_bins(&measures->at_best, out);
    } else {
        buffer_add_text(out, ",\"bins\":null");
    }
    buffer_add_format(out, "},\"calibration\":%s",
                      calibration.text[0] != '\0' ? calibration.text : "null");
}

void eval_print_json(const struct eval_report *report, struct buffer *out) {
    const struct measures *measures = &report->measures;
    double micro_f1 = 0.0;
    const bool has_micro = measures->model.multi_label && f1_of(&measures->all, &micro_f1);
    buffer_add_text(out, "{\"wader\":\"" WADER_VERSION "\",");
    add_text(out, "model", report->model);
    buffer_add_format(out, ",\"device\":\"%s\",\"precision\":\"%s\",\"problem\":\"%s\"",
                      report->device, report->precision,
                      measures->model.multi_label ? "multi_label" : "single_label");
    add_count(out, "titles", measures->n_titles);
    add_count(out, "truncated", report->n_truncated);
    add_number(out, "temperature", measures->model.temperature);
    add_count(out, "right", measures->n_right);
    add_ratio(out, "accuracy", measures->n_right, measures->n_titles);
    buffer_add_format(out, ",\"accuracy_interval\":[%.9g,%.9g]", measures->low, measures->high);
    add_or_null(out, "macro_f1", measures->n_macro > 0, measures->macro_f1);
    add_or_null(out, "micro_f1", has_micro, micro_f1);
    add_labels(report, out);
    add_confusion(measures, out);
    add_number(out, "nll", measures->reliability.nll);
    add_number(out, "ece", measures->reliability.error);
    add_bins(&measures->reliability, out);
    add_answered(measures, out);
    add_best_temperature(measures, out);
    buffer_add_text(out, "}\n");
}

// SPDX-License-Identifier: Apache-2.0
#include "host/job/evaluation.h"

#include <math.h>
#include <stdlib.h>

bool ratio(uint64_t part, uint64_t whole, double *out) {
    if (whole == 0) return false;
    *out = (double)part / (double)whole;
    return true;
}

bool f1_of(const struct label_counts *counts, double *out) {
    return ratio(2 * counts->right, counts->support + counts->predicted, out);
}

enum status evaluation_add(struct evaluation *evaluation, const float *logits,
                           const uint8_t *members, struct error *error) {
    const size_t n = (size_t)evaluation->model.n_labels;
    if (evaluation->n_titles >= (size_t)EVALUATION_CELLS_MAX / n) {
        return error_set(error, STATUS_INPUT,
                         "there are more than %zu titles, and all their logits are kept: with %zu "
                         "labels no more can be; take a part of them",
                         evaluation->n_titles, n);
    }
    buffer_add(&evaluation->logits, (const char *)logits, n * sizeof *logits);
    buffer_add(&evaluation->members, (const char *)members, n);
    enum status status = buffer_check(&evaluation->logits, error);
    if (status == STATUS_OK) status = buffer_check(&evaluation->members, error);
    if (status == STATUS_OK) evaluation->n_titles++;
    return status;
}

void evaluation_free(struct evaluation *evaluation) {
    buffer_free(&evaluation->logits);
    buffer_free(&evaluation->members);
}

// ---- probabilities

// The label of the highest logit, the lowest among equals, and its probability.
static int32_t top_label(const float *logits, int32_t n, double inverse, double *probability) {
    int32_t top = 0;
    double sum = 0.0;
    for (int32_t k = 1; k < n; k++) {
        if (logits[k] > logits[top]) top = k;
    }
    for (int32_t k = 0; k < n; k++) {
        sum += exp(inverse * ((double)logits[k] - (double)logits[top]));
    }
    *probability = 1.0 / sum;
    return top;
}

static double label_probability(float logit, double inverse) {
    return 1.0 / (1.0 + exp(-inverse * (double)logit));
}

static void bin_add(struct reliability *reliability, double probability, bool right) {
    int i = (int)ceil(probability * EVALUATION_BINS) - 1;
    if (i < 0) i = 0;
    if (i >= EVALUATION_BINS) i = EVALUATION_BINS - 1;
    struct reliability_bin *bin = &reliability->bins[i];
    bin->n++;
    bin->n_right += right;
    bin->sum += probability;
}

static void measure_reliability(const struct known_titles *titles, double temperature,
                                struct reliability *reliability) {
    const size_t n_labels = (size_t)titles->n_labels;
    const double inverse = 1.0 / temperature;
    uint64_t n = 0;
    *reliability = (struct reliability){.nll = temperature_nll(titles, temperature)};
    for (size_t i = 0; i < titles->n_titles; i++) {
        const float *logits = titles->logits + i * n_labels;
        const uint8_t *members = titles->members + i * n_labels;
        double probability;
        if (!titles->multi_label) {
            const int32_t top = top_label(logits, titles->n_labels, inverse, &probability);
            bin_add(reliability, probability, members[top] != 0);
            continue;
        }
        for (size_t k = 0; k < n_labels; k++) {
            bin_add(reliability, label_probability(logits[k], inverse), members[k] != 0);
        }
    }
    for (int b = 0; b < EVALUATION_BINS; b++) {
        const struct reliability_bin *bin = &reliability->bins[b];
        reliability->error += fabs((double)bin->n_right - bin->sum);
        n += bin->n;
    }
    reliability->error /= (double)n;
}

// ---- right and wrong

static void count_one_label(const struct known_titles *titles, struct measures *measures) {
    const struct evaluation_model *model = &measures->model;
    const size_t n_labels = (size_t)titles->n_labels;
    for (size_t i = 0; i < titles->n_titles; i++) {
        const uint8_t *members = titles->members + i * n_labels;
        double probability;
        const int32_t top = top_label(titles->logits + i * n_labels, titles->n_labels,
                                      1.0 / model->temperature, &probability);
        size_t gold = 0;
        while (members[gold] == 0) gold++;
        const bool right = gold == (size_t)top;
        measures->n_right += right;
        measures->labels[gold].support++;
        measures->labels[top].predicted++;
        measures->labels[top].right += right;
        if (measures->confusion != NULL) measures->confusion[gold * n_labels + (size_t)top]++;
        if (model->thresholds != NULL && probability >= (double)model->thresholds[top]) {
            measures->n_answered++;
            measures->n_answered_right += right;
        }
    }
}

static void count_many_labels(const struct known_titles *titles, struct measures *measures) {
    const struct evaluation_model *model = &measures->model;
    const size_t n_labels = (size_t)titles->n_labels;
    for (size_t i = 0; i < titles->n_titles; i++) {
        bool all_right = true;
        for (size_t k = 0; k < n_labels; k++) {
            const bool is_given = model->thresholds != NULL && model->thresholds[k] > 0.0f;
            const double threshold = is_given ? (double)model->thresholds[k] : 0.5;
            const bool member = titles->members[i * n_labels + k] != 0;
            const bool predicted = label_probability(titles->logits[i * n_labels + k],
                                                     1.0 / model->temperature) >= threshold;
            struct label_counts *counts = &measures->labels[k];
            counts->support += member;
            counts->predicted += predicted;
            counts->right += member && predicted;
            all_right = all_right && member == predicted;
        }
        measures->n_right += all_right;
    }
}

static void sum_labels(struct measures *measures) {
    double f1;
    for (int32_t k = 0; k < measures->model.n_labels; k++) {
        const struct label_counts *counts = &measures->labels[k];
        measures->all.support += counts->support;
        measures->all.predicted += counts->predicted;
        measures->all.right += counts->right;
        if (!f1_of(counts, &f1)) continue;
        measures->macro_f1 += f1;
        measures->n_macro++;
    }
    if (measures->n_macro > 0) measures->macro_f1 /= (double)measures->n_macro;
}

// Wilson's score interval: the shares that 95 of 100 times could have given this one.
static void find_interval(struct measures *measures) {
    const double z = 1.959963984540054, n = (double)measures->n_titles;
    const double p = (double)measures->n_right / n;
    const double middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    const double half = z / (1.0 + z * z / n) * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
    measures->low = measures->n_right == 0 ? 0.0 : middle - half;
    measures->high = measures->n_right == measures->n_titles ? 1.0 : middle + half;
}

enum status evaluation_measure(const struct evaluation *evaluation, struct measures *measures,
                               struct error *error) {
    const struct evaluation_model *model = &evaluation->model;
    const size_t n_labels = (size_t)model->n_labels;
    const struct known_titles titles = {
        .logits = (const float *)(const void *)evaluation->logits.bytes,
        .members = (const uint8_t *)evaluation->members.bytes,
        .n_titles = evaluation->n_titles,
        .n_labels = model->n_labels,
        .multi_label = model->multi_label,
    };
    *measures = (struct measures){.model = *model, .n_titles = evaluation->n_titles};
    if (titles.n_titles == 0) {
        return error_set(error, STATUS_INPUT, "there is no title to evaluate the model on");
    }
    void *memory;
    enum status status =
        alloc_zeroed(&memory, n_labels, sizeof *measures->labels, "counts of labels", error);
    if (status != STATUS_OK) return status;
    measures->labels = memory;
    if (!model->multi_label && n_labels <= CONFUSION_LABELS_MAX) {
        status = alloc_zeroed(&memory, n_labels * n_labels, sizeof *measures->confusion,
                              "a confusion matrix", error);
        if (status != STATUS_OK) return status;
        measures->confusion = memory;
    }
    if (model->multi_label) {
        count_many_labels(&titles, measures);
    } else {
        count_one_label(&titles, measures);
    }
    sum_labels(measures);
    find_interval(measures);
    measure_reliability(&titles, model->temperature, &measures->reliability);
    measures->place = temperature_best(&titles, &measures->temperature);
    measure_reliability(&titles, measures->temperature, &measures->at_best);
    return STATUS_OK;
}

void measures_free(struct measures *measures) {
    free(measures->labels);
    free(measures->confusion);
    *measures = (struct measures){0};
}

// SPDX-License-Identifier: Apache-2.0
#include "host/job/temperature.h"

#include <math.h>

static double top_of(const float *logits, int32_t n) {
    float top = logits[0];
    for (int32_t k = 1; k < n; k++) top = logits[k] > top ? logits[k] : top;
    return (double)top;
}

// Both exact for logits however large: nothing of exp(x) for x above 0 is ever computed.
static double softplus(double x) {
    return (x > 0.0 ? x : 0.0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    const double power = exp(-fabs(x));
    return (x > 0.0 ? 1.0 : power) / (1.0 + power);
}

static double title_nll(const float *logits, const uint8_t *members, int32_t n, bool multi_label,
                        double inverse) {
    double nll = 0.0, powers = 0.0;
    const double top = top_of(logits, n);
    for (int32_t k = 0; k < n; k++) {
        const double x = inverse * (double)logits[k];
        if (multi_label) {
            nll += softplus(members[k] ? -x : x);
        } else {
            powers += exp(x - inverse * top);
            if (members[k]) nll += inverse * top - x;
        }
    }
    return multi_label ? nll : nll + log(powers);
}

// The derivative for 1/T, its sign at least: that of one title is scaled by nothing but 1.
static double title_slope(const float *logits, const uint8_t *members, int32_t n, bool multi_label,
                          double inverse) {
    double slope = 0.0, powers = 0.0, weighted = 0.0;
    const double top = top_of(logits, n);
    for (int32_t k = 0; k < n; k++) {
        const double z = (double)logits[k];
        if (multi_label) {
            slope += (sigmoid(inverse * z) - members[k]) * z;
        } else {
            // Logits below the top one, so that titles with large logits alike lose no digits.
            const double power = exp(inverse * (z - top));
            powers += power;
            weighted += power * (z - top);
            if (members[k]) slope += top - z;
        }
    }
    return multi_label ? slope : slope + weighted / powers;
}

static double slope(const struct known_titles *titles, double inverse) {
    double sum = 0.0;
    for (size_t i = 0; i < titles->n_titles; i++) {
        const size_t at = i * (size_t)titles->n_labels;
        sum += title_slope(titles->logits + at, titles->members + at, titles->n_labels,
                           titles->multi_label, inverse);
    }
    return sum;
}

// What the derivative tends to for T towards 0: a sum of terms of one sign, so that it is 0 only
// where each of them is, where the right labels' logits are the largest of every title.
static double last_slope(const struct known_titles *titles) {
    double sum = 0.0;
    for (size_t i = 0; i < titles->n_titles; i++) {
        const float *logits = titles->logits + i * (size_t)titles->n_labels;
        const uint8_t *members = titles->members + i * (size_t)titles->n_labels;
        const double top = top_of(logits, titles->n_labels);
        for (int32_t k = 0; k < titles->n_labels; k++) {
            const double z = (double)logits[k];
            if (titles->multi_label) {
                sum += (z > 0.0) != (members[k] != 0) ? fabs(z) : 0.0;
            } else if (members[k]) {
                sum += top - z;
            }
        }
    }
    return sum;
}

enum temperature_place temperature_best(const struct known_titles *titles, double *temperature) {
    enum { STEPS = 48 };  // halve the logarithm's range, 6, to less than 1e-13
    double low = log(1.0 / TEMPERATURE_SEARCH_MAX), high = log(1.0 / TEMPERATURE_SEARCH_MIN);
    *temperature = 1.0;
    if (!(last_slope(titles) > 0.0)) return TEMPERATURE_NONE;
    if (slope(titles, exp(low)) >= 0.0) {
        *temperature = TEMPERATURE_SEARCH_MAX;
        return TEMPERATURE_AT_MAX;
    }
    if (slope(titles, exp(high)) <= 0.0) {
        *temperature = TEMPERATURE_SEARCH_MIN;
        return TEMPERATURE_AT_MIN;
    }
    for (int step = 0; step < STEPS; step++) {
        const double middle = 0.5 * (low + high);
        if (slope(titles, exp(middle)) < 0.0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *temperature = exp(-0.5 * (low + high));
    return TEMPERATURE_INSIDE;
}

double temperature_nll(const struct known_titles *titles, double temperature) {
    const size_t n_labels = (size_t)titles->n_labels;
    double sum = 0.0;
    for (size_t i = 0; i < titles->n_titles; i++) {
        sum += title_nll(titles->logits + i * n_labels, titles->members + i * n_labels,
                         titles->n_labels, titles->multi_label, 1.0 / temperature);
    }
    return sum / (double)(titles->n_titles * (titles->multi_label ? n_labels : 1));
}

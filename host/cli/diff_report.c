// SPDX-License-Identifier: Apache-2.0
#include "host/cli/diff_report.h"

#include <string.h>

#include "host/cli/report.h"

// ---- what commit records tell

static enum diff_sameness sameness(const struct diff_report *report, bool several, bool same) {
    const struct diff_side *sides = report->diff->sides;
    for (int side = 0; side < DIFF_SIDES; side++) {
        if (sides[side].n_recorded < sides[side].n_files) return DIFF_UNKNOWN;
    }
    if (several) return DIFF_SEVERAL;
    return same ? DIFF_SAME : DIFF_DIFFERENT;
}

enum diff_sameness diff_same_model(const struct diff_report *report) {
    const struct diff_side *old = &report->diff->sides[DIFF_OLD], *new = old + 1;
    return sameness(report, old->many_models || new->many_models,
                    strcmp(old->record.model_sha256, new->record.model_sha256) == 0);
}

enum diff_sameness diff_same_tokenizer(const struct diff_report *report) {
    const struct diff_side *old = &report->diff->sides[DIFF_OLD], *new = old + 1;
    return sameness(report, old->many_tokenizers || new->many_tokenizers,
                    strcmp(old->record.tokenizer_sha256, new->record.tokenizer_sha256) == 0);
}

static void note_difference(void *context, struct span key, const struct span *old,
                            const struct span *new) {
    (void)key, (void)old, (void)new;
    *(bool *)context = true;
}

enum diff_sameness diff_same_settings(const struct diff_report *report) {
    const struct diff_side *old = &report->diff->sides[DIFF_OLD], *new = old + 1;
    bool differ = false;
    diff_settings(report, note_difference, &differ);
    return sameness(report, old->many_settings || new->many_settings, !differ);
}

const char *diff_sameness_word(enum diff_sameness value) {
    switch (value) {
        case DIFF_SAME:
            return "same";
        case DIFF_DIFFERENT:
            return "different";
        case DIFF_SEVERAL:
            return "several";
        case DIFF_UNKNOWN:
            break;
    }
    return "unknown";
}

static bool find_key(struct json_value object, struct span key, struct span *value) {
    for (struct json_walk walk = json_walk(object); json_next(&walk);) {
        if (walk.key.raw.len != key.len || memcmp(walk.key.raw.ptr, key.ptr, key.len) != 0) {
            continue;
        }
        *value = walk.value.raw;
        return true;
    }
    return false;
}

void diff_settings(const struct diff_report *report,
                   void (*seen)(void *context, struct span key, const struct span *old,
                                const struct span *new),
                   void *context) {
    const struct json_value old = report->diff->sides[DIFF_OLD].record.settings;
    const struct json_value new = report->diff->sides[DIFF_NEW].record.settings;
    struct span other;
    if (old.type != JSON_OBJECT || new.type != JSON_OBJECT) return;
    for (struct json_walk walk = json_walk(old); json_next(&walk);) {
        const struct span raw = walk.value.raw;
        if (!find_key(new, walk.key.raw, &other)) {
            seen(context, walk.key.raw, &raw, NULL);
        } else if (raw.len != other.len || memcmp(raw.ptr, other.ptr, raw.len) != 0) {
            seen(context, walk.key.raw, &raw, &other);
        }
    }
    for (struct json_walk walk = json_walk(new); json_next(&walk);) {
        const struct span raw = walk.value.raw;
        if (!find_key(old, walk.key.raw, &other)) seen(context, walk.key.raw, NULL, &raw);
    }
}

// ---- labels

size_t diff_n_shown(const struct diff_report *report) {
    return report->measures.n_labels + (report->measures.has_none ? 1 : 0);
}

uint32_t diff_number_shown(const struct diff_report *report, size_t i) {
    return i < report->measures.n_labels ? report->measures.order[i] : LABEL_NONE;
}

struct span diff_label_name(const struct diff_report *report, uint32_t number) {
    if (number == LABEL_NONE) return span_text("(no label)");
    return diff_labels_name(&report->diff->counts.labels, number);
}

bool diff_has_matrix(const struct diff_report *report) {
    return report->diff->counts.matrix != NULL && diff_n_shown(report) <= DIFF_MATRIX_MAX;
}

size_t diff_most_flips(const struct diff_report *report, struct diff_flip *out, size_t cap) {
    const size_t n_shown = diff_has_matrix(report) ? diff_n_shown(report) : 0;
    size_t n = 0;
    for (size_t i = 0; i < n_shown; i++) {
        for (size_t j = 0; j < n_shown; j++) {
            struct diff_flip flip = {.old = diff_number_shown(report, i),
                                     .new = diff_number_shown(report, j)};
            flip.n = diff_counts_of_flip(&report->diff->counts, flip.old, flip.new);
            if (i == j || flip.n == 0 || (n == cap && flip.n <= out[n - 1].n)) continue;
            size_t at = n < cap ? n++ : n - 1;
            for (; at > 0 && out[at - 1].n < flip.n; at--) out[at] = out[at - 1];
            out[at] = flip;
        }
    }
    return n;
}

// ---- words

void diff_describe_gate(const struct diff_gate *gate, const struct diff_verdict *verdict,
                        struct buffer *out) {
    if (!verdict->figure.is_defined) {
        buffer_add_format(out, "it cannot be told: %s", verdict->why);
    } else {
        buffer_add_format(out, "it is %.4g%s", verdict->figure.value, gate->is_percent ? " %" : "");
    }
}

const char *diff_psi_word(double psi) {
    return psi < DIFF_PSI_SOME ? "little" : psi <= DIFF_PSI_MUCH ? "some" : "much";
}

void diff_add_count(struct buffer *out, uint64_t n) {
    char text[32];
    buffer_add_text(out, with_commas(n, text));
}

void diff_add_percent(struct buffer *out, uint64_t part, uint64_t whole) {
    const struct diff_figure share = diff_share(part, whole);
    if (!share.is_defined) {
        buffer_add_text(out, "-");
        return;
    }
    const double percent = 100.0 * share.value;
    buffer_add_format(out, percent > 0.0 && percent < 0.995 ? "%.2f %%" : "%.1f %%", percent);
}

// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_counts.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_LABELS = 32 };

static enum status new_counters(uint64_t **out, size_t n, struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, n, sizeof **out, "counters", error);
    *out = memory;
    return status;
}

enum status diff_counts_create(struct diff_counts *counts, const struct fingerprint_key *key,
                               struct error *error) {
    *counts = (struct diff_counts){.labels = {.key = *key}, .labels_cap = FIRST_LABELS};
    enum status status = STATUS_OK;
    for (int side = 0; side < DIFF_SIDES && status == STATUS_OK; side++) {
        status = new_counters(&counts->by_label[side], FIRST_LABELS, error);
        if (status == STATUS_OK) {
            status = new_counters(&counts->by_score[side], SCORE_MAX + 1, error);
        }
    }
    if (status == STATUS_OK) {
        status = new_counters(&counts->matrix, (size_t)FIRST_LABELS * FIRST_LABELS, error);
    }
    if (status == STATUS_OK) {
        status = new_counters(&counts->by_change, 2 * SCORE_MAX + 1, error);
    }
    return status;
}

static void free_top(struct diff_top *top) {
    for (size_t i = 0; i < DIFF_TOP; i++) buffer_free(&top->pairs[i].id);
}

void diff_counts_free(struct diff_counts *counts) {
    diff_labels_free(&counts->labels);
    for (int side = 0; side < DIFF_SIDES; side++) {
        free(counts->by_label[side]);
        free(counts->by_score[side]);
    }
    free(counts->matrix);
    free(counts->by_change);
    free_top(&counts->surest_flips);
    free_top(&counts->falls);
    *counts = (struct diff_counts){0};
}

// ---- rows

// Room for twice as many labels; the matrix ends where it would show nothing any more.
static enum status grow(struct diff_counts *counts, struct error *error) {
    const size_t n = counts->labels_cap, cap = 2 * n;
    uint64_t *larger;
    for (int side = 0; side < DIFF_SIDES; side++) {
        enum status status = new_counters(&larger, cap, error);
        if (status != STATUS_OK) return status;
        memcpy(larger, counts->by_label[side], n * sizeof *larger);
        free(counts->by_label[side]);
        counts->by_label[side] = larger;
    }
    larger = NULL;
    if (counts->matrix != NULL && n < DIFF_MATRIX_MAX) {
        enum status status = new_counters(&larger, cap * cap, error);
        if (status != STATUS_OK) return status;
        for (size_t i = 0; i < n; i++) {
            memcpy(larger + i * cap, counts->matrix + i * n, n * sizeof *larger);
        }
    }
    free(counts->matrix);
    counts->matrix = larger;
    counts->labels_cap = cap;
    return STATUS_OK;
}

enum status diff_counts_row(struct diff_counts *counts, int side, const struct diff_row *row,
                            struct diff_seen *seen, struct error *error) {
    uint32_t label = LABEL_NONE;
    enum status status = STATUS_OK;
    if (row->has_label) status = diff_labels_number(&counts->labels, row->label, &label, error);
    while (status == STATUS_OK && label >= counts->labels_cap) status = grow(counts, error);
    if (status != STATUS_OK) return status;
    *seen = (struct diff_seen){(uint16_t)label, row->score, (unsigned)row->status};
    counts->rows[side]++;
    counts->by_status[side][row->status]++;
    counts->by_label[side][label]++;
    if (row->score != SCORE_NONE) {
        counts->by_score[side][row->score]++;
        counts->scored[side]++;
    }
    return STATUS_OK;
}

uint64_t diff_counts_of_label(const struct diff_counts *counts, int side, uint32_t label) {
    return label < counts->labels_cap ? counts->by_label[side][label] : 0;
}

uint64_t diff_counts_of_flip(const struct diff_counts *counts, uint32_t old, uint32_t new) {
    const size_t cap = counts->labels_cap;
    return old < cap && new < cap ? counts->matrix[(size_t)old * cap + new] : 0;
}

// ---- pairs that are shown

static int compare(struct span a, struct span b) {
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static struct span name_of(const struct diff_counts *counts, uint16_t label) {
    return label != LABEL_NONE ? diff_labels_name(&counts->labels, label) : (struct span){"", 0};
}

// Whether this pair comes before that one, their weights being equal.
static bool comes_first(const struct diff_counts *counts, struct span id,
                        const struct diff_seen *old, const struct diff_seen *new,
                        const struct diff_pair *that) {
    int order = compare(id, (struct span){that->id.bytes, that->id.len});
    if (order == 0) order = (old->score > that->old.score) - (old->score < that->old.score);
    if (order == 0) order = compare(name_of(counts, old->label), name_of(counts, that->old.label));
    if (order == 0) order = compare(name_of(counts, new->label), name_of(counts, that->new.label));
    return order < 0;
}

// Where a character begins, at most at `most`.
static size_t cut(struct span text, size_t most) {
    if (text.len <= most) return text.len;
    while (most > 0 && ((unsigned char)text.ptr[most] & 0xC0) == 0x80) most--;
    return most;
}

static enum status offer(const struct diff_counts *counts, struct diff_top *top, int32_t weight,
                         struct span id, const struct diff_seen *old, const struct diff_seen *new,
                         struct error *error) {
    if (top->n == DIFF_TOP && weight < top->weights[DIFF_TOP - 1]) return STATUS_OK;
    id.len = cut(id, DIFF_ID_NBYTES_MAX);
    size_t at = top->n;
    while (at > 0 && (weight > top->weights[at - 1] ||
                      (weight == top->weights[at - 1] &&
                       comes_first(counts, id, old, new, &top->pairs[at - 1])))) {
        at--;
    }
    if (at == DIFF_TOP) return STATUS_OK;
    const size_t last = top->n < DIFF_TOP ? top->n++ : DIFF_TOP - 1;
    struct diff_pair pair = {.id = top->pairs[last].id, .old = *old, .new = *new};
    buffer_clear(&pair.id);
    buffer_add(&pair.id, id.ptr, id.len);
    for (size_t i = last; i > at; i--) {
        top->pairs[i] = top->pairs[i - 1];
        top->weights[i] = top->weights[i - 1];
    }
    top->pairs[at] = pair;
    top->weights[at] = weight;
    return buffer_check(&pair.id, error);
}

enum status diff_counts_pair(struct diff_counts *counts, struct span id,
                             const struct diff_seen *old, const struct diff_seen *new,
                             struct error *error) {
    const bool flips = old->label != new->label;
    const bool scored = old->score != SCORE_NONE && new->score != SCORE_NONE;
    enum status status = STATUS_OK;
    counts->common++;
    counts->flips += flips;
    if (counts->matrix != NULL) {
        counts->matrix[(size_t)old->label * counts->labels_cap + new->label]++;
    }
    if (!scored) return STATUS_OK;
    counts->scored_common++;
    counts->by_change[new->score - old->score + SCORE_MAX]++;
    counts->newly_low += old->score >= DIFF_LOW_SCORE && new->score < DIFF_LOW_SCORE;
    counts->newly_high += old->score < DIFF_LOW_SCORE && new->score >= DIFF_LOW_SCORE;
    if (flips && old->label != LABEL_NONE && new->label != LABEL_NONE) {
        status = offer(counts, &counts->surest_flips, old->score + new->score, id, old, new, error);
    } else if (!flips && new->score < old->score) {
        status = offer(counts, &counts->falls, old->score - new->score, id, old, new, error);
    }
    return status;
}

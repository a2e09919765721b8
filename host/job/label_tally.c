// SPDX-License-Identifier: Apache-2.0
#include "host/job/label_tally.h"

#include <stdlib.h>
#include <string.h>

static void add_new(struct label_tally *tally, struct span label, uint64_t n) {
    if (tally->labels == NULL) tally->labels = calloc(LABEL_TALLY_MAX, sizeof *tally->labels);
    char *name = tally->n < LABEL_TALLY_MAX ? strndup(label.ptr, label.len) : NULL;
    if (tally->labels == NULL || name == NULL) {
        free(name);
        tally->is_full = true;
        return;
    }
    tally->last = tally->n++;
    tally->labels[tally->last] = (struct label_count){name, n};
}

void label_tally_add(struct label_tally *tally, struct span label, uint64_t n) {
    if (tally->is_full) return;
    for (size_t i = 0; i < tally->n; i++) {
        const size_t at = (tally->last + i) % tally->n;
        if (!span_equal(label, tally->labels[at].name)) continue;
        tally->labels[at].n += n;
        tally->last = at;
        return;
    }
    add_new(tally, label, n);
}

void label_tally_merge(struct label_tally *tally, const struct label_tally *more) {
    tally->is_full = tally->is_full || more->is_full;
    for (size_t i = 0; i < more->n; i++) {
        label_tally_add(tally, span_text(more->labels[i].name), more->labels[i].n);
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct label_count *)a)->name, ((const struct label_count *)b)->name);
}

void label_tally_print(struct label_tally *tally, struct buffer *out) {
    if (tally->n > 0) qsort(tally->labels, tally->n, sizeof *tally->labels, by_name);
    tally->last = 0;
    buffer_add_text(out, "{");
    for (size_t i = 0; i < tally->n; i++) {
        buffer_add_format(out, "%s%s: %llu", i > 0 ? ", " : "", tally->labels[i].name,
                          (unsigned long long)tally->labels[i].n);
    }
    buffer_add_text(out, "}");
}

void label_tally_free(struct label_tally *tally) {
    for (size_t i = 0; i < tally->n; i++) free(tally->labels[i].name);
    free(tally->labels);
    *tally = (struct label_tally){0};
}

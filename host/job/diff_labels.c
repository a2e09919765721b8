// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_labels.h"

#include <stdlib.h>
#include <string.h>

#include "host/job/diff_waiting.h"

enum { NAMES_NBYTES_MAX = 16 << 20 };

struct span diff_labels_name(const struct diff_labels *labels, uint32_t number) {
    const size_t begin = number > 1 ? labels->ends[number - 1] : 0;
    return (struct span){labels->names.bytes + begin, labels->ends[number] - begin};
}

static bool has_name(const struct diff_labels *labels, uint32_t number, struct span name) {
    const struct span known = diff_labels_name(labels, number);
    return known.len == name.len && (name.len == 0 || memcmp(known.ptr, name.ptr, name.len) == 0);
}

// Where the name's number is in the table, or the empty place where it would be.
static uint32_t *place_of(const struct diff_labels *labels, struct span name) {
    const size_t mask = labels->table_cap - 1;
    size_t i = (size_t)fingerprint_of(&labels->key, name).low & mask;
    while (labels->table[i] != 0 && !has_name(labels, labels->table[i], name)) i = (i + 1) & mask;
    return &labels->table[i];
}

// At most half of the table is ever taken.
static enum status grow(struct diff_labels *labels, struct error *error) {
    const size_t cap = labels->cap > 0 ? 2 * labels->cap : 32;
    size_t *ends = realloc(labels->ends, cap * sizeof *ends);
    if (ends != NULL) labels->ends = ends;
    uint32_t *table = calloc(2 * cap, sizeof *table);
    if (ends == NULL || table == NULL) {
        free(table);
        return error_set(error, STATUS_IO, "out of memory for labels");
    }
    free(labels->table);
    labels->table = table;
    labels->cap = cap;
    labels->table_cap = 2 * cap;
    for (uint32_t k = 1; k <= labels->n; k++) {
        *place_of(labels, diff_labels_name(labels, k)) = k;
    }
    return STATUS_OK;
}

static enum status add(struct diff_labels *labels, struct span name, uint32_t *number,
                       struct error *error) {
    if (labels->n == DIFF_LABELS_MAX || name.len > NAMES_NBYTES_MAX - labels->names.len) {
        return error_set(error, STATUS_INPUT,
                         "more than %d different labels, or 16 MiB of their names: are these "
                         "outputs of wader label?",
                         (int)DIFF_LABELS_MAX);
    }
    enum status status = STATUS_OK;
    if (labels->n + 1 >= labels->cap) status = grow(labels, error);
    if (status != STATUS_OK) return status;
    uint32_t *place = place_of(labels, name);
    buffer_add(&labels->names, name.ptr, name.len);
    status = buffer_check(&labels->names, error);
    if (status != STATUS_OK) return status;
    *number = *place = (uint32_t)++labels->n;
    labels->ends[*number] = labels->names.len;
    return STATUS_OK;
}

enum status diff_labels_number(struct diff_labels *labels, struct span name, uint32_t *number,
                               struct error *error) {
    *number = labels->last;
    if (*number != 0 && has_name(labels, *number, name)) return STATUS_OK;
    *number = labels->table_cap > 0 ? *place_of(labels, name) : 0;
    enum status status = STATUS_OK;
    if (*number == 0) status = add(labels, name, number, error);
    labels->last = *number;
    return status;
}

void diff_labels_free(struct diff_labels *labels) {
    buffer_free(&labels->names);
    free(labels->ends);
    free(labels->table);
    *labels = (struct diff_labels){0};
}

// ---- their order

struct named {
    struct span name;
    uint32_t number;
};

static int by_name(const void *a, const void *b) {
    const struct named *left = a, *right = b;
    const size_t n = left->name.len < right->name.len ? left->name.len : right->name.len;
    const int order = n > 0 ? memcmp(left->name.ptr, right->name.ptr, n) : 0;
    return order != 0 ? order
                      : (left->name.len > right->name.len) - (left->name.len < right->name.len);
}

enum status diff_labels_order(const struct diff_labels *labels, uint32_t *order,
                              struct error *error) {
    const size_t n_rest = labels->n - labels->n_ordered;
    void *memory;
    enum status status =
        alloc_zeroed(&memory, n_rest + 1, sizeof(struct named), "an order of labels", error);
    if (status != STATUS_OK) return status;
    struct named *rest = memory;
    for (size_t i = 0; i < labels->n; i++) order[i] = (uint32_t)i + 1;
    for (size_t i = 0; i < n_rest; i++) {
        const uint32_t number = (uint32_t)(labels->n_ordered + i + 1);
        rest[i] = (struct named){diff_labels_name(labels, number), number};
    }
    qsort(rest, n_rest, sizeof *rest, by_name);
    for (size_t i = 0; i < n_rest; i++) order[labels->n_ordered + i] = rest[i].number;
    free(rest);
    return STATUS_OK;
}

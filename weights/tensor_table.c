// SPDX-License-Identifier: Apache-2.0
#include "weights/tensor_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/quote.h"

static int compare_names(struct span a, struct span b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static int compare_tensors(const void *a, const void *b) {
    return compare_names(((const struct named_tensor *)a)->name,
                         ((const struct named_tensor *)b)->name);
}

enum status tensor_table_sort(struct tensor_table *table, const char *path, struct error *error) {
    struct named_tensor *tensors = table->tensors;
    if (table->n_tensors == 0) return STATUS_OK;
    qsort(tensors, table->n_tensors, sizeof *tensors, compare_tensors);
    for (size_t i = 1; i < table->n_tensors; i++) {
        if (compare_tensors(&tensors[i - 1], &tensors[i]) != 0) continue;
        return error_set(error, STATUS_MODEL, "%s: two tensors are named %s", path,
                         quote(tensors[i].name).text);
    }
    return STATUS_OK;
}

const struct named_tensor *tensor_table_find(const struct tensor_table *table, struct span name) {
    if (table->n_tensors == 0) return NULL;
    struct named_tensor key = {.name = name};
    return bsearch(&key, table->tensors, table->n_tensors, sizeof key, compare_tensors);
}

void tensor_table_free(struct tensor_table *table) {
    free(table->tensors);
    free(table->names);
    *table = (struct tensor_table){0};
}

struct shape_text shape_text(const size_t *dims, size_t n_dims) {
    struct shape_text out = {"["};
    size_t len = 1, shown = n_dims < TENSOR_DIMS_MAX ? n_dims : TENSOR_DIMS_MAX;
    for (size_t i = 0; i < shown; i++) {
        len += (size_t)snprintf(out.text + len, sizeof out.text - len, "%s%zu", i > 0 ? ", " : "",
                                dims[i]);
    }
    snprintf(out.text + len, sizeof out.text - len, "%s]", shown < n_dims ? ", ..." : "");
    return out;
}

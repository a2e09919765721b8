// SPDX-License-Identifier: Apache-2.0
//
// Ids are ("storage", type, key, location, n_elements), since torch 0.1; the legacy format has a
// sixth item, None or (key of the view, first, n), as torch/serialization.py reads it.
#include "weights/torch_storage.h"

#include <stdlib.h>
#include <string.h>

#include "weights/quote.h"

enum { KEY_NBYTES_MAX = 255 };  // torch's keys are numbers; comparing them must stay cheap

static bool read_size(const struct pickle *pickle, pickle_ref ref, size_t *out) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    if (node->kind != PICKLE_INT || node->as.integer < 0) return false;
    *out = (size_t)node->as.integer;
    return true;
}

static const char *read_part(const struct pickle *pickle, pickle_ref ref, struct torch_id *id) {
    pickle_ref items[3];
    const struct pickle_node *node = pickle_at(pickle, ref);
    if (node->kind == PICKLE_NONE) return NULL;
    if (node->kind != PICKLE_TUPLE || node->n_items != 3) return "the view in a storage's id";
    pickle_items(pickle, ref, items, 3);
    if (!read_size(pickle, items[1], &id->first) || !read_size(pickle, items[2], &id->n) ||
        id->first > id->storage.n_elements || id->n > id->storage.n_elements - id->first) {
        return "the bounds of the view in a storage's id";
    }
    return NULL;
}

const char *torch_id_read(const struct pickle *pickle, pickle_ref ref, struct torch_id *id) {
    *id = (struct torch_id){0};
    const pickle_ref tuple = pickle_at(pickle, ref)->as.id;
    const struct pickle_node *node = pickle_at(pickle, tuple);
    pickle_ref items[6];
    if (node->kind != PICKLE_TUPLE || node->n_items < 5 || node->n_items > 6) {
        return "a persistent id that is no storage's";
    }
    pickle_items(pickle, tuple, items, ARRAY_LEN(items));
    if (!pickle_is_text(pickle, items[0], "storage")) return "a persistent id that is no storage's";

    struct torch_storage *storage = &id->storage;
    storage->type = torch_global_of(pickle, items[1]);
    if (storage->type == NULL || storage->type->role != TORCH_STORAGE) {
        return "the type in a storage's id";
    }
    const struct pickle_node *key = pickle_at(pickle, items[2]);
    if (key->kind != PICKLE_TEXT || key->as.text.len > KEY_NBYTES_MAX) {
        return "the key in a storage's id";
    }
    storage->key = key->as.text;
    if (!read_size(pickle, items[4], &storage->n_elements) ||
        !size_mul(storage->n_elements, storage->type->size, &storage->nbytes)) {
        return "the number of elements in a storage's id";
    }
    id->n = storage->n_elements;
    return node->n_items == 6 ? read_part(pickle, items[5], id) : NULL;
}

static int compare_keys(const void *a, const void *b) {
    struct span first = ((const struct torch_storage *)a)->key;
    struct span second = ((const struct torch_storage *)b)->key;
    if (first.len != second.len) return first.len < second.len ? -1 : 1;
    return first.len > 0 ? memcmp(first.ptr, second.ptr, first.len) : 0;
}

// Of several entries with one key, all the same, leaves one.
static enum status merge(struct torch_storages *list, const char *path, struct error *error) {
    size_t n = 0;
    if (list->n > 0) qsort(list->storages, list->n, sizeof *list->storages, compare_keys);
    for (size_t i = 0; i < list->n; i++) {
        const struct torch_storage *next = &list->storages[i];
        if (n == 0 || compare_keys(&list->storages[n - 1], next) != 0) {
            list->storages[n++] = *next;
        } else if (list->storages[n - 1].type != next->type ||
                   list->storages[n - 1].n_elements != next->n_elements) {
            return error_set(error, STATUS_MODEL,
                             "%s: storage %s is said to have %zu elements for %s and %zu for %s: "
                             "the file is damaged",
                             path, quote(next->key).text, list->storages[n - 1].n_elements,
                             list->storages[n - 1].type->name, next->n_elements, next->type->name);
        }
    }
    list->n = n;
    return STATUS_OK;
}

enum status torch_storages_collect(const struct pickle *pickle, const char *path,
                                   struct torch_storages *storages, struct error *error) {
    *storages = (struct torch_storages){0};
    size_t n = 0;
    for (size_t i = 0; i < pickle->n_nodes; i++) {
        n += pickle->nodes[i].kind == PICKLE_PERSISTENT ? 1 : 0;
    }
    void *memory = NULL;
    enum status status =
        alloc_array(&memory, n, sizeof *storages->storages, "the table of storages", error);
    storages->storages = memory;
    for (size_t i = 0; status == STATUS_OK && i < pickle->n_nodes; i++) {
        if (pickle->nodes[i].kind != PICKLE_PERSISTENT) continue;
        struct torch_id id;
        const char *wrong = torch_id_read(pickle, (pickle_ref)i, &id);
        storages->storages[storages->n++] = id.storage;
        if (wrong != NULL) {
            status = error_set(error, STATUS_MODEL,
                               "%s: its pickle has something else than torch writes for %s", path,
                               wrong);
        }
    }
    if (status == STATUS_OK) status = merge(storages, path, error);
    if (status != STATUS_OK) torch_storages_free(storages);
    return status;
}

struct torch_storage *torch_storage_find(const struct torch_storages *storages, struct span key) {
    struct torch_storage want = {.key = key};
    if (storages->n == 0) return NULL;
    return bsearch(&want, storages->storages, storages->n, sizeof want, compare_keys);
}

void torch_storages_free(struct torch_storages *storages) {
    free(storages->storages);
    *storages = (struct torch_storages){0};
}

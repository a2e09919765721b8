// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/quote.h"

enum { NAME_NBYTES_MAX = 1024 };  // of a tensor; comparing names must stay cheap

static const char advice[] =
    "in Python, where its origin is trusted, save the model's state_dict alone, best as "
    "safetensors";

static const char *const nested_names[] = {"state_dict", "model_state_dict"};

// Tensors among the values of a dict; 0 for anything else.
static size_t count_tensors(const struct pickle *object, pickle_ref dict) {
    size_t n = 0;
    if (pickle_at(object, dict)->kind != PICKLE_DICT) return 0;
    for (struct pickle_walk walk = pickle_walk(object, dict); pickle_next(&walk);) {
        if (pickle_next(&walk) && torch_is_tensor(object, walk.item)) n++;
    }
    return n;
}

// The names of a dict's members for a message, as many as fit.
static void list_names(const struct pickle *object, pickle_ref dict, char *out, size_t cap) {
    size_t len = 0;
    out[0] = '\0';
    for (struct pickle_walk walk = pickle_walk(object, dict); pickle_next(&walk);) {
        const struct pickle_node *key = pickle_at(object, walk.item);
        struct quoted name = quote(key->kind == PICKLE_TEXT ? key->as.text : span_text("?"));
        size_t more = strlen(name.text) + 2;
        if (len + more + sizeof ", ..." > cap) {
            snprintf(out + len, cap - len, ", ...");
            return;
        }
        snprintf(out + len, cap - len, "%s%s", len > 0 ? ", " : "", name.text);
        len = strlen(out);
        pickle_next(&walk);
    }
}

// A dict in which no value is a tensor: the one member that is a state dict, if that is clear.
static enum status find_nested(const struct pickle *object, const char *path, pickle_ref *state,
                               struct error *error) {
    size_t n_states = 0;
    bool found = false;
    for (struct pickle_walk walk = pickle_walk(object, object->root); pickle_next(&walk);) {
        const pickle_ref key = walk.item;
        if (!pickle_next(&walk) || count_tensors(object, walk.item) == 0) continue;
        n_states++;
        for (size_t i = 0; i < ARRAY_LEN(nested_names); i++) {
            if (!pickle_is_text(object, key, nested_names[i])) continue;
            *state = walk.item;
            found = true;
        }
    }
    if (found && n_states == 1) return STATUS_OK;
    const char *why = n_states == 0  ? "none holds tensors"
                      : n_states > 1 ? "several hold tensors"
                                     : "none is state_dict or model_state_dict";
    char names[300];
    list_names(object, object->root, names, sizeof names);
    return error_set(error, STATUS_MODEL,
                     "%s: no state dict of a model, but a dict with %s, of which %s: %s", path,
                     names[0] == '\0' ? "no members" : names, why, advice);
}

static enum status find_state(const struct pickle *object, const char *path, pickle_ref *state,
                              struct error *error) {
    *state = object->root;
    if (pickle_at(object, object->root)->kind != PICKLE_DICT) {
        return error_set(error, STATUS_MODEL,
                         "%s: what was saved is no dict, so no state dict of a model: %s", path,
                         advice);
    }
    if (count_tensors(object, object->root) > 0) return STATUS_OK;
    return find_nested(object, path, state, error);
}

struct copies {
    struct torch_view *views;  // [table->n_tensors] view.first is NULL where nothing is copied
    size_t nbytes;
};

static enum status read_tensors(const struct pickle *object, const struct torch_storages *storages,
                                pickle_ref state, const char *path, struct copies *copies,
                                struct tensor_table *table, struct error *error) {
    for (struct pickle_walk walk = pickle_walk(object, state); pickle_next(&walk);) {
        const struct pickle_node *key = pickle_at(object, walk.item);
        if (!pickle_next(&walk) || !torch_is_tensor(object, walk.item)) continue;
        struct torch_view *view = &copies->views[table->n_tensors];
        struct named_tensor *tensor = &table->tensors[table->n_tensors++];
        if (key->kind != PICKLE_TEXT || key->as.text.len > NAME_NBYTES_MAX) {
            return error_set(error, STATUS_MODEL,
                             "%s: a tensor's key is no string, or a very long one: %s", path,
                             advice);
        }
        tensor->name = key->as.text;
        const char *wrong = torch_tensor_read(object, walk.item, storages, tensor, view);
        if (wrong == NULL && view->first != NULL &&
            !size_add(copies->nbytes, torch_view_nbytes(view), &copies->nbytes)) {
            wrong = "its copy would be too large";
        }
        if (wrong != NULL) {
            return error_set(error, STATUS_MODEL, "%s: tensor %s: %s", path,
                             quote(tensor->name).text, wrong);
        }
    }
    return STATUS_OK;
}

static enum status copy_views(const struct copies *copies, const char *path, size_t room_max,
                              struct model_files *files, struct tensor_table *table,
                              struct error *error) {
    if (copies->nbytes > room_max) {
        return error_set(error, STATUS_MODEL,
                         "%s: its tensors repeat elements so often that they would take %zu MiB, "
                         "more than the file: the file is damaged; else, %s",
                         path, copies->nbytes >> 20, advice);
    }
    char *room = NULL;
    enum status status = model_files_room(files, copies->nbytes, &room, error);
    for (size_t i = 0; status == STATUS_OK && i < table->n_tensors; i++) {
        const struct torch_view *view = &copies->views[i];
        if (view->first == NULL) continue;
        torch_view_copy(view, room);
        torch_tensor_place(&table->tensors[i], view, room);
        room += torch_view_nbytes(view);
    }
    return status;
}

enum status torch_state_read(const struct pickle *object, const struct torch_storages *storages,
                             const char *path, size_t room_max, struct model_files *files,
                             struct tensor_table *table, struct error *error) {
    *table = (struct tensor_table){0};
    pickle_ref state;
    enum status status = find_state(object, path, &state, error);
    if (status != STATUS_OK) return status;
    size_t n = count_tensors(object, state);
    void *tensors = NULL, *views = NULL;
    status = alloc_zeroed(&tensors, n, sizeof *table->tensors, "the tensor table", error);
    table->tensors = tensors;
    if (status == STATUS_OK) {
        status = alloc_zeroed(&views, n, sizeof(struct torch_view), "the tensor table", error);
    }
    struct copies copies = {.views = views};
    if (status == STATUS_OK) {
        status = read_tensors(object, storages, state, path, &copies, table, error);
    }
    if (status == STATUS_OK) status = copy_views(&copies, path, room_max, files, table, error);
    if (status == STATUS_OK) status = tensor_table_sort(table, path, error);
    free(views);
    if (status != STATUS_OK) tensor_table_free(table);
    return status;
}

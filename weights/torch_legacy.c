// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_legacy.h"

#include <string.h>

#include "weights/quote.h"

enum { PROTOCOL_VERSION = 1001 };

static const char magic[10] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
static const char magic_digits[] = "119547037146038801333356";  // the same in protocol 1

struct reading {
    struct span rest;  // of the file
    const char *path;
    struct error *error;
};

static enum status broken(const struct reading *reading, const char *what) {
    return error_set(reading->error, STATUS_MODEL,
                     "%s: %s: the file is damaged, cut short, or no model saved by torch",
                     reading->path, what);
}

static enum status next_pickle(struct reading *reading, struct pickle *pickle) {
    enum status status =
        pickle_read(reading->rest, torch_find, reading->path, pickle, reading->error);
    if (status != STATUS_OK) return status;
    reading->rest.ptr += pickle->nbytes;
    reading->rest.len -= pickle->nbytes;
    return STATUS_OK;
}

static bool is_magic(const struct pickle *pickle) {
    const struct pickle_node *root = pickle_at(pickle, pickle->root);
    if (root->kind != PICKLE_LONG) return false;
    if (span_equal(root->as.text, magic_digits)) return true;
    return root->as.text.len == sizeof magic && memcmp(root->as.text.ptr, magic, sizeof magic) == 0;
}

static bool is_version(const struct pickle *pickle) {
    const struct pickle_node *root = pickle_at(pickle, pickle->root);
    return root->kind == PICKLE_INT && root->as.integer == PROTOCOL_VERSION;
}

static bool is_little_endian(const struct pickle *pickle) {
    for (struct pickle_walk walk = pickle_walk(pickle, pickle->root); pickle_next(&walk);) {
        bool found = pickle_is_text(pickle, walk.item, "little_endian");
        if (!pickle_next(&walk)) return false;
        const struct pickle_node *value = pickle_at(pickle, walk.item);
        if (found) return value->kind == PICKLE_BOOL && value->as.integer != 0;
    }
    return false;
}

static enum status read_head(struct reading *reading) {
    static const struct {
        bool (*check)(const struct pickle *pickle);
        const char *wrong;
    } steps[] = {
        {is_magic, "it does not begin with torch's magic number"},
        {is_version, "its format has a version other than 1001"},
        {is_little_endian, "it was not written by a little-endian machine"},
    };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct pickle pickle;
        enum status status = next_pickle(reading, &pickle);
        if (status != STATUS_OK) return status;
        bool good = steps[i].check(&pickle);
        pickle_free(&pickle);
        if (!good) return broken(reading, steps[i].wrong);
    }
    return STATUS_OK;
}

// The storage whose key is next, and after it its elements, which are next in the file.
static enum status find_storage(struct reading *reading, const struct pickle *keys, pickle_ref key,
                                const struct torch_storages *storages) {
    const struct pickle_node *node = pickle_at(keys, key);
    struct torch_storage *storage =
        node->kind == PICKLE_TEXT ? torch_storage_find(storages, node->as.text) : NULL;
    if (storage == NULL || storage->bytes.ptr != NULL) {
        return broken(reading, "its list of storages is not that of its tensors");
    }
    uint64_t n = 0;
    const size_t n_left = reading->rest.len;
    for (size_t i = 0; i < sizeof n && n_left >= sizeof n; i++) {
        n |= (uint64_t)(unsigned char)reading->rest.ptr[i] << 8 * i;
    }
    if (n_left < sizeof n || storage->nbytes > n_left - sizeof n) {
        return error_set(
            reading->error, STATUS_MODEL,
            "%s: %zu bytes are left for storage %s, which has %zu and their number: the "
            "file is cut short or damaged",
            reading->path, n_left, quote(storage->key).text, storage->nbytes);
    }
    if (n != storage->n_elements) {
        return error_set(reading->error, STATUS_MODEL,
                         "%s: storage %s has %llu elements, but its tensors say %zu: the file is "
                         "damaged",
                         reading->path, quote(storage->key).text, (unsigned long long)n,
                         storage->n_elements);
    }
    storage->bytes = (struct span){reading->rest.ptr + sizeof n, storage->nbytes};
    reading->rest.ptr += sizeof n + storage->nbytes;
    reading->rest.len -= sizeof n + storage->nbytes;
    return STATUS_OK;
}

static enum status find_storages(struct reading *reading, const struct torch_storages *storages) {
    struct pickle keys;
    enum status status = next_pickle(reading, &keys);
    if (status != STATUS_OK) return status;
    if (pickle_at(&keys, keys.root)->kind != PICKLE_LIST) {
        status = broken(reading, "its list of storages is none");
    }
    for (struct pickle_walk walk = pickle_walk(&keys, keys.root);
         status == STATUS_OK && pickle_next(&walk);) {
        status = find_storage(reading, &keys, walk.item, storages);
    }
    pickle_free(&keys);
    for (size_t i = 0; status == STATUS_OK && i < storages->n; i++) {
        if (storages->storages[i].bytes.ptr != NULL) continue;
        status = broken(reading, "its list of storages is not that of its tensors");
    }
    if (status == STATUS_OK && reading->rest.len > 0) {
        status = broken(reading, "it has more bytes than its tensors");
    }
    return status;
}

enum status torch_legacy_read(struct span file, const char *path, struct pickle *object,
                              struct torch_storages *storages, struct error *error) {
    struct reading reading = {.rest = file, .path = path, .error = error};
    enum status status = read_head(&reading);
    if (status == STATUS_OK) status = next_pickle(&reading, object);
    if (status == STATUS_OK) status = torch_storages_collect(object, path, storages, error);
    if (status == STATUS_OK) status = find_storages(&reading, storages);
    return status;
}

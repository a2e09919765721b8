// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_file.h"

#include <stdio.h>
#include <string.h>

#include "weights/quote.h"
#include "weights/torch_legacy.h"
#include "weights/torch_state.h"
#include "weights/torch_zip.h"

static enum status missing(const char *path, const char *prefix, struct span key,
                           struct error *error) {
    char name[100];
    snprintf(name, sizeof name, "%s%.*s", prefix, key.len < 80 ? (int)key.len : 80, key.ptr);
    return error_set(error, STATUS_MODEL,
                     "%s: entry %s, which its tensors need, is not in the archive: the file is "
                     "damaged",
                     path, quote(span_text(name)).text);
}

// That the archive is neither a program nor of the other byte order.
static enum status check_kind(const struct torch_zip *zip, const char *path, struct error *error) {
    const struct torch_zip_entry *order = torch_zip_find(zip, "byteorder", (struct span){0});
    if (order != NULL && !span_equal(order->bytes, "little")) {
        return error_set(error, STATUS_MODEL,
                         "%s: its byte order is %s, not \"little\": load it in Python and save it "
                         "on a little-endian machine",
                         path, quote(order->bytes).text);
    }
    if (torch_zip_find(zip, "constants.pkl", (struct span){0}) == NULL) return STATUS_OK;
    return error_set(error, STATUS_MODEL,
                     "%s: a TorchScript program, not a state dict: in Python, torch.jit.load it "
                     "and save its state_dict() alone",
                     path);
}

static enum status find_storages(const struct torch_zip *zip, const char *path,
                                 struct torch_storages *storages, struct error *error) {
    static const char prefix[] = "data/";
    for (size_t i = 0; i < storages->n; i++) {
        struct torch_storage *storage = &storages->storages[i];
        const struct torch_zip_entry *entry = torch_zip_find(zip, prefix, storage->key);
        if (entry == NULL) return missing(path, prefix, storage->key, error);
        if (entry->bytes.len != storage->nbytes) {
            return error_set(error, STATUS_MODEL,
                             "%s: entry %s of the archive has %zu bytes, but its tensors say %zu: "
                             "the file is damaged",
                             path, quote(entry->name).text, entry->bytes.len, storage->nbytes);
        }
        enum status status = torch_zip_check(entry, path, error);
        if (status != STATUS_OK) return status;
        storage->bytes = entry->bytes;
    }
    return STATUS_OK;
}

static enum status read_zip(struct span file, const char *path, struct pickle *object,
                            struct torch_storages *storages, struct error *error) {
    struct torch_zip zip;
    enum status status = torch_zip_open(file, path, &zip, error);
    if (status != STATUS_OK) return status;
    // There is one: the folder was found by it.
    const struct torch_zip_entry *pickle = torch_zip_find(&zip, "data.pkl", (struct span){0});
    status = check_kind(&zip, path, error);
    if (status == STATUS_OK) status = torch_zip_check(pickle, path, error);
    if (status == STATUS_OK) status = pickle_read(pickle->bytes, torch_find, path, object, error);
    if (status == STATUS_OK) status = torch_storages_collect(object, path, storages, error);
    if (status == STATUS_OK) status = find_storages(&zip, path, storages, error);
    torch_zip_close(&zip);
    return status;
}

// Says what a file is that begins like neither format.
static enum status refuse(struct span file, const char *path, struct error *error) {
    struct span begin = {file.ptr, file.len < 24 ? file.len : 24};
    return error_set(error, STATUS_MODEL,
                     "%s: %zu bytes that begin with %s: no file that torch saved: is the download "
                     "complete?",
                     path, file.len, quote(begin).text);
}

enum status torch_parse(struct span bytes, const char *path, struct model_files *files,
                        struct tensor_table *table, struct error *error) {
    *table = (struct tensor_table){0};
    struct pickle object = {0};
    struct torch_storages storages = {0};
    enum status status;
    if (torch_zip_is(bytes)) {
        status = read_zip(bytes, path, &object, &storages, error);
    } else if (bytes.len > 0 && (bytes.ptr[0] == '\x80' || bytes.ptr[0] == 'L')) {
        status = torch_legacy_read(bytes, path, &object, &storages, error);
    } else {
        status = refuse(bytes, path, error);
    }
    if (status == STATUS_OK) {
        status = torch_state_read(&object, &storages, path, 2 * bytes.len, files, table, error);
    }
    torch_storages_free(&storages);
    pickle_free(&object);
    return status;
}

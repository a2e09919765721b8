// SPDX-License-Identifier: Apache-2.0
//
// Storages: the runs of elements that tensors of a file saved by torch are views of. The pickle
// names them by persistent ids, the bytes lie elsewhere in the file.
#ifndef WADER_WEIGHTS_TORCH_STORAGE_H
#define WADER_WEIGHTS_TORCH_STORAGE_H

#include "weights/torch_globals.h"

struct torch_storage {
    struct span key;
    const struct torch_global *type;
    size_t n_elements;
    size_t nbytes;
    struct span bytes;  // of that many bytes, once it was found; until then ptr is NULL
};

struct torch_storages {
    struct torch_storage *storages;  // [n] in order of key
    size_t n;
};

// What a persistent id says.
struct torch_id {
    struct torch_storage storage;
    size_t first, n;  // the elements meant, which are not all of them where torch 0.4 to 1.x saved
                      // a view of a storage
};

// NULL, or what is wrong with the id of a node of kind PICKLE_PERSISTENT.
const char *torch_id_read(const struct pickle *pickle, pickle_ref ref, struct torch_id *id);

// All that the pickle refers to, each once. STATUS_MODEL where an id is ill-formed or two
// contradict each other; `path` is for the message. torch_storages_free releases the array.
enum status torch_storages_collect(const struct pickle *pickle, const char *path,
                                   struct torch_storages *storages, struct error *error);

// NULL where there is none of that key.
struct torch_storage *torch_storage_find(const struct torch_storages *storages, struct span key);

void torch_storages_free(struct torch_storages *storages);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The format of torch before 1.6: pickles one after the other (a magic number, the protocol's
// version, facts about the machine, the object, the keys of its storages), then for each of the
// keys a count of elements and the elements (torch/serialization.py, _legacy_load).
#ifndef WADER_WEIGHTS_TORCH_LEGACY_H
#define WADER_WEIGHTS_TORCH_LEGACY_H

#include "weights/torch_storage.h"

// Reads the object and finds its storages. STATUS_MODEL where the file is damaged or another one;
// `path` is for the message. The caller releases both.
enum status torch_legacy_read(struct span file, const char *path, struct pickle *object,
                              struct torch_storages *storages, struct error *error);

#endif

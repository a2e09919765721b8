// SPDX-License-Identifier: Apache-2.0
//
// What a state dict saved by torch may import, and what each of it means here.
#ifndef WADER_WEIGHTS_TORCH_GLOBALS_H
#define WADER_WEIGHTS_TORCH_GLOBALS_H

#include "weights/model.h"
#include "weights/pickle.h"

enum torch_role {
    TORCH_OTHER,              // nothing that matters
    TORCH_STORAGE,            // the type of a storage
    TORCH_DTYPE,              // that of a tensor, where its storage is untyped
    TORCH_SIZE,               // torch.Size: a tuple
    TORCH_REBUILD_TENSOR,     // (storage, offset, size, stride), all counted in elements
    TORCH_REBUILD_TENSOR_V2,  // the same, requires_grad, backward_hooks[, metadata]
    TORCH_REBUILD_TENSOR_V3,  // the same, requires_grad, backward_hooks, dtype[, metadata]
    TORCH_REBUILD_PARAMETER,  // (tensor, requires_grad, backward_hooks[, state])
};

// How elements become weights.
enum torch_use { TORCH_UNUSABLE, TORCH_AS_IT_IS, TORCH_ROUNDED /* to F32 */ };

struct torch_global {
    const char *module, *name;
    enum pickle_import import;
    enum torch_role role;
    // Of a TORCH_STORAGE or TORCH_DTYPE.
    uint8_t size;  // bytes of an element; those of an untyped storage are bytes
    enum torch_use use;
    enum dtype dtype;  // as which it is used
};

// Finds one for pickle_read.
pickle_find torch_find;

// What a node stands for, in a pickle read with torch_find: NULL for anything but a global, and
// TORCH_OTHER for anything but a call.
const struct torch_global *torch_global_of(const struct pickle *pickle, pickle_ref ref);
enum torch_role torch_callee(const struct pickle *pickle, pickle_ref ref);

#endif

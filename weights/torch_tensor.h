// SPDX-License-Identifier: Apache-2.0
//
// A tensor of a file saved by torch: a view of a storage, with an offset, a shape and strides.
#ifndef WADER_WEIGHTS_TORCH_TENSOR_H
#define WADER_WEIGHTS_TORCH_TENSOR_H

#include "weights/tensor_table.h"
#include "weights/torch_storage.h"

// What must be copied for the tensor to be row after row, in a format that weights have.
struct torch_view {
    const char *first;  // its first element
    const struct torch_global *type;
    size_t n_elements;
    size_t n_dims, dims[TENSOR_DIMS_MAX], strides[TENSOR_DIMS_MAX];  // in elements
};

// Whether a node is a call that gives a tensor.
bool torch_is_tensor(const struct pickle *pickle, pickle_ref ref);

// Reads such a node, whose storage was found, into all of `*tensor` but its name. Where
// view->first is not NULL afterwards, the elements are to be copied by torch_view_copy, and
// torch_tensor_place says where to. NULL, or what is wrong.
const char *torch_tensor_read(const struct pickle *pickle, pickle_ref ref,
                              const struct torch_storages *storages, struct named_tensor *tensor,
                              struct torch_view *view);

size_t torch_view_nbytes(const struct torch_view *view);  // of the copy
void torch_view_copy(const struct torch_view *view, char *out);
void torch_tensor_place(struct named_tensor *tensor, const struct torch_view *view,
                        const char *copy);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The tensors of a checkpoint by name: what every file format is read into, and all that the rest
// knows of a format. Names and shapes are PyTorch's, whatever the format (a Keras kernel [in, out]
// is in the table as a weight [out, in]).
#ifndef WADER_WEIGHTS_TENSOR_TABLE_H
#define WADER_WEIGHTS_TENSOR_TABLE_H

#include "weights/model.h"

enum { TENSOR_DIMS_MAX = 4 };

struct named_tensor {
    struct span name;
    struct span dtype_name;  // as the file says it
    struct span bytes;       // inside the mapped file
    bool usable;             // `tensor` is set: the file's dtype is one of ours
    struct tensor tensor;
    size_t n_dims;                 // may be more than TENSOR_DIMS_MAX
    size_t dims[TENSOR_DIMS_MAX];  // the first of them
};

struct tensor_table {
    struct named_tensor *tensors;
    size_t n_tensors;
    char *names;  // where the names live, where they are not spans of the file
};

// Puts the table in order of name, as tensor_table_find needs it. STATUS_MODEL where two tensors
// have one name; `path` is for the message.
enum status tensor_table_sort(struct tensor_table *table, const char *path, struct error *error);

// NULL when there is none of that name.
const struct named_tensor *tensor_table_find(const struct tensor_table *table, struct span name);

void tensor_table_free(struct tensor_table *table);

// The shape for a message: "[2, 3]".
struct shape_text {
    char text[100];
};
struct shape_text shape_text(const size_t *dims, size_t n_dims);

#endif

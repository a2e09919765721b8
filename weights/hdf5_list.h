// SPDX-License-Identifier: Apache-2.0
//
// What is in a Keras HDF5 file: the list of datasets that a child process writes, and the plan that
// the parent makes of it. The child ran a library on a file that may be made to harm it, so nothing
// in the list is believed: what the plan holds was checked against the file's size.
#ifndef WADER_WEIGHTS_HDF5_LIST_H
#define WADER_WEIGHTS_HDF5_LIST_H

#include "weights/tensor_table.h"

enum {
    HDF5_PATH_NBYTES = 400,    // NUL included; transformers' are 120 long
    HDF5_DATASETS_MAX = 4096,  // bert-large has 391, with Adam's state three times that
    HDF5_EXPANSION_MAX = 64,   // how many times its bytes a file may unfold to
};

enum hdf5_format { HDF5_F32, HDF5_F16, HDF5_F64, HDF5_FLOAT, HDF5_INTEGER, HDF5_OTHER };

enum hdf5_storage {
    HDF5_CONTIGUOUS,  // its elements as they are, one after the other, at `offset`
    HDF5_ENCODED,     // in chunks, through filters, in a header: the library's; or never written
    HDF5_ELSEWHERE,   // in another file
};

struct hdf5_dataset {
    char path[HDF5_PATH_NBYTES];
    uint64_t dims[TENSOR_DIMS_MAX];  // the first of them
    uint64_t offset;                 // in the file; where contiguous
    uint64_t nbytes;                 // what is stored of it
    uint32_t n_dims;
    uint32_t format;   // enum hdf5_format
    uint32_t storage;  // enum hdf5_storage
    uint32_t big_endian;
};

struct hdf5_list {
    uint32_t done;      // the child came to an end with it; nothing else is filled in otherwise,
    char failure[200];  // except this, where the library gave a reason
    uint32_t n_datasets;
    struct hdf5_dataset datasets[HDF5_DATASETS_MAX];
};

enum hdf5_source {
    HDF5_MAPPED,      // where it is in the file
    HDF5_TRANSPOSED,  // in the room, a kernel turned round
    HDF5_READ,        // in the room, read by the library, a kernel turned round then
    HDF5_UNUSABLE,    // in a format that no float weight has
};

// A weight and where it comes from.
struct hdf5_weight {
    struct span name;
    const struct hdf5_dataset *dataset;  // checked
    enum hdf5_source source;
    bool kernel;
    size_t nbytes;       // 0 where unusable
    size_t room_offset;  // where it will be, if in the room
};

struct hdf5_plan {
    struct hdf5_weight *weights;  // [n_weights]
    size_t n_weights;
    char *names;
    size_t room_nbytes;
};

// Chooses the datasets that are weights, by name. STATUS_MODEL, naming the dataset, where the list
// claims what the file of `file_nbytes` cannot hold. The plan points into the list.
enum status hdf5_plan_make(const struct hdf5_list *list, size_t file_nbytes, const char *path,
                           struct hdf5_plan *plan, struct error *error);
void hdf5_plan_free(struct hdf5_plan *plan);

// The plan as a table, of a file at `image` and a room at `room`. The table takes the names over.
enum status hdf5_plan_table(struct hdf5_plan *plan, const char *image, const char *room,
                            const char *path, struct tensor_table *table, struct error *error);

#endif

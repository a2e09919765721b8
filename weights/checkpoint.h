// SPDX-License-Identifier: Apache-2.0
//
// The weights of a model directory, whichever files they are in.
#ifndef WADER_WEIGHTS_CHECKPOINT_H
#define WADER_WEIGHTS_CHECKPOINT_H

#include "weights/model_files.h"
#include "weights/tensor_table.h"

struct checkpoint {
    const char *name;             // of the file that was opened, a constant
    struct tensor_table table;    // all tensors
    struct tensor_table *shards;  // [n_shards] what `table` was put together from, if anything
    size_t n_shards;
};

// Maps the weights files of `dir`, adding them to `files`, and reads their tables. The tensors live
// as long as the files do; checkpoint_close releases the tables.
enum status checkpoint_open(const char *dir, struct model_files *files,
                            struct checkpoint *checkpoint, struct error *error);
void checkpoint_close(struct checkpoint *checkpoint);

#endif

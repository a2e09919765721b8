// SPDX-License-Identifier: Apache-2.0
//
// pytorch_model.bin: a state dict as torch.save writes it, in either of its formats. Nothing in the
// file is run (weights/pickle.h).
#ifndef WADER_WEIGHTS_TORCH_FILE_H
#define WADER_WEIGHTS_TORCH_FILE_H

#include "weights/model_files.h"
#include "weights/tensor_table.h"

// Reads the tensors of the file image `bytes`, which must outlive `*table`. Tensors that are not in
// it row after row (transposed ones), and those of doubles, are copied, the latter rounded to F32,
// to a room of `files`, in all at most twice as large as the file. STATUS_MODEL, naming it, for
// what is damaged, hostile, or no state dict; `path` is for the message.
enum status torch_parse(struct span bytes, const char *path, struct model_files *files,
                        struct tensor_table *table, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Weights that TensorFlow wrote: tf_model.h5, a Keras HDF5 file of Hugging Face transformers.
//
// The format is read by libhdf5, in a child process with limits (hdf5_child.h): the first child
// lists what is in the file, where a second one is needed it reads what is stored in chunks,
// compressed or big-endian. Everything else is taken from the mapped file: in place, or, as Keras
// has its kernels [in, out], turned round once.
#ifndef WADER_WEIGHTS_HDF5_OPEN_H
#define WADER_WEIGHTS_HDF5_OPEN_H

#include "weights/model_files.h"
#include "weights/tensor_table.h"

// Maps dir/name, adding it and the memory for what is not in it as needed to `files`, and reads its
// table, with names and shapes as PyTorch has them (keras_names.h). STATUS_MODEL where the file is
// damaged or the library cannot read it; also always, saying so, where wader was built without it.
enum status hdf5_open(const char *dir, const char *name, struct model_files *files,
                      struct tensor_table *table, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Keras has kernels [in, out], the table of tensors [out, in].
#ifndef WADER_WEIGHTS_HDF5_TRANSPOSE_H
#define WADER_WEIGHTS_HDF5_TRANSPOSE_H

#include <stddef.h>

// The matrix [rows, columns] at `in` as [columns, rows] at `out`; elements of 2 or 4 bytes, at any
// alignment. The two do not overlap.
void hdf5_transpose(const char *in, size_t rows, size_t columns, size_t element_nbytes, char *out);

#endif

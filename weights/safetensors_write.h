// SPDX-License-Identifier: Apache-2.0
//
// Writing a safetensors file (weights/safetensors.h has the format), one tensor after the other
// through a buffer of a fixed size: a model of any size takes no more memory than it is mapped in.
#ifndef WADER_WEIGHTS_SAFETENSORS_WRITE_H
#define WADER_WEIGHTS_SAFETENSORS_WRITE_H

#include "weights/bert_weights.h"

// An entry of __metadata__, which the format says holds strings alone. Both are UTF-8.
struct safetensors_note {
    const char *key, *value;
};

struct safetensors_file {
    const struct safetensors_note *notes;  // [n_notes]
    size_t n_notes;
    const struct named_weight *weights;  // [n_weights], of shapes that fit their tensors
    const enum dtype *dtypes;            // [n_weights] what each is written as
    size_t n_weights;
};

// Where the bytes go: `write` takes them in order. Any status but STATUS_OK ends the writing and is
// handed on.
struct byte_sink {
    enum status (*write)(void *context, const char *bytes, size_t nbytes, struct error *error);
    void *context;
};

// Length, header and all data. The tensors come in the order given, but those of four bytes an
// element before those of two: so each begins at a multiple of its element, for the header is
// filled up to a multiple of eight, as the library of the Hugging Face safetensors project does.
//
// A tensor that changes its dtype is rounded to nearest, ties to even. STATUS_MODEL, naming tensor,
// element and value, where a finite value would become infinite.
enum status safetensors_write(const struct safetensors_file *file, const struct byte_sink *sink,
                              struct error *error);

// Bytes that safetensors_write will hand over for the tensors, without the header.
size_t safetensors_data_nbytes(const struct safetensors_file *file);

#endif

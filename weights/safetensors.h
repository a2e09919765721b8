// SPDX-License-Identifier: Apache-2.0
//
// The safetensors format: eight bytes of header length, a JSON header, the tensors' bytes. Held to
// the rules of the Hugging Face safetensors project (safetensors/src/tensor.rs), which leave no
// byte unaccounted for.
#ifndef WADER_WEIGHTS_SAFETENSORS_H
#define WADER_WEIGHTS_SAFETENSORS_H

#include "weights/tensor_table.h"

// Reads the tensors of the file image [bytes, bytes + nbytes), which must outlive `*table`. Memory
// is taken in proportion to the header. STATUS_MODEL where the file breaks a rule; `path` is for
// the message. Tensors of formats that no float weight has are in the table, not usable.
enum status safetensors_parse(const char *bytes, size_t nbytes, const char *path,
                              struct tensor_table *table, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// From the object in a file saved by torch to the table of its tensors.
#ifndef WADER_WEIGHTS_TORCH_STATE_H
#define WADER_WEIGHTS_TORCH_STATE_H

#include "weights/model_files.h"
#include "weights/torch_tensor.h"

// The object must be a state dict, or a dict of which one member, state_dict or model_state_dict,
// is the only one that has tensors. Values that are no tensors are passed over. Tensors that the
// file does not hold row after row in a format of weights are copied to a room of `files`, of at
// most `room_max` bytes. STATUS_MODEL for what is ill-formed; `path` is for the message.
enum status torch_state_read(const struct pickle *object, const struct torch_storages *storages,
                             const char *path, size_t room_max, struct model_files *files,
                             struct tensor_table *table, struct error *error);

#endif

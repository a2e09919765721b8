// SPDX-License-Identifier: Apache-2.0
//
// Which tensor of a checkpoint is which weight of the model.
#ifndef WADER_WEIGHTS_BERT_WEIGHTS_H
#define WADER_WEIGHTS_BERT_WEIGHTS_H

#include "weights/tensor_table.h"

// The rows of the classifier, or 0 where it has no such shape: how many labels there are, where
// nothing else says so.
size_t bert_weights_classifier_rows(const struct tensor_table *table);

// Finds every weight that `config` asks for, by name and shape. `path` is for the message.
// STATUS_MODEL names the tensor that is missing, misshapen or in a format that is not read. Tensors
// that no weight asks for are passed over. bert_weights_free releases the array of layers.
enum status bert_weights_bind(const struct tensor_table *table, const struct bert_config *config,
                              const char *path, struct bert_weights *weights, struct error *error);

// The weights one by one, as transformers names them in the state dict of this architecture's
// sequence classifier, in the order in which it writes them: what a converter needs. `i` is below
// bert_weights_count.
struct named_weight {
    char name[128];
    struct tensor tensor;
    size_t dims[2], n_dims;
};
size_t bert_weights_count(const struct bert_config *config);
struct named_weight bert_weights_get(const struct bert_config *config,
                                     const struct bert_weights *weights, size_t i);

void bert_weights_free(struct bert_weights *weights);

#endif

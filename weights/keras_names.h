// SPDX-License-Identifier: Apache-2.0
//
// The names that TensorFlow models of Hugging Face transformers give their weights in a Keras HDF5
// file (tf_model.h5), as the names of the same weights in PyTorch.
//
// A path is /GROUP/SCOPE/bert/encoder/layer_._0/attention/self/query/kernel:0, where GROUP is the
// Keras layer and SCOPE is named after the model's class, or as whoever built it liked, with a
// number where the process had built one before. What counts begins at the last component that is a
// part of the model: `bert`, `distilbert`, `pre_classifier` or `classifier`.
#ifndef WADER_WEIGHTS_KERAS_NAMES_H
#define WADER_WEIGHTS_KERAS_NAMES_H

#include "host/base/base.h"

struct keras_name {
    char text[200];  // bert.encoder.layer.0.attention.self.query.weight
    bool kernel;     // stored [in, out] where PyTorch has [out, in]
};

// Translates the path of a dataset. False where it is no weight of such a model: state of an
// optimizer, a variable of another kind, a part that is not known; or where its name is longer than
// any weight's.
bool keras_name(struct span path, struct keras_name *out);

#endif

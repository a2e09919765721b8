// SPDX-License-Identifier: Apache-2.0
//
// config.json for a converted checkpoint: the source's, byte for byte but for what has to change.
#ifndef WADER_HOST_JOB_CONVERT_CONFIG_H
#define WADER_HOST_JOB_CONVERT_CONFIG_H

#include "host/base/buffer.h"

// NULL leaves what is there.
struct config_changes {
    const char *architecture;  // for a config.json that does not name its class
    const char *dtype;         // "float32": of the weights, under each of transformers' two names
    char *const *labels;       // [n_labels] for id2label and label2id
    size_t n_labels;
};

// Appends the changed text to `out`. `text` is a JSON object that config_parse took, not empty;
// values that say the right thing already stay as they are written. New members come last, in the
// style of those before. STATUS_IO without memory.
enum status convert_config(struct span text, const struct config_changes *changes,
                           struct buffer *out, struct error *error);

#endif

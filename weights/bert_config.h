// SPDX-License-Identifier: Apache-2.0
//
// config.json of a Hugging Face BERT or DistilBERT classifier, key by key.
#ifndef WADER_WEIGHTS_BERT_CONFIG_H
#define WADER_WEIGHTS_BERT_CONFIG_H

#include "host/base/json.h"
#include "weights/model.h"

enum { LABELS_MAX = 65536 };

// Checks that `text` is a JSON object in well-formed UTF-8. `path` is for the message, here and
// below.
enum status config_parse(struct span text, const char *path, struct json_value *object,
                         struct error *error);

// Reads everything but the labels: n_labels is num_labels where config.json says it, else 0.
// STATUS_MODEL, naming key and value, for what is missing, out of range, or a model that would be
// computed otherwise than a classifier of BERT or DistilBERT.
enum status bert_config_read(struct json_value object, const char *path, struct bert_config *config,
                             struct error *error);

#endif

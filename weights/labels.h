// SPDX-License-Identifier: Apache-2.0
//
// The names of the classes, from each place that may hold them.
#ifndef WADER_WEIGHTS_LABELS_H
#define WADER_WEIGHTS_LABELS_H

#include "host/base/json.h"
#include "weights/model.h"

// Names in order of class: UTF-8, never empty. One allocation: free(names) releases all of it.
struct labels {
    char **names;  // [n]
    size_t n;
};

// id2label of config.json: its keys are "0" to "n - 1" in any order. `n` is 0, and that is fine,
// where there is no id2label. `path` is for the message, here and below.
enum status labels_from_config(struct json_value config, const char *path, struct labels *labels,
                               struct error *error);

// One name a line, LF or CRLF, the last line with or without its end.
enum status labels_from_lines(struct span text, const char *path, struct labels *labels,
                              struct error *error);

// LABEL_0, LABEL_1, ...
enum status labels_numbered(size_t n, struct labels *labels, struct error *error);

// STATUS_MODEL where two classes have one name: rows could not tell them apart. `where` is for the
// message.
enum status labels_check_distinct(const struct labels *labels, const char *where,
                                  struct error *error);

// Whether the names say nothing: each is LABEL_ and its own number, or there are none.
bool labels_say_nothing(const struct labels *labels);

#endif

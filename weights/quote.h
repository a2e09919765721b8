// SPDX-License-Identifier: Apache-2.0
//
// Names out of files, made fit for a message: cut to a line, nothing in them that a terminal would
// act on.
#ifndef WADER_WEIGHTS_QUOTE_H
#define WADER_WEIGHTS_QUOTE_H

#include "host/base/base.h"
#include "host/base/json.h"

struct quoted {
    char text[100];
};

// "name" with its quotes; bytes that are not printable ASCII or well-formed UTF-8 become '?'.
struct quoted quote(struct span name);

// A JSON value as it stands in the file (a string keeps its quotes), likewise cut and cleaned.
struct quoted quote_json(struct json_value value);

#endif

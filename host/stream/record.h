// SPDX-License-Identifier: Apache-2.0
//
// From a line of the input to an id and a title.
#ifndef WADER_HOST_STREAM_RECORD_H
#define WADER_HOST_STREAM_RECORD_H

#include "host/base/base.h"
#include "host/base/json.h"
#include "host/stream/chunk.h"

enum record_kind { RECORD_TEXT, RECORD_TSV, RECORD_JSONL };

// Where a record keeps a value: a key or JSON pointer, or a 1-based column.
struct field {
    const char *name;  // JSONL
    int column;        // TSV
};

struct record_format {
    enum record_kind kind;
    struct field id, title;
    const struct field *passthrough;  // [n_passthrough]
    int n_passthrough;
};

// The kind by the input's name: .jsonl, .tsv, else text; a final .gz does not count.
enum record_kind record_kind_of_name(const char *path);

// Reads record->line: sets status and id, and for a good record `*title`, whose bytes are part of
// the line or, where JSON escapes had to be undone, of `scratch`, which must hold as many bytes as
// the line has. A record that is RECORD_TOO_LONG stays so.
void record_parse(const struct record_format *format, struct record *record, char *scratch,
                  struct span *title);

// A field of a record's line: the raw JSON value, or the raw column. False when it has none.
bool record_field(const struct record_format *format, const struct record *record,
                  struct field field, struct span *value);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// From a line of an output back to what `wader label` said in it (host/stream/row.h has the form).
// Strict: what label would not write is a fault, so a file of another kind is not taken for one.
#ifndef WADER_HOST_JOB_DIFF_ROW_H
#define WADER_HOST_JOB_DIFF_ROW_H

#include "host/base/base.h"
#include "host/base/json.h"
#include "host/stream/row.h"

enum { SCORE_NONE = -1, SCORE_MAX = 1000000 };  // scores are whole millionths, as rows have them

struct diff_row {
    // As text, so that both forms of a row give the same: a JSON string's characters, another JSON
    // value as it is written. Nothing for null and for a text "null": TSV tells neither from none.
    struct span id;
    bool has_label;
    struct span label;
    int32_t score;  // SCORE_NONE where there is none
    enum record_status status;
    struct json_value scores;  // JSONL with --scores all: every label and its score; else JSON_NULL
};

struct diff_row_fault {
    const char *what;  // static
    size_t offset;     // in the line
};

// Reads `line`, without its end of line. Text in `row` is part of the line or of `scratch`, which
// must hold line.len bytes. False with `*fault` told for what is no row.
bool diff_row_parse(enum row_kind kind, struct span line, char *scratch, struct diff_row *row,
                    struct diff_row_fault *fault);

// Whether a TSV line is the one that names columns. A row cannot be: its score is a number.
bool diff_row_is_header(struct span line);

// The next column of a TSV line from `*at` on, which then stands behind it; false behind the last.
// `*at` is 0 at first.
bool diff_row_next_cell(struct span line, size_t *at, struct span *cell);

#endif

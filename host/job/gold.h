// SPDX-License-Identifier: Apache-2.0
//
// Records whose labels are known: where TSV or JSONL keeps a title and its label, and which of a
// model's labels that is. The label is one of the model's names, exactly; what is no name may be
// the number of a class, from 0. For a multi-label model there may be several, parted by | or in a
// JSON array, or none.
#ifndef WADER_HOST_JOB_GOLD_H
#define WADER_HOST_JOB_GOLD_H

#include "host/stream/record.h"

// The labels there are.
struct gold_labels {
    char *const *names;  // [n_labels]
    int32_t n_labels;
    bool multi_label;
};

struct gold_columns {
    int title, label;  // from 1
    bool is_header;    // the line names the columns and is no record
};

// What the first line of TSV tells. It is a header where two of its columns are exactly `title` and
// `label`, and no label has that name. Without one: title and label of two columns, id, title and
// label of more.
struct gold_columns gold_columns_of(struct span line, const struct gold_labels *labels);

// Why a record has no label that can be used: `what` is static, "is none of the model's labels";
// `text` is what was found, NULL where nothing was.
struct gold_fault {
    const char *what;
    struct span text;
};

// The labels of a record in good order: members[k] is 1 or 0, [n_labels]. `scratch` must hold
// RECORD_NBYTES_MAX bytes; the fault's text may lie there.
bool gold_read(const struct gold_labels *labels, const struct record_format *format,
               struct field field, const struct record *record, char *scratch, uint8_t *members,
               struct gold_fault *fault);

#endif

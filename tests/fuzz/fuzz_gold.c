// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a record whose label is known, of each kind, for one label and for many: either
// there are members that the model has, exactly one of one label, or a fault that points into the
// record.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/job/gold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_LABELS = 4 };

static char *const names[N_LABELS] = {"art", "a|b", "1", "label"};

// A copy that ends where its bytes do, so that a sanitizer sees a step beyond them.
static char *copy_of(const uint8_t *data, size_t size) {
    char *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) abort();
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

static void check_record(const struct gold_labels *labels, enum record_kind kind, struct span line,
                         struct field title_field, struct field label_field, char *scratch) {
    const struct record_format format = {
        .kind = kind,
        .id = kind == RECORD_TSV ? (struct field){"1", 1} : title_field,
        .title = title_field};
    struct record record = {.line = line};
    struct gold_fault fault = {0};
    struct span title;
    uint8_t members[N_LABELS];
    size_t n = 0;
    record_parse(&format, &record, scratch, &title);
    if (record_is_bad(record.status)) return;
    if (!gold_read(labels, &format, label_field, &record, scratch, members, &fault)) {
        assert(fault.what != NULL && fault.text.len <= line.len);
        return;
    }
    for (int32_t k = 0; k < labels->n_labels; k++) {
        assert(members[k] <= 1);
        n += members[k];
    }
    assert(labels->multi_label || n == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char *scratch;
    if (scratch == NULL) scratch = malloc(RECORD_NBYTES_MAX);
    if (scratch == NULL) abort();
    if (size > RECORD_NBYTES_MAX) return 0;
    char *bytes = copy_of(data, size);
    const struct span line = {bytes, size};
    for (int many = 0; many <= 1; many++) {
        const struct gold_labels labels = {names, many == 1 ? N_LABELS : N_LABELS - 1, many == 1};
        const struct gold_columns columns = gold_columns_of(line, &labels);
        assert(columns.title > 0 && columns.label > 0 && columns.title != columns.label);
        check_record(&labels, RECORD_TSV, line, (struct field){"", columns.title},
                     (struct field){"", columns.label}, scratch);
        check_record(&labels, RECORD_JSONL, line, (struct field){"title", 0},
                     (struct field){"label", 0}, scratch);
        check_record(&labels, RECORD_JSONL, line, (struct field){"/a/0", 0},
                     (struct field){"/a/1", 0}, scratch);
    }
    free(bytes);
    return 0;
}

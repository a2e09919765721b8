// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a row of an output, of both forms: either a fault that points into the row, or a row
// whose parts fit its status, and which is the same again when it is written anew in either form.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/buffer.h"
#include "host/base/utf8.h"
#include "host/job/diff_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A block that ends where its bytes do, so that a sanitizer sees a step beyond them.
static char *block_of(const void *bytes, size_t size) {
    char *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) abort();
    if (size > 0 && bytes != NULL) memcpy(copy, bytes, size);
    return copy;
}

static bool same(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void check_parts(const struct diff_row *row, size_t line_len) {
    const bool is_bad = record_is_bad(row->status);
    assert(row->status < RECORD_STATUS_COUNT);
    assert(row->id.len + row->label.len <= line_len);
    assert(row->has_label == (!is_bad && row->status != RECORD_ABSTAIN));
    assert(is_bad ? row->score == SCORE_NONE : row->score >= 0 && row->score <= SCORE_MAX);
    assert(row->has_label || row->label.len == 0);
}

// The row as wader label would write it.
static void write_row(enum row_kind kind, const struct diff_row *row, struct buffer *out) {
    const char *status = record_status_name(row->status);
    const bool scored = row->score != SCORE_NONE;
    if (kind == ROW_TSV) {
        buffer_add_tsv_cell(out, row->id);
        buffer_add_text(out, "\t");
        buffer_add_tsv_cell(out, row->label);
        buffer_add_text(out, "\t");
        if (scored) buffer_add_format(out, "%.6f", (double)row->score / SCORE_MAX);
        buffer_add_format(out, "\t%s\tpassed", status);
        return;
    }
    buffer_add_text(out, "{\"id\":");
    buffer_add_json_string(out, row->id);
    buffer_add_text(out, ",\"label\":");
    if (row->has_label) {
        buffer_add_json_string(out, row->label);
    } else {
        buffer_add_text(out, "null");
    }
    if (scored) buffer_add_format(out, ",\"score\":%.6f", (double)row->score / SCORE_MAX);
    if (status[0] != '\0') buffer_add_format(out, ",\"status\":\"%s\"", status);
    buffer_add_text(out, ",\"passed\":{\"id\":1}}");
}

static void check_again(enum row_kind kind, const struct diff_row *row) {
    struct buffer out = {0};
    struct diff_row again;
    struct diff_row_fault fault;
    write_row(kind, row, &out);
    assert(!out.failed);
    char *line = block_of(out.bytes, out.len), *scratch = block_of(NULL, out.len);
    assert(diff_row_parse(kind, (struct span){line, out.len}, scratch, &again, &fault));
    assert(same(again.id, row->id) && same(again.label, row->label));
    assert(again.score == row->score && again.status == row->status);
    free(line);
    free(scratch);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 1 << 16) return 0;
    char *bytes = block_of(data, size), *scratch = block_of(NULL, size);
    const struct span line = {bytes, size};
    for (int kind = ROW_JSONL; kind <= ROW_TSV; kind++) {
        struct diff_row row;
        struct diff_row_fault fault = {0};
        if (!diff_row_parse((enum row_kind)kind, line, scratch, &row, &fault)) {
            assert(fault.what != NULL && fault.offset <= size);
            continue;
        }
        check_parts(&row, size);
        if (kind == ROW_TSV) assert(!diff_row_is_header(line));
        const bool is_text = utf8_check(row.id.ptr, row.id.len) == row.id.len &&
                             utf8_check(row.label.ptr, row.label.len) == row.label.len;
        if (!is_text) continue;  // label writes none such
        check_again(ROW_JSONL, &row);
        check_again(ROW_TSV, &row);
    }
    free(bytes);
    free(scratch);
    return 0;
}

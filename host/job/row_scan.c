// SPDX-License-Identifier: Apache-2.0
#include "host/job/row_scan.h"

#include <string.h>

#include "host/base/json.h"

// Longer than any row that wader writes: a record has 1 MiB, of which --passthrough repeats parts.
enum { ROW_NBYTES_MAX = 256 * 1024 * 1024 };

static enum status check_id(struct row_scan *scan, struct span row, struct error *error) {
    struct span wanted;
    bool more;
    enum status status = id_walk_next(scan->ids, &wanted, &more, error);
    if (status != STATUS_OK) return status;
    if (!more) {
        return error_set(error, STATUS_ROWS, "row %llu is one more than the input has records",
                         (unsigned long long)scan->n_rows);
    }
    if (row.len >= wanted.len && memcmp(row.ptr, wanted.ptr, wanted.len) == 0) return STATUS_OK;
    const int shown = wanted.len < 80 ? (int)wanted.len : 80;
    return error_set(error, STATUS_ROWS,
                     "the id of row %llu is not that of the input's record: it should begin with "
                     "%.*s",
                     (unsigned long long)scan->n_rows, shown, wanted.ptr);
}

// Takes one cell off the front of a TSV row.
static struct span take_cell(struct span *row) {
    const char *tab = row->len > 0 ? memchr(row->ptr, '\t', row->len) : NULL;
    const struct span cell = {row->ptr, tab != NULL ? (size_t)(tab - row->ptr) : row->len};
    const size_t taken = cell.len + (tab != NULL ? 1 : 0);
    *row = (struct span){row->ptr + taken, row->len - taken};
    return cell;
}

static enum status count_label(struct row_scan *scan, struct span row, struct error *error) {
    struct json_value object, label;
    struct json_fault fault;
    if (scan->is_tsv) {
        take_cell(&row);
        const struct span cell = take_cell(&row);
        struct buffer text = {0};
        buffer_add_json_string(&text, cell);
        if (cell.len > 0 && !text.failed) {
            label_tally_add(scan->tally, (struct span){text.bytes, text.len}, 1);
        }
        enum status status = buffer_check(&text, error);
        buffer_free(&text);
        return status;
    }
    if (!json_parse(row, &object, &fault) || !json_member(object, "label", &label)) {
        return error_set(error, STATUS_ROWS, "row %llu is no JSON object with a label",
                         (unsigned long long)scan->n_rows);
    }
    if (label.type == JSON_STRING) label_tally_add(scan->tally, label.raw, 1);
    return STATUS_OK;
}

// `row`: without its newline.
static enum status take_row(struct row_scan *scan, struct span row, struct error *error) {
    if (scan->has_header && !scan->past_header) {
        scan->past_header = true;
        return STATUS_OK;
    }
    scan->n_rows++;
    enum status status = scan->ids != NULL ? check_id(scan, row, error) : STATUS_OK;
    if (status == STATUS_OK && scan->tally != NULL) status = count_label(scan, row, error);
    return status;
}

static enum status carry(struct row_scan *scan, struct span bytes, struct error *error) {
    if (scan->ids == NULL && scan->tally == NULL) return STATUS_OK;
    buffer_add(&scan->carry, bytes.ptr, bytes.len);
    if (scan->carry.len <= ROW_NBYTES_MAX) return buffer_check(&scan->carry, error);
    return error_set(error, STATUS_ROWS, "row %llu is longer than any row can be",
                     (unsigned long long)scan->n_rows + 1);
}

enum status row_scan_feed(struct row_scan *scan, struct span bytes, struct error *error) {
    while (bytes.len > 0) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        struct span part = {bytes.ptr, end != NULL ? (size_t)(end - bytes.ptr) : bytes.len};
        scan->in_row = end == NULL;
        if (end == NULL) return carry(scan, part, error);
        bytes = (struct span){end + 1, bytes.len - part.len - 1};
        enum status status = STATUS_OK;
        if (scan->carry.len > 0) {
            status = carry(scan, part, error);
            part = (struct span){scan->carry.bytes, scan->carry.len};
        }
        if (status == STATUS_OK) status = take_row(scan, part, error);
        buffer_clear(&scan->carry);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

enum status row_scan_end(struct row_scan *scan, struct error *error) {
    struct span wanted;
    bool more = false;
    if (scan->in_row) {
        return error_set(error, STATUS_ROWS, "its last row, %llu, has no end",
                         (unsigned long long)scan->n_rows + 1);
    }
    enum status status = STATUS_OK;
    if (scan->ids != NULL) status = id_walk_next(scan->ids, &wanted, &more, error);
    if (status != STATUS_OK || !more) return status;
    return error_set(error, STATUS_ROWS, "it has %llu rows; the input has more records",
                     (unsigned long long)scan->n_rows);
}

void row_scan_free(struct row_scan *scan) {
    buffer_free(&scan->carry);
}

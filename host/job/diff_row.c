// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_row.h"

#include <string.h>

static bool fail(struct diff_row_fault *fault, const char *what, size_t offset) {
    *fault = (struct diff_row_fault){what, offset};
    return false;
}

// ---- what both forms share

// The usual form, 0.973100, without a detour over binary fractions.
static bool six_digits(struct span text, int32_t *score) {
    if (text.len != 8 || text.ptr[1] != '.') return false;
    int32_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (i == 1) continue;
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        value = 10 * value + (text.ptr[i] - '0');
    }
    *score = value;
    return value <= SCORE_MAX;
}

static bool parse_number(struct span text, double *number) {
    struct json_value value;
    struct json_fault ignored;
    return text.len > 0 && json_parse(text, &value, &ignored) && value.raw.len == text.len &&
           json_double(value, number);
}

// Any number from 0 to 1: somebody's tool may have written the row anew.
static bool parse_score(struct span text, int32_t *score) {
    double number;
    if (six_digits(text, score)) return true;
    if (!parse_number(text, &number) || !(number >= 0.0 && number <= 1.0)) return false;
    *score = (int32_t)(number * SCORE_MAX + 0.5);
    return true;
}

static bool status_named(struct span name, enum record_status *status) {
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        if (!span_equal(name, record_status_name((enum record_status)s))) continue;
        *status = (enum record_status)s;
        return true;
    }
    return false;
}

// Which of label and score a row has follows from its status.
static bool check_parts(const struct diff_row *row, size_t offset, struct diff_row_fault *fault) {
    const bool is_bad = record_is_bad(row->status);
    if (is_bad && row->score != SCORE_NONE) return fail(fault, "a bad record with a score", offset);
    if (!is_bad && row->score == SCORE_NONE) return fail(fault, "a row without a score", offset);
    if (row->has_label && (is_bad || row->status == RECORD_ABSTAIN)) {
        return fail(fault, "a label where the status says that there is none", offset);
    }
    if (!row->has_label && !is_bad && row->status != RECORD_ABSTAIN) {
        return fail(fault, "a row without a label, and no status that says why", offset);
    }
    return true;
}

// ---- JSONL

static struct span json_text(struct json_value value, char **scratch) {
    struct span text = value.raw;
    if (value.type == JSON_NULL) return (struct span){value.raw.ptr, 0};
    if (value.type != JSON_STRING) return text;
    if (memchr(text.ptr, '\\', text.len) == NULL) return (struct span){text.ptr + 1, text.len - 2};
    text = (struct span){*scratch, json_string(value, *scratch)};
    *scratch += text.len;
    return text;
}

// Moves on to the next member if its key is `key`, written as label writes it.
static bool take(struct json_walk *walk, bool *more, const char *key, struct json_value *value) {
    if (!*more || !span_equal(walk->key.raw, key)) return false;
    *value = walk->value;
    *more = json_next(walk);
    return true;
}

static bool parse_json(struct span line, char *scratch, struct diff_row *row,
                       struct diff_row_fault *fault) {
    struct json_value object, value;
    struct json_fault json_fault;
    char *free_scratch = scratch;
    if (!json_parse(line, &object, &json_fault)) {
        return fail(fault, json_fault.what, json_fault.offset);
    }
    struct json_walk walk = json_walk(object);
    bool more = json_next(&walk);
    if (object.type != JSON_OBJECT || !take(&walk, &more, "\"id\"", &value)) {
        return fail(fault, "it does not begin with {\"id\":", 0);
    }
    row->id = json_text(value, &free_scratch);
    if (!take(&walk, &more, "\"label\"", &value)) return fail(fault, "no label behind the id", 0);
    const size_t at = (size_t)(value.raw.ptr - line.ptr);
    if (value.type != JSON_STRING && value.type != JSON_NULL) {
        return fail(fault, "the label is not a string", at);
    }
    row->has_label = value.type == JSON_STRING;
    row->label = json_text(value, &free_scratch);
    if (take(&walk, &more, "\"score\"", &value) &&
        (value.type != JSON_NUMBER || !parse_score(value.raw, &row->score))) {
        return fail(fault, "the score is not a number from 0 to 1",
                    (size_t)(value.raw.ptr - line.ptr));
    }
    if (take(&walk, &more, "\"scores\"", &value) && value.type == JSON_OBJECT) row->scores = value;
    (void)take(&walk, &more, "\"logits\"", &value);
    if (take(&walk, &more, "\"status\"", &value)) {
        const struct span name = json_text(value, &free_scratch);
        if (value.type != JSON_STRING || name.len == 0 || !status_named(name, &row->status)) {
            return fail(fault, "a status that label does not write",
                        (size_t)(value.raw.ptr - line.ptr));
        }
    }
    return check_parts(row, at, fault);
}

// ---- TSV

bool diff_row_next_cell(struct span line, size_t *at, struct span *cell) {
    if (*at > line.len) return false;
    const char *begin = line.len > 0 ? line.ptr + *at : line.ptr;
    const size_t rest = line.len - *at;
    const char *tab = rest > 0 ? memchr(begin, '\t', rest) : NULL;
    *cell = (struct span){begin, tab != NULL ? (size_t)(tab - begin) : rest};
    *at += cell->len + 1;
    return true;
}

bool diff_row_is_header(struct span line) {
    static const char *const names[] = {"id", "label", "score"};
    struct span cell;
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!diff_row_next_cell(line, &at, &cell) || !span_equal(cell, names[i])) return false;
    }
    return true;
}

// Undoes \t, \n and \\. False for a backslash before anything else.
static bool unescape(struct span *cell, char **scratch) {
    if (cell->len == 0 || memchr(cell->ptr, '\\', cell->len) == NULL) return true;
    char *out = *scratch;
    for (size_t i = 0; i < cell->len; i++) {
        char c = cell->ptr[i];
        if (c == '\\') {
            c = ++i < cell->len ? cell->ptr[i] : '\0';
            if (c != 't' && c != 'n' && c != '\\') return false;
            c = c == 't' ? '\t' : c == 'n' ? '\n' : '\\';
        }
        *out++ = c;
    }
    *cell = (struct span){*scratch, (size_t)(out - *scratch)};
    *scratch = out;
    return true;
}

// Behind the score stand as many numbers as the model has labels, or none, then the status, which
// is never a number. A bad record's cells for those numbers are empty, and its status is not.
static bool find_status(struct span line, size_t at, struct diff_row *row,
                        struct diff_row_fault *fault) {
    struct span cell;
    double ignored;
    size_t begin = at;
    for (; diff_row_next_cell(line, &at, &cell); begin = at) {
        if (row->score == SCORE_NONE ? cell.len == 0 : parse_number(cell, &ignored)) continue;
        return status_named(cell, &row->status) ||
               fail(fault, "a status that label does not write", begin);
    }
    return fail(fault, "no status column", line.len);
}

static bool parse_tsv(struct span line, char *scratch, struct diff_row *row,
                      struct diff_row_fault *fault) {
    size_t at = 0;
    struct span score;
    (void)diff_row_next_cell(line, &at, &row->id);
    const size_t label_at = at;
    if (!diff_row_next_cell(line, &at, &row->label))
        return fail(fault, "no label column", line.len);
    const size_t score_at = at;
    if (!diff_row_next_cell(line, &at, &score)) return fail(fault, "no score column", line.len);
    if (score.len > 0 && !parse_score(score, &row->score)) {
        return fail(fault, "the score is not a number from 0 to 1", score_at);
    }
    if (!find_status(line, at, row, fault)) return false;
    // An empty cell is no label only where the status says so: a label may have an empty name.
    const bool may_have = !record_is_bad(row->status) && row->status != RECORD_ABSTAIN;
    row->has_label = may_have || row->label.len > 0;
    if (!unescape(&row->id, &scratch) || !unescape(&row->label, &scratch)) {
        return fail(fault, "a backslash that is no escape", 0);
    }
    return check_parts(row, label_at, fault);
}

bool diff_row_parse(enum row_kind kind, struct span line, char *scratch, struct diff_row *row,
                    struct diff_row_fault *fault) {
    *row =
        (struct diff_row){.score = SCORE_NONE, .status = RECORD_OK, .scores = {.type = JSON_NULL}};
    const bool is_good = kind == ROW_JSONL ? parse_json(line, scratch, row, fault)
                                           : parse_tsv(line, scratch, row, fault);
    if (is_good && span_equal(row->id, "null")) row->id.len = 0;
    return is_good;
}

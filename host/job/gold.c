// SPDX-License-Identifier: Apache-2.0
#include "host/job/gold.h"

#include <string.h>

#include "host/base/json.h"

static int32_t index_of_name(const struct gold_labels *labels, struct span text) {
    for (int32_t k = 0; k < labels->n_labels; k++) {
        if (span_equal(text, labels->names[k])) return k;
    }
    return -1;
}

struct gold_columns gold_columns_of(struct span line, const struct gold_labels *labels) {
    struct gold_columns columns = {0};
    const char *at = line.ptr;
    size_t left = line.len;
    for (int n = 1;; n++) {
        const char *tab = left > 0 ? memchr(at, '\t', left) : NULL;
        const struct span cell = {at, tab != NULL ? (size_t)(tab - at) : left};
        // Of two columns with one name the first counts.
        if (columns.title == 0 && span_equal(cell, "title")) columns.title = n;
        if (columns.label == 0 && span_equal(cell, "label")) columns.label = n;
        if (tab == NULL) {
            columns.is_header = columns.title != 0 && columns.label != 0 &&
                                index_of_name(labels, span_text("label")) < 0;
            if (columns.is_header) return columns;
            return n > 2 ? (struct gold_columns){.title = 2, .label = 3}
                         : (struct gold_columns){.title = 1, .label = 2};
        }
        at = tab + 1;
        left -= cell.len + 1;
    }
}

// A class number in digits, as `text` has it, or -1.
static int32_t index_of_number(const struct gold_labels *labels, struct span text) {
    int64_t number = 0;
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0')) return -1;
    for (size_t i = 0; i < text.len && number < labels->n_labels; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return -1;
        number = 10 * number + (text.ptr[i] - '0');
    }
    return number < labels->n_labels ? (int32_t)number : -1;
}

static bool set_member(const struct gold_labels *labels, struct span text, uint8_t *members,
                       struct gold_fault *fault) {
    int32_t k = index_of_name(labels, text);
    if (k < 0) k = index_of_number(labels, text);
    if (k < 0) {
        *fault = (struct gold_fault){"is none of the model's labels", text};
        return false;
    }
    members[k] = 1;
    return true;
}

// One label; of a multi-label model, several or none. A name may hold a bar itself.
static bool set_text(const struct gold_labels *labels, struct span text, uint8_t *members,
                     struct gold_fault *fault) {
    if (!labels->multi_label) return set_member(labels, text, members, fault);
    if (text.len == 0) return true;
    const int32_t whole = index_of_name(labels, text);
    if (whole >= 0) {
        members[whole] = 1;
        return true;
    }
    for (;;) {
        const char *bar = text.len > 0 ? memchr(text.ptr, '|', text.len) : NULL;
        const struct span part = {text.ptr, bar != NULL ? (size_t)(bar - text.ptr) : text.len};
        if (!set_member(labels, part, members, fault)) return false;
        if (bar == NULL) return true;
        text = (struct span){bar + 1, text.len - part.len - 1};
    }
}

// A string's characters, or a number as it is written. False for anything else.
static bool scalar_text(struct json_value value, char *scratch, struct span *text) {
    *text = value.raw;
    if (value.type == JSON_STRING) {
        *text = (struct span){scratch, json_string(value, scratch)};
    }
    return value.type == JSON_STRING || value.type == JSON_NUMBER;
}

static bool set_json(const struct gold_labels *labels, struct json_value value, char *scratch,
                     uint8_t *members, struct gold_fault *fault) {
    const char *const want = labels->multi_label
                                 ? "is neither a string nor a class number nor an array of them"
                                 : "is neither a string nor a class number";
    struct span text;
    if (scalar_text(value, scratch, &text)) return set_text(labels, text, members, fault);
    *fault = (struct gold_fault){want, value.raw};
    if (value.type != JSON_ARRAY || !labels->multi_label) return false;
    for (struct json_walk walk = json_walk(value); json_next(&walk);) {
        *fault = (struct gold_fault){want, walk.value.raw};
        if (!scalar_text(walk.value, scratch, &text)) return false;
        if (!set_member(labels, text, members, fault)) return false;
    }
    return true;
}

bool gold_read(const struct gold_labels *labels, const struct record_format *format,
               struct field field, const struct record *record, char *scratch, uint8_t *members,
               struct gold_fault *fault) {
    struct json_value value;
    struct json_fault ignored;
    struct span raw;
    memset(members, 0, (size_t)labels->n_labels);
    if (format->kind == RECORD_TEXT || !record_field(format, record, field, &raw)) {
        *fault = (struct gold_fault){"no label", {0}};
        return false;
    }
    if (format->kind == RECORD_TSV) return set_text(labels, raw, members, fault);
    *fault = (struct gold_fault){"no label", {0}};
    // A value of a record that was read before: it is JSON.
    return json_parse(raw, &value, &ignored) && set_json(labels, value, scratch, members, fault);
}

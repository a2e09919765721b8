// SPDX-License-Identifier: Apache-2.0
#include "host/stream/record.h"

#include <string.h>

#include "host/base/utf8.h"
#include "host/stream/input.h"

enum record_kind record_kind_of_name(const char *path) {
    struct span name = span_text(path);
    if (name_ends_in_gz(path)) name.len -= strlen(".gz");
    if (span_ends_in(name, ".jsonl")) return RECORD_JSONL;
    return span_ends_in(name, ".tsv") ? RECORD_TSV : RECORD_TEXT;
}

static bool tsv_column(struct span line, int column, struct span *value) {
    const char *at = line.ptr, *end = line.ptr + line.len;
    for (int i = 1;; i++) {
        const char *tab = at < end ? memchr(at, '\t', (size_t)(end - at)) : NULL;
        if (i == column) {
            *value = (struct span){at, (size_t)((tab != NULL ? tab : end) - at)};
            return true;
        }
        if (tab == NULL) return false;
        at = tab + 1;
    }
}

static bool json_field(struct json_value object, struct field field, struct json_value *value) {
    return field.name[0] == '/' ? json_pointer(object, field.name, value)
                                : json_member(object, field.name, value);
}

static void parse_tsv(const struct record_format *format, struct record *record,
                      struct span *title) {
    if (record->line.len == 0) {
        record->status = RECORD_BLANK;
    } else if (!tsv_column(record->line, format->id.column, &record->id)) {
        record->status = RECORD_NO_ID;
    } else if (!tsv_column(record->line, format->title.column, title)) {
        record->status = RECORD_NO_TITLE;
    }
}

static bool is_blank(struct span line) {
    for (size_t i = 0; i < line.len; i++) {
        if (memchr(" \t\r", line.ptr[i], 3) == NULL) return false;
    }
    return true;
}

static void parse_jsonl(const struct record_format *format, struct record *record, char *scratch,
                        struct span *title) {
    struct json_value object, value;
    struct json_fault fault;
    if (!json_parse(record->line, &object, &fault)) {
        record->status = is_blank(record->line) ? RECORD_BLANK : RECORD_BAD_JSON;
        record->fault = fault.what;
        record->fault_offset = (uint32_t)fault.offset;
        return;
    }
    if (object.type != JSON_OBJECT) {
        record->status = RECORD_BAD_JSON;
        record->fault = "a record must be an object, {...}";
        return;
    }
    if (json_field(object, format->id, &value)) {
        record->id = value.raw;
    } else {
        record->status = RECORD_NO_ID;
    }
    if (!json_field(object, format->title, &value)) {
        record->status = RECORD_NO_TITLE;
    } else if (value.type != JSON_STRING) {
        record->status = RECORD_TITLE_TYPE;
    } else if (memchr(value.raw.ptr, '\\', value.raw.len) == NULL) {
        *title = (struct span){value.raw.ptr + 1, value.raw.len - 2};
    } else {
        *title = (struct span){scratch, json_string(value, scratch)};
        record->ill_formed_utf8 = json_has_lone_surrogate(value);
    }
}

void record_parse(const struct record_format *format, struct record *record, char *scratch,
                  struct span *title) {
    *title = (struct span){0};
    if (record->status != RECORD_OK) return;
    switch (format->kind) {
        case RECORD_TEXT:
            *title = record->line;
            break;
        case RECORD_TSV:
            parse_tsv(format, record, title);
            break;
        case RECORD_JSONL:
            parse_jsonl(format, record, scratch, title);
            break;
    }
    if (record_is_bad(record->status)) {
        record->ill_formed_utf8 = false;
    } else if (utf8_check(title->ptr, title->len) < title->len) {
        record->ill_formed_utf8 = true;
    }
}

bool record_field(const struct record_format *format, const struct record *record,
                  struct field field, struct span *value) {
    struct json_value object, found;
    struct json_fault fault;
    if (record->status == RECORD_TOO_LONG) return false;  // the beginning of a line is none
    if (format->kind == RECORD_TSV) return tsv_column(record->line, field.column, value);
    if (format->kind == RECORD_TEXT || !json_parse(record->line, &object, &fault) ||
        !json_field(object, field, &found)) {
        return false;
    }
    *value = found.raw;
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/stream/rejects.h"

#include "host/base/base64.h"

static const char *const kinds[] = {
    [RECORD_TEXT] = "text", [RECORD_TSV] = "tsv", [RECORD_JSONL] = "jsonl"};

const char *record_kind_name(enum record_kind kind) {
    return kinds[kind];
}

void reject_add(struct buffer *buffer, const struct record *record, enum record_kind format,
                const char *file, const char *reason) {
    buffer_add_text(buffer, "{\"file\":");
    buffer_add_json_string(buffer, record->file.ptr != NULL ? record->file : span_text(file));
    buffer_add_format(buffer, ",\"format\":\"%s\",\"record\":%llu,\"byte\":%llu,\"status\":\"%s\"",
                      kinds[format], (unsigned long long)record->number,
                      (unsigned long long)record->offset, record_status_name(record->status));
    buffer_add_text(buffer, ",\"reason\":");
    buffer_add_json_string(buffer, span_text(reason));
    buffer_add_format(buffer, ",\"nbytes\":%llu,\"raw\":\"",
                      (unsigned long long)record->line_nbytes);
    buffer_add_base64(buffer, record->line);
    buffer_add_text(buffer, "\"}\n");
}

static bool read_count(struct json_value object, const char *key, uint64_t *out) {
    struct json_value value;
    int64_t number;
    if (!json_member(object, key, &value) || !json_int64(value, &number) || number < 0) {
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

static bool read_format(struct json_value object, enum record_kind *format) {
    struct json_value value;
    if (!json_member(object, "format", &value) || value.type != JSON_STRING) return false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        *format = (enum record_kind)i;
        if (json_string_equal(value, kinds[i])) return true;
    }
    return false;
}

const char *reject_parse(struct span line, struct reject *reject) {
    struct json_value object, raw;
    struct json_fault fault;
    if (!json_parse(line, &object, &fault)) return fault.what;
    if (object.type != JSON_OBJECT) return "it is no JSON object";
    if (!json_member(object, "file", &reject->file) || reject->file.type != JSON_STRING) {
        return "\"file\" is not a string";
    }
    if (reject->file.raw.len > REJECT_FILE_NBYTES_MAX) return "\"file\" is too long for a name";
    if (!read_format(object, &reject->format)) return "\"format\" is none of text, tsv, jsonl";
    if (!read_count(object, "record", &reject->number) || reject->number == 0) {
        return "\"record\" is not a number from 1";
    }
    if (!read_count(object, "byte", &reject->offset)) return "\"byte\" is not a number from 0";
    if (!read_count(object, "nbytes", &reject->nbytes)) return "\"nbytes\" is not a number from 0";
    if (!json_member(object, "raw", &raw) || raw.type != JSON_STRING) {
        return "\"raw\" is not a string";
    }
    reject->raw = (struct span){raw.raw.ptr + 1, raw.raw.len - 2};
    return NULL;
}

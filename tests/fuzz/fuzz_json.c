// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as JSON: reading never strays, and what is accepted keeps its promises: spans lie
// within the text, unescaped strings are no longer than their source, and every value inside is
// itself an acceptable text.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/json.h"
#include "host/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(struct json_value string) {
    char *out = malloc(3 * string.raw.len), *clean = malloc(3 * string.raw.len);
    assert(out != NULL && clean != NULL);
    size_t len = json_string(string, out);
    assert(len <= string.raw.len - 2);
    size_t clean_len = utf8_sanitize(out, len, clean);
    assert(utf8_check(clean, clean_len) == clean_len);
    assert((utf8_check(out, len) == len) == (clean_len == len && memcmp(out, clean, len) == 0));
    free(out);
    free(clean);
}

static void check_value(struct json_value value, struct span text) {
    assert(value.raw.ptr >= text.ptr && value.raw.len > 0);
    assert(value.raw.ptr + value.raw.len <= text.ptr + text.len);
    struct json_value again;
    struct json_fault fault;
    assert(json_parse(value.raw, &again, &fault));
    assert(again.type == value.type && again.raw.len == value.raw.len);
    int64_t integer;
    double real;
    if (json_int64(value, &integer)) assert(json_double(value, &real));
    if (value.type == JSON_STRING) check_string(value);
    for (struct json_walk walk = json_walk(value); json_next(&walk);) {
        if (value.type == JSON_OBJECT) check_string(walk.key);
        check_value(walk.value, value.raw);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {.ptr = (const char *)data, .len = size};
    struct json_value value, found;
    struct json_fault fault = {0};
    if (!json_parse(text, &value, &fault)) {
        assert(fault.what != NULL && fault.offset <= size);
        return 0;
    }
    check_value(value, text);
    json_member(value, "id", &found);
    json_pointer(value, "/a/0/~1~0", &found);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// JSON (RFC 8259) as it is read here: one strict pass proves a text well formed, after which values
// are plain spans of that text and walking them cannot fail. Nothing is allocated and nothing is
// copied, so the same reader serves a million records a second and a hostile model file, and a
// value (an id) can be passed on byte for byte as it came.
//
// Strings may hold any bytes from 0x20 up, well-formed UTF-8 or not: what ill-formed bytes mean is
// decided where the text is used. Every function may be called from any thread.
#ifndef WADER_HOST_BASE_JSON_H
#define WADER_HOST_BASE_JSON_H

#include "host/base/base.h"

enum { JSON_DEPTH_MAX = 64 };  // arrays and objects nested deeper are refused

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

// A value inside a checked text: its raw bytes without the space around it; a string keeps its
// quotes, an array or object its brackets.
struct json_value {
    enum json_type type;
    struct span raw;
};

// Where and why a text is not JSON: `what` is a static phrase ("expected a comma or }"), `offset`
// counts bytes from the start of the text.
struct json_fault {
    const char *what;
    size_t offset;
};

// Checks that `text` is exactly one JSON value with white space around it at most. On false
// `*fault` tells why; `*value` is then untouched.
bool json_parse(struct span text, struct json_value *value, struct json_fault *fault);

// Walks an array's elements or an object's members in order. Keys are raw strings with quotes.
//   for (struct json_walk walk = json_walk(object); json_next(&walk);) use(walk.key, walk.value);
// For anything but an array or object, json_next returns false at once.
struct json_walk {
    struct json_value key;  // objects only
    struct json_value value;
    // private
    const char *at;
    const char *end;
    bool is_object;
};
struct json_walk json_walk(struct json_value container);
bool json_next(struct json_walk *walk);

// The member of `object` named `key` (plain bytes, compared after unescaping); the last one where
// several have the name, as Python and JavaScript do. False when there is none, or no object.
bool json_member(struct json_value object, const char *key, struct json_value *value);

// RFC 6901: `pointer` is "" or starts with '/'; "~1" and "~0" stand for '/' and '~'. Elements of
// arrays by index.
bool json_pointer(struct json_value root, const char *pointer, struct json_value *value);

// The characters of a string value, as UTF-8, into `out`, which must hold string.raw.len bytes; the
// result is never longer than raw.len - 2. An escaped surrogate without its other half becomes
// U+FFFD. Bytes that are not escaped are copied as they are. Returns the length.
size_t json_string(struct json_value string, char *out);

// Whether json_string makes U+FFFD of an escaped surrogate.
bool json_has_lone_surrogate(struct json_value string);

// Whether the unescaped string equals `text`.
bool json_string_equal(struct json_value string, const char *text);

// A number that is an integer (no fraction, no exponent) and fits; any number, rounded to double
// (false where it overflows); true or false.
bool json_int64(struct json_value value, int64_t *out);
bool json_double(struct json_value value, double *out);
bool json_bool(struct json_value value, bool *out);

// "a string", "an object", ... for messages.
const char *json_type_name(enum json_type type);

#endif

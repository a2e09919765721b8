// SPDX-License-Identifier: Apache-2.0
//
// JSON, part one: the strict pass over a text, and walking over what passed. RFC 8259 with nothing
// added: no comments, no trailing commas, no NaN, no byte order mark. The pass keeps its nesting in
// the bits of one word, so that hostile nesting costs neither stack nor memory.
#include "host/base/json.h"

#include <string.h>

#include "host/base/json_scan.h"

// Where the strict pass stands.
struct scan {
    const char *at;
    const char *end;
    const char *what;  // the fault, once there is one; `at` is then its place
};

static bool fail(struct scan *scan, const char *at, const char *what) {
    scan->at = at;
    scan->what = what;
    return false;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && is_digit(*at)) at++;
    return at;
}

// `at` is at a backslash. One character is left after it when the text is longer.
static bool scan_escape(struct scan *scan, const char *at) {
    if (scan->end - at < 2) return fail(scan, scan->end, "the string has no end");
    switch (at[1]) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
            scan->at = at + 2;
            return true;
        case 'u':
            break;
        default:
            return fail(scan, at, "an unknown escape in a string");
    }
    for (const char *hex = at + 2; hex < at + 6; hex++) {
        if (hex == scan->end) return fail(scan, hex, "the string has no end");
        if (hex_digit(*hex) < 0) return fail(scan, hex, "expected four hex digits after \\u");
    }
    scan->at = at + 6;
    return true;
}

// `scan->at` is at the opening quote.
static bool scan_string(struct scan *scan) {
    scan->at++;
    for (;;) {
        const char *at = json_find_special(scan->at, scan->end);
        if (at == scan->end) return fail(scan, at, "the string has no end");
        if (*at == '"') {
            scan->at = at + 1;
            return true;
        }
        if (*at != '\\') return fail(scan, at, "a control character in a string");
        if (!scan_escape(scan, at)) return false;
    }
}

static bool scan_number(struct scan *scan) {
    const char *at = scan->at, *end = scan->end;
    if (*at == '-') at++;
    if (at == end || !is_digit(*at)) return fail(scan, at, "expected a digit");
    at = *at == '0' ? at + 1 : skip_digits(at, end);
    if (at < end && is_digit(*at)) return fail(scan, at, "a number begins with a needless 0");
    if (at < end && *at == '.') {
        const char *fraction = at + 1;
        at = skip_digits(fraction, end);
        if (at == fraction) return fail(scan, at, "expected a digit after the decimal point");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        const char *exponent = at;
        at = skip_digits(exponent, end);
        if (at == exponent) return fail(scan, at, "expected a digit in the exponent");
    }
    scan->at = at;
    return true;
}

static bool scan_word(struct scan *scan, const char *word, size_t len) {
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0) {
        return fail(scan, scan->at, "expected a value");
    }
    scan->at += len;
    return true;
}

static bool scan_scalar(struct scan *scan) {
    switch (*scan->at) {
        case '"':
            return scan_string(scan);
        case 't':
            return scan_word(scan, "true", 4);
        case 'f':
            return scan_word(scan, "false", 5);
        case 'n':
            return scan_word(scan, "null", 4);
        default:
            if (*scan->at != '-' && !is_digit(*scan->at)) {
                return fail(scan, scan->at, "expected a value");
            }
            return scan_number(scan);
    }
}

// A member's name and the colon after it.
static bool scan_key(struct scan *scan) {
    scan->at = json_skip_space(scan->at, scan->end);
    if (scan->at == scan->end || *scan->at != '"') {
        return fail(scan, scan->at, "expected a member name in quotes");
    }
    if (!scan_string(scan)) return false;
    scan->at = json_skip_space(scan->at, scan->end);
    if (scan->at == scan->end || *scan->at != ':') return fail(scan, scan->at, "expected a colon");
    scan->at++;
    return true;
}

// The containers that are open: bit d of `objects` tells what the one at depth d is.
struct nesting {
    uint64_t objects;
    int depth;
};
_Static_assert(JSON_DEPTH_MAX == 64, "struct nesting has one bit for each depth");

static bool is_object(const struct nesting *nesting) {
    return (nesting->objects >> (nesting->depth - 1)) & 1;
}

// After a value: closes what ends here. True with `nesting->depth` 0 when the outermost value is
// complete, true with more when another value is due.
static bool scan_after_value(struct scan *scan, struct nesting *nesting) {
    while (nesting->depth > 0) {
        bool object = is_object(nesting);
        scan->at = json_skip_space(scan->at, scan->end);
        char c = scan->at < scan->end ? *scan->at : '\0';
        if (c == ',') {
            scan->at++;
            return !object || scan_key(scan);
        }
        if (c != (object ? '}' : ']')) {
            return fail(scan, scan->at, object ? "expected a comma or }" : "expected a comma or ]");
        }
        scan->at++;
        nesting->depth--;
    }
    return true;
}

// `scan->at` is at [ or {. `*empty` tells whether the container was closed at once.
static bool scan_open(struct scan *scan, struct nesting *nesting, bool *empty) {
    bool object = *scan->at == '{';
    if (nesting->depth == JSON_DEPTH_MAX) {
        return fail(scan, scan->at, "arrays and objects are nested deeper than 64");
    }
    uint64_t bit = UINT64_C(1) << nesting->depth;
    nesting->objects = object ? nesting->objects | bit : nesting->objects & ~bit;
    nesting->depth++;
    scan->at = json_skip_space(scan->at + 1, scan->end);
    *empty = scan->at < scan->end && *scan->at == (object ? '}' : ']');
    return *empty || !object || scan_key(scan);
}

// One value, from its first byte to behind its last.
static bool scan_value(struct scan *scan) {
    struct nesting nesting = {0};
    do {
        scan->at = json_skip_space(scan->at, scan->end);
        if (scan->at == scan->end) return fail(scan, scan->at, "expected a value");
        if (*scan->at == '{' || *scan->at == '[') {
            bool empty = false;
            if (!scan_open(scan, &nesting, &empty)) return false;
            if (!empty) continue;
        } else if (!scan_scalar(scan)) {
            return false;
        }
        if (!scan_after_value(scan, &nesting)) return false;
    } while (nesting.depth > 0);
    return true;
}

static enum json_type type_at(const char *at) {
    switch (*at) {
        case '{':
            return JSON_OBJECT;
        case '[':
            return JSON_ARRAY;
        case '"':
            return JSON_STRING;
        case 't':
        case 'f':
            return JSON_BOOL;
        case 'n':
            return JSON_NULL;
        default:
            return JSON_NUMBER;
    }
}

bool json_parse(struct span text, struct json_value *value, struct json_fault *fault) {
    if (text.len == 0) {
        *fault = (struct json_fault){.what = "expected a value, found nothing"};
        return false;
    }
    const char *end = text.ptr + text.len;
    const char *begin = json_skip_space(text.ptr, end);
    struct scan scan = {.at = begin, .end = end};
    if (scan_value(&scan)) {
        const char *rest = json_skip_space(scan.at, end);
        if (rest == end) {
            value->type = type_at(begin);
            value->raw = (struct span){.ptr = begin, .len = (size_t)(scan.at - begin)};
            return true;
        }
        fail(&scan, rest, "something follows the value");
    }
    fault->what = scan.what;
    fault->offset = (size_t)(scan.at - text.ptr);
    return false;
}

// ---- walking: from here on the text has passed, and only `end` bounds what is looked at

// From the opening quote to behind the closing one.
static const char *skip_string(const char *at, const char *end) {
    for (at++; (at = json_find_special(at, end)) < end; at += 2) {
        if (*at == '"') return at + 1;
        if (end - at < 2) break;
    }
    return end;
}

static const char *skip_container(const char *at, const char *end) {
    int depth = 0;
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            continue;
        }
        at++;
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        if (depth == 0) break;
    }
    return at;
}

static const char *skip_value(const char *at, const char *end) {
    switch (*at) {
        case '"':
            return skip_string(at, end);
        case '{':
        case '[':
            return skip_container(at, end);
        default:
            while (at < end && *at != ',' && *at != ']' && *at != '}' && !json_is_space(*at)) at++;
            return at;
    }
}

struct json_walk json_walk(struct json_value container) {
    struct json_walk walk = {0};
    if (container.type != JSON_ARRAY && container.type != JSON_OBJECT) return walk;
    walk.at = container.raw.ptr + 1;
    walk.end = container.raw.ptr + container.raw.len - 1;
    walk.is_object = container.type == JSON_OBJECT;
    return walk;
}

// Takes the value at `*at`, which is before `end`.
static struct json_value take_value(const char **at, const char *end) {
    const char *begin = *at;
    *at = skip_value(begin, end);
    return (struct json_value){.type = type_at(begin), .raw = {begin, (size_t)(*at - begin)}};
}

bool json_next(struct json_walk *walk) {
    const char *end = walk->end;
    if (walk->at == NULL) return false;
    const char *at = json_skip_space(walk->at, end);
    if (at < end && *at == ',') at = json_skip_space(at + 1, end);
    if (at == end) {
        walk->at = NULL;
        return false;
    }
    if (walk->is_object) {
        walk->key = take_value(&at, end);
        at = json_skip_space(at, end);
        if (at < end) at = json_skip_space(at + 1, end);  // the colon
        if (at == end) return false;
    }
    walk->value = take_value(&at, end);
    walk->at = at;
    return true;
}

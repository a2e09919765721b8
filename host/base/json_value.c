// SPDX-License-Identifier: Apache-2.0
//
// JSON, part two: what a value means. Strings are read piece by piece, a run of plain bytes or one
// escape at a time, so that comparing one needs no buffer.
#include "host/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/json_scan.h"

// Some unescaped characters of a string: either bytes of the text itself or `decoded`.
struct piece {
    const char *ptr;
    size_t len;
    char decoded[4];
    bool lone;  // half a surrogate pair, decoded to U+FFFD
};

// What is left of a string, without its quotes.
static struct span string_inside(struct json_value string) {
    if (string.type != JSON_STRING || string.raw.len < 2) return (struct span){0};
    return (struct span){.ptr = string.raw.ptr + 1, .len = string.raw.len - 2};
}

static uint32_t four_hex_digits(const char *hex) {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) code = code << 4 | ((uint32_t)hex_digit(hex[i]) & 15);
    return code;
}

static size_t put_utf8(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

// Decodes the \uXXXX at the start of `rest`, and its second half where it is a surrogate. Returns
// the bytes of `rest` that this took.
static size_t decode_unicode(struct span rest, struct piece *piece) {
    uint32_t code = four_hex_digits(rest.ptr + 2);
    size_t taken = 6;
    if (code >= 0xD800 && code <= 0xDFFF) {
        uint32_t low = 0;
        if (rest.len >= 12 && rest.ptr[6] == '\\' && rest.ptr[7] == 'u') {
            low = four_hex_digits(rest.ptr + 8);
        }
        if (code < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            taken = 12;
        } else {
            code = 0xFFFD;
            piece->lone = true;
        }
    }
    piece->len = put_utf8(code, piece->decoded);
    return taken;
}

// Takes the next piece off `*rest`; false at the end. Relies on the text being checked: escapes are
// complete and known.
static bool next_piece(struct span *rest, struct piece *piece) {
    if (rest->len == 0) return false;
    const char *end = rest->ptr + rest->len;
    size_t taken = 2;
    piece->lone = false;
    if (*rest->ptr != '\\') {
        const char *backslash = memchr(rest->ptr, '\\', rest->len);
        taken = (size_t)((backslash != NULL ? backslash : end) - rest->ptr);
        piece->ptr = rest->ptr;
        piece->len = taken;
    } else {
        static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
        char letter = rest->ptr[1];
        const char *found = strchr(letters, letter);
        piece->ptr = piece->decoded;
        piece->len = 1;
        piece->decoded[0] = found != NULL && letter != '\0' ? meanings[found - letters] : letter;
        if (letter == 'u') taken = decode_unicode(*rest, piece);
    }
    rest->ptr += taken;
    rest->len -= taken;
    return true;
}

size_t json_string(struct json_value string, char *out) {
    size_t len = 0;
    struct span rest = string_inside(string);
    for (struct piece piece; next_piece(&rest, &piece); len += piece.len) {
        memcpy(out + len, piece.ptr, piece.len);
    }
    return len;
}

bool json_has_lone_surrogate(struct json_value string) {
    struct span rest = string_inside(string);
    bool lone = false;
    for (struct piece piece; !lone && next_piece(&rest, &piece);) lone = piece.lone;
    return lone;
}

static bool string_equal(struct json_value string, const char *text, size_t len) {
    if (string.type != JSON_STRING || string.raw.len - 2 < len) return false;
    struct span rest = string_inside(string);
    for (struct piece piece; next_piece(&rest, &piece); text += piece.len, len -= piece.len) {
        if (piece.len > len || memcmp(piece.ptr, text, piece.len) != 0) return false;
    }
    return len == 0;
}

bool json_string_equal(struct json_value string, const char *text) {
    return string_equal(string, text, strlen(text));
}

bool json_member(struct json_value object, const char *key, struct json_value *value) {
    if (object.type != JSON_OBJECT) return false;
    bool found = false;
    size_t len = strlen(key);
    for (struct json_walk walk = json_walk(object); json_next(&walk);) {
        if (!string_equal(walk.key, key, len)) continue;
        *value = walk.value;
        found = true;
    }
    return found;
}

// Whether `key` is the reference token [token, end) of a pointer: ~1 stands for /, ~0 for ~.
static bool token_equal(struct json_value key, const char *token, const char *end) {
    struct span rest = string_inside(key);
    for (struct piece piece; next_piece(&rest, &piece);) {
        for (size_t i = 0; i < piece.len; i++) {
            if (token == end) return false;
            char c = *token++;
            if (c == '~') c = *token++ == '1' ? '/' : '~';
            if (c != piece.ptr[i]) return false;
        }
    }
    return token == end;
}

// An array index as RFC 6901 has it: digits without a needless 0.
static bool token_index(const char *token, const char *end, size_t *index) {
    size_t value = 0;
    if (token == end || (*token == '0' && end - token > 1)) return false;
    for (; token < end; token++) {
        if (*token < '0' || *token > '9') return false;
        if (!size_mul(value, 10, &value) || !size_add(value, (size_t)(*token - '0'), &value)) {
            return false;
        }
    }
    *index = value;
    return true;
}

static bool pointer_step(struct json_value container, const char *token, const char *end,
                         struct json_value *value) {
    bool found = false;
    struct json_walk walk = json_walk(container);
    if (container.type == JSON_OBJECT) {
        while (json_next(&walk)) {
            if (!token_equal(walk.key, token, end)) continue;
            *value = walk.value;
            found = true;
        }
    } else if (container.type == JSON_ARRAY) {
        size_t index;
        if (!token_index(token, end, &index)) return false;
        for (size_t i = 0; !found && json_next(&walk); i++) {
            if (i != index) continue;
            *value = walk.value;
            found = true;
        }
    }
    return found;
}

bool json_pointer(struct json_value root, const char *pointer, struct json_value *value) {
    for (const char *c = pointer; *c != '\0'; c++) {
        if (*c == '~' && c[1] != '0' && c[1] != '1') return false;
    }
    struct json_value here = root;
    while (*pointer != '\0') {
        if (*pointer != '/') return false;
        const char *token = pointer + 1;
        pointer = token + strcspn(token, "/");
        if (!pointer_step(here, token, pointer, &here)) return false;
    }
    *value = here;
    return true;
}

bool json_int64(struct json_value value, int64_t *out) {
    if (value.type != JSON_NUMBER) return false;
    const char *at = value.raw.ptr, *end = at + value.raw.len;
    bool negative = *at == '-';
    int64_t sum = 0;
    for (at += negative ? 1 : 0; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        int digit = negative ? '0' - *at : *at - '0';
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum)) {
            return false;
        }
    }
    *out = sum;
    return true;
}

// 767 digits and whether anything but zeros follows decide every rounding to double (IEEE 754), so
// a number of any length is read from this much of it.
enum { DIGITS_MAX = 800, SHORT_NUMBER_BYTES = 64 };

// The value of an exponent's digits, held at 2^60: no text is long enough to make up for more.
static int64_t clamped_exponent(const char *at, const char *end) {
    const int64_t clamp = INT64_C(1) << 60;
    bool negative = at < end && *at == '-';
    int64_t value = 0;
    if (at < end && (*at == '-' || *at == '+')) at++;
    for (; at < end; at++) value = value > clamp / 16 ? clamp : value * 10 + (*at - '0');
    return negative ? -value : value;
}

// Rewrites the number as at most DIGITS_MAX + 1 digits and an exponent, for strtod.
static double long_number(struct span raw) {
    char text[DIGITS_MAX + 32];
    size_t len = 0, n_digits = 0;
    int64_t exponent = 0;  // of the last digit written
    bool in_fraction = false, rest_nonzero = false;
    const char *at = raw.ptr, *end = raw.ptr + raw.len;
    if (*at == '-') text[len++] = *at++;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            in_fraction = true;
        } else if (n_digits == DIGITS_MAX) {
            rest_nonzero = rest_nonzero || *at != '0';
            exponent += in_fraction ? 0 : 1;
        } else {
            exponent -= in_fraction ? 1 : 0;
            if (n_digits == 0 && *at == '0') continue;
            text[len++] = *at;
            n_digits++;
        }
    }
    if (at < end) exponent += clamped_exponent(at + 1, end);
    if (rest_nonzero) {
        text[len++] = '1';
        exponent--;
    }
    if (n_digits == 0) text[len++] = '0';
    const int64_t enough = 9999;  // beyond, 801 digits are infinite or 0 whatever they are
    if (exponent > enough) exponent = enough;
    if (exponent < -enough) exponent = -enough;
    snprintf(text + len, sizeof text - len, "e%d", (int)exponent);
    return strtod(text, NULL);
}

bool json_double(struct json_value value, double *out) {
    if (value.type != JSON_NUMBER) return false;
    double number;
    if (value.raw.len < SHORT_NUMBER_BYTES) {
        char text[SHORT_NUMBER_BYTES];
        memcpy(text, value.raw.ptr, value.raw.len);
        text[value.raw.len] = '\0';
        number = strtod(text, NULL);
    } else {
        number = long_number(value.raw);
    }
    if (!isfinite(number)) return false;
    *out = number;
    return true;
}

bool json_bool(struct json_value value, bool *out) {
    if (value.type != JSON_BOOL) return false;
    *out = value.raw.ptr[0] == 't';
    return true;
}

const char *json_type_name(enum json_type type) {
    switch (type) {
        case JSON_NULL:
            return "null";
        case JSON_BOOL:
            return "true or false";
        case JSON_NUMBER:
            return "a number";
        case JSON_STRING:
            return "a string";
        case JSON_ARRAY:
            return "an array";
        case JSON_OBJECT:
            return "an object";
    }
    return "nothing";
}

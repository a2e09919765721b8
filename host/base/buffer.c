// SPDX-License-Identifier: Apache-2.0
#include "host/base/buffer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"

void buffer_free(struct buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}

char *buffer_reserve(struct buffer *buffer, size_t n) {
    size_t wanted;
    if (buffer->failed || !size_add(buffer->len, n, &wanted)) {
        buffer->failed = true;
        return NULL;
    }
    if (wanted > buffer->cap || buffer->bytes == NULL) {
        size_t cap = buffer->cap > 0 ? buffer->cap : 256;
        while (cap < wanted && cap <= SIZE_MAX / 2) cap *= 2;
        char *bytes = cap >= wanted ? realloc(buffer->bytes, cap) : NULL;
        if (bytes == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->bytes = bytes;
        buffer->cap = cap;
    }
    return buffer->bytes + buffer->len;
}

void buffer_add(struct buffer *buffer, const char *bytes, size_t n) {
    if (n == 0) return;
    char *at = buffer_reserve(buffer, n);
    if (at == NULL) return;
    memcpy(at, bytes, n);
    buffer->len += n;
}

void buffer_add_text(struct buffer *buffer, const char *text) {
    buffer_add(buffer, text, strlen(text));
}

void buffer_add_format(struct buffer *buffer, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = n < 0 ? NULL : buffer_reserve(buffer, (size_t)n + 1);
    if (at != NULL) {
        vsnprintf(at, (size_t)n + 1, format, again);
        buffer->len += (size_t)n;
    }
    va_end(again);
}

// The product is exact, for it has 38 bits: 24 of the value's, 14 of 5^6; rounded as printf does,
// the last place to the nearest, halves to even.
void buffer_add_fraction(struct buffer *buffer, float value) {
    enum { LEN = 8, DOT = 1 };
    char *at = buffer_reserve(buffer, LEN);
    if (at == NULL) return;
    uint32_t millionths = (uint32_t)lrint((double)value * 1e6);
    for (int i = LEN - 1; i >= 0; i--) {
        if (i == DOT) {
            at[i] = '.';
            continue;
        }
        at[i] = (char)('0' + millionths % 10);
        millionths /= 10;
    }
    buffer->len += LEN;
}

void buffer_add_utf8(struct buffer *buffer, struct span bytes) {
    if (utf8_check(bytes.ptr, bytes.len) == bytes.len) {
        buffer_add(buffer, bytes.ptr, bytes.len);
        return;
    }
    size_t cap;
    char *at = size_mul(bytes.len, 3, &cap) ? buffer_reserve(buffer, cap) : NULL;
    if (at != NULL) buffer->len += utf8_sanitize(bytes.ptr, bytes.len, at);
}

// Adds the clean stretches of `bytes` as UTF-8 and what `escape` gives for the bytes between them;
// `escape` returns NULL for a byte that stands for itself.
static void add_escaped(struct buffer *buffer, struct span bytes,
                        const char *(*escape)(unsigned char c, char scratch[8])) {
    char scratch[8];
    size_t clean = 0;
    if (bytes.len == 0) return;
    for (size_t i = 0; i < bytes.len; i++) {
        const char *text = escape((unsigned char)bytes.ptr[i], scratch);
        if (text == NULL) continue;
        buffer_add_utf8(buffer, (struct span){bytes.ptr + clean, i - clean});
        buffer_add_text(buffer, text);
        clean = i + 1;
    }
    buffer_add_utf8(buffer, (struct span){bytes.ptr + clean, bytes.len - clean});
}

static const char *escape_json(unsigned char c, char scratch[8]) {
    if (c == '"') return "\\\"";
    if (c == '\\') return "\\\\";
    if (c >= 0x20) return NULL;
    snprintf(scratch, 8, "\\u%04x", c);
    return scratch;
}

static const char *escape_tsv(unsigned char c, char scratch[8]) {
    (void)scratch;
    if (c == '\t') return "\\t";
    if (c == '\n') return "\\n";
    if (c == '\\') return "\\\\";
    return NULL;
}

void buffer_add_json_string(struct buffer *buffer, struct span bytes) {
    buffer_add(buffer, "\"", 1);
    add_escaped(buffer, bytes, escape_json);
    buffer_add(buffer, "\"", 1);
}

void buffer_add_tsv_cell(struct buffer *buffer, struct span bytes) {
    add_escaped(buffer, bytes, escape_tsv);
}

enum status buffer_check(const struct buffer *buffer, struct error *error) {
    return buffer->failed ? error_set(error, STATUS_IO, "out of memory for text to write")
                          : STATUS_OK;
}

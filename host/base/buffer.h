// SPDX-License-Identifier: Apache-2.0
//
// A growing run of bytes, used by one thread. A failed allocation is remembered, not returned:
// appends after it do nothing, and buffer_check reports it once, where the bytes are used.
#ifndef WADER_HOST_BASE_BUFFER_H
#define WADER_HOST_BASE_BUFFER_H

#include "host/base/base.h"

struct buffer {
    char *bytes;
    size_t len, cap;
    bool failed;
};

// A zeroed struct is an empty buffer.
void buffer_free(struct buffer *buffer);
static inline void buffer_clear(struct buffer *buffer) {
    buffer->len = 0;
}

// Room for `n` more bytes, to be written at the returned place and counted by adding to `len`. NULL
// when there is none.
char *buffer_reserve(struct buffer *buffer, size_t n);

void buffer_add(struct buffer *buffer, const char *bytes, size_t n);
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// A number from 0 to 1 as the format "%.6f" writes it, in a tenth of the time.
void buffer_add_fraction(struct buffer *buffer, float value);

// `bytes` as UTF-8: ill-formed parts become U+FFFD.
void buffer_add_utf8(struct buffer *buffer, struct span bytes);

// `bytes` as a JSON string with quotes, and as a TSV cell (\t, \n, \\ escaped); UTF-8 as above.
void buffer_add_json_string(struct buffer *buffer, struct span bytes);
void buffer_add_tsv_cell(struct buffer *buffer, struct span bytes);

// STATUS_IO when an allocation failed since the buffer was made: what it holds is not whole.
enum status buffer_check(const struct buffer *buffer, struct error *error);

#endif

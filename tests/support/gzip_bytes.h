// SPDX-License-Identifier: Apache-2.0
//
// gzip as zlib itself writes and reads it, for tests of what wader writes and reads. A step that
// fails ends the test program with a message.
#ifndef WADER_TESTS_SUPPORT_GZIP_BYTES_H
#define WADER_TESTS_SUPPORT_GZIP_BYTES_H

#include "host/base/buffer.h"

// Appends one gzip member of `n` bytes.
void gzip_add(struct buffer *out, const void *bytes, size_t n);

// Appends what a gzip file of any number of members holds. False when it is damaged or is followed
// by anything.
bool gzip_read(struct span packed, struct buffer *out);

// Appends a whole file.
void file_add(struct buffer *out, const char *path);

#endif

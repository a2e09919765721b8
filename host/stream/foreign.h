// SPDX-License-Identifier: Apache-2.0
//
// What a catalog is not: other packings and other encodings of text, told by their first bytes.
#ifndef WADER_HOST_STREAM_FOREIGN_H
#define WADER_HOST_STREAM_FOREIGN_H

#include "host/base/base.h"

enum { FOREIGN_NBYTES_MAX = 6 };  // no format needs more bytes to be told

// The name of the format that begins with these bytes, and in brackets what to do about it; NULL
// for none. gzip is not among them.
const char *foreign_format(const unsigned char *bytes, size_t n);

// Whether more bytes could make another answer of foreign_format's: these are less than a format's
// first bytes, and all of them its.
bool foreign_is_open(const unsigned char *bytes, size_t n);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648, with + and / and padding) of any bytes. Strict: one text for each run of bytes.
#ifndef WADER_HOST_BASE_BASE64_H
#define WADER_HOST_BASE_BASE64_H

#include "host/base/base.h"
#include "host/base/buffer.h"

void buffer_add_base64(struct buffer *buffer, struct span bytes);

// Decodes `text` into `out`, which must hold text.len / 4 * 3 bytes, and says how many there are.
// False for anything that buffer_add_base64 does not write.
bool base64_decode(struct span text, char *out, size_t *n);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "tests/support/gzip_bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { WINDOW_AND_GZIP = 15 + 16, STEP_NBYTES = 64 * 1024 };

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static unsigned char *room(struct buffer *out) {
    char *at = buffer_reserve(out, STEP_NBYTES);
    if (at == NULL) stop("no memory");
    return (unsigned char *)at;
}

void gzip_add(struct buffer *out, const void *bytes, size_t n) {
    z_stream stream = {0};
    if (deflateInit2(&stream, 9, Z_DEFLATED, WINDOW_AND_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        stop("zlib");
    }
    stream.next_in = (unsigned char *)(uintptr_t)bytes;
    stream.avail_in = (uInt)n;
    for (int result = Z_OK; result != Z_STREAM_END;) {
        stream.next_out = room(out);
        stream.avail_out = STEP_NBYTES;
        result = deflate(&stream, Z_FINISH);
        if (result == Z_STREAM_ERROR) stop("zlib");
        out->len += STEP_NBYTES - stream.avail_out;
    }
    deflateEnd(&stream);
}

bool gzip_read(struct span packed, struct buffer *out) {
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)packed.ptr,
                       .avail_in = (uInt)packed.len};
    if (inflateInit2(&stream, WINDOW_AND_GZIP) != Z_OK) stop("zlib");
    int result = Z_STREAM_END;
    bool some = false;
    while (stream.avail_in > 0 || result != Z_STREAM_END) {
        if (result == Z_STREAM_END && some) inflateReset(&stream);
        some = true;
        stream.next_out = room(out);
        stream.avail_out = STEP_NBYTES;
        result = inflate(&stream, Z_NO_FLUSH);
        out->len += STEP_NBYTES - stream.avail_out;
        if (result != Z_OK && result != Z_STREAM_END) break;
    }
    inflateEnd(&stream);
    return some && result == Z_STREAM_END && stream.avail_in == 0;
}

void file_add(struct buffer *out, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) stop(path);
    for (size_t n = 1; n > 0;) {
        n = fread(room(out), 1, STEP_NBYTES, file);
        out->len += n;
    }
    if (ferror(file)) stop(path);
    fclose(file);
}

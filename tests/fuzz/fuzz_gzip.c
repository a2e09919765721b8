// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an input: reading ends, in the same way whatever it is asked for at a time; and what
// is accepted holds just what zlib, called plainly and strictly, finds in it.
#define _GNU_SOURCE  // memfd_create
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "host/base/buffer.h"
#include "host/stream/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INFLATE_NBYTES = 64 * 1024 };

// Members one after the other, then zeros to the end. False for anything else.
static bool reference(const uint8_t *data, size_t size, struct buffer *out) {
    size_t at = 0;
    while (at < size && (at == 0 || data[at] != 0)) {
        z_stream stream = {.next_in = (uint8_t *)(uintptr_t)(data + at),
                           .avail_in = (uInt)(size - at)};
        if (inflateInit2(&stream, 31) != Z_OK) abort();
        int result = Z_OK;
        while (result == Z_OK) {
            stream.next_out = (unsigned char *)buffer_reserve(out, INFLATE_NBYTES);
            stream.avail_out = INFLATE_NBYTES;
            result = inflate(&stream, Z_NO_FLUSH);
            out->len += INFLATE_NBYTES - stream.avail_out;
        }
        inflateEnd(&stream);
        if (result != Z_STREAM_END) return false;
        at = size - stream.avail_in;
    }
    while (at < size && data[at] == 0) at++;
    return at == size;
}

static bool starts_with(const uint8_t *data, size_t size, const char *magic, size_t n) {
    return size >= n && memcmp(data, magic, n) == 0;
}

// Whether bytes that are no gzip are to be taken as they are.
static bool is_plain(const uint8_t *data, size_t size) {
    return !starts_with(data, size, "\x28\xb5\x2f\xfd", 4) &&
           !starts_with(data, size, "\xfd\x37zXZ\0", 6) && !starts_with(data, size, "BZh", 3) &&
           !starts_with(data, size, "PK\3\4", 4) && !starts_with(data, size, "\xff\xfe", 2) &&
           !starts_with(data, size, "\xfe\xff", 2);
}

static enum status read_file(const char *path, size_t cap, size_t size, struct buffer *out,
                             struct error *error) {
    struct input *input;
    enum status status = input_open(path, &input, error);
    assert(status == STATUS_OK);
    assert(input_total_nbytes(input) == size);
    for (size_t n = 1; status == STATUS_OK && n > 0;) {
        status = input_read(input, buffer_reserve(out, cap), cap, &n, error);
        assert(n <= cap && (status == STATUS_OK || n == 0 || status == STATUS_INPUT));
        if (status == STATUS_OK) out->len += n;
        assert(input_consumed_nbytes(input) <= size);
    }
    assert(status != STATUS_OK || input_consumed_nbytes(input) == size);
    assert(status != STATUS_OK || strlen(input_sha256(input)) == SHA256_HEX_LEN);
    input_close(input);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer want = {0};
    bool accepted;
    if (size >= 1 && data[0] == 0x1f && (size == 1 || data[1] == 0x8b)) {
        accepted = reference(data, size, &want);
    } else {
        accepted = is_plain(data, size);
        if (size > 0) buffer_add(&want, (const char *)data, size);
    }
    int fd = memfd_create("input", MFD_CLOEXEC);
    char path[64];
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const size_t caps[] = {1 + size % 97, INFLATE_NBYTES};
    for (size_t i = 0; i < 2; i++) {
        struct buffer got = {0};
        struct error error = {""};
        enum status status = read_file(path, caps[i], size, &got, &error);
        assert(status == (accepted ? STATUS_OK : STATUS_INPUT));
        assert((error.text[0] != '\0') == !accepted);
        if (accepted) {
            assert(got.len == want.len);
            assert(got.len == 0 || memcmp(got.bytes, want.bytes, got.len) == 0);
        }
        buffer_free(&got);
    }
    close(fd);
    buffer_free(&want);
    return 0;
}

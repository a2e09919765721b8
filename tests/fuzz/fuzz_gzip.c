// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as an input: reading ends, in the same way whatever it is asked for at a time; and what
// is accepted, strictly or with other bytes behind it, holds just what zlib, called plainly, finds
// in it. What can be salvaged of a damaged file is a beginning of that.
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
#include "host/stream/input_point.h"
#include "host/stream/salvage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INFLATE_NBYTES = 64 * 1024 };

static bool begins_member(const uint8_t *data, size_t size, size_t at) {
    return at + 1 < size && data[at] == 0x1f && data[at + 1] == 0x8b;
}

// Members one after the other, then zeros to the end, or with `lenient` anything that begins no
// member. False for anything else. `*checked`: the bytes of whole members.
static bool reference(const uint8_t *data, size_t size, bool lenient, struct buffer *out,
                      size_t *checked) {
    size_t at = 0;
    *checked = 0;
    while (at < size && (at == 0 || (lenient ? begins_member(data, size, at) : data[at] != 0))) {
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
        *checked = out->len;
        at = size - stream.avail_in;
    }
    while (at < size && data[at] == 0) at++;
    return lenient || at == size;
}

static uint64_t count_lines(const struct buffer *bytes, size_t n) {
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++) lines += bytes->bytes[i] == '\n';
    return lines;
}

static void check_salvage(const char *path, const struct buffer *want, size_t checked,
                          bool damaged) {
    struct salvage salvage;
    const enum status status = salvage_survey(path, TRAILING_ERROR, NULL, &salvage, NULL);
    assert(salvage.damaged == damaged);
    assert(status == (damaged && salvage.records == 0 ? STATUS_INPUT : STATUS_OK));
    if (!damaged) return;
    assert(salvage.plain_nbytes <= want->len);
    assert((salvage.plain_nbytes == 0) == (salvage.records == 0));
    assert(salvage.records == 0 || want->bytes[salvage.plain_nbytes - 1] == '\n');
    assert(salvage.records == count_lines(want, (size_t)salvage.plain_nbytes));
    assert(salvage.records - salvage.unchecked == count_lines(want, checked));
}

static bool starts_with(const uint8_t *data, size_t size, const char *magic, size_t n) {
    return size >= n && memcmp(data, magic, n) == 0;
}

// Whether bytes that are no gzip are to be taken as they are.
static bool is_plain(const uint8_t *data, size_t size) {
    static const struct span magics[] = {
        {"\x28\xb5\x2f\xfd", 4}, {"\xfd\x37zXZ\0", 6},      {"BZh", 3},
        {"PK\3\4", 4},           {"7z\xbc\xaf\x27\x1c", 6}, {"PAR1", 4},
        {"\4\x22\x4d\x18", 4},   {"\x1f\x9d", 2},           {"\xff\xfe", 2},
        {"\xfe\xff", 2},         {"\0\0\xfe\xff", 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        if (starts_with(data, size, magics[i].ptr, magics[i].len)) return false;
    }
    return true;
}

// `points`: the input is also to note where it could be gone on with.
static enum status read_file(const char *path, enum trailing trailing, bool points, size_t cap,
                             size_t size, struct buffer *out, struct error *error) {
    struct input *input;
    enum status status = input_open(path, &input, error);
    assert(status == STATUS_OK);
    if (points) status = input_keep_points(input, error);
    assert(status == STATUS_OK);
    assert(input_total_nbytes(input) == size);
    input_set_rules(input, (struct input_rules){.trailing = trailing});
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

static void check_read(const char *path, size_t size, const struct buffer *want, bool accepted,
                       enum trailing trailing) {
    const size_t caps[] = {1 + size % 97, INFLATE_NBYTES};
    for (size_t i = 0; i < 2; i++) {
        struct buffer got = {0};
        struct error error = {""};
        enum status status = read_file(path, trailing, i == 0, caps[i], size, &got, &error);
        assert(status == (accepted ? STATUS_OK : STATUS_INPUT));
        assert((error.text[0] != '\0') == !accepted);
        assert(!accepted || got.len == want->len);
        assert(got.len <= want->len);
        assert(got.len == 0 || memcmp(got.bytes, want->bytes, got.len) == 0);
        buffer_free(&got);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const bool gzip = size >= 1 && data[0] == 0x1f && (size == 1 || data[1] == 0x8b);
    int fd = memfd_create("input", MFD_CLOEXEC);
    char path[64];
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int trailing = TRAILING_ERROR; trailing <= TRAILING_WARN; trailing++) {
        struct buffer want = {0};
        size_t checked = 0;
        bool accepted = is_plain(data, size);
        if (gzip) {
            accepted = reference(data, size, trailing != TRAILING_ERROR, &want, &checked);
        } else if (size > 0) {
            buffer_add(&want, (const char *)data, size);
        }
        check_read(path, size, &want, accepted, (enum trailing)trailing);
        if (gzip && trailing == TRAILING_ERROR) check_salvage(path, &want, checked, !accepted);
        buffer_free(&want);
    }
    close(fd);
    return 0;
}

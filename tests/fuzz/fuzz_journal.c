// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a journal, with the right hash behind them: what is accepted is written again byte
// for byte; and an input that is resumed where it says ends in good order or in an error.
#define _GNU_SOURCE  // memfd_create
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/job/journal.h"
#include "tests/support/gzip_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A catalog to resume: a gzip of some lines, made once. Returns the path.
static const char *catalog(void) {
    static char path[64];
    if (path[0] != '\0') return path;
    struct buffer plain = {0}, raw = {0};
    for (int i = 0; i < 3000; i++) buffer_add_format(&plain, "%d title %x\n", i, i * i);
    gzip_add(&raw, plain.bytes, plain.len);
    const int fd = memfd_create("catalog", MFD_CLOEXEC);
    if (fd < 0 || write(fd, raw.bytes, raw.len) != (ssize_t)raw.len) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    buffer_free(&plain);
    buffer_free(&raw);
    return path;
}

static void resume(const struct input_point *point) {
    static char bytes[1 << 16];
    struct input *input;
    struct error error;
    if (input_open(catalog(), &input, &error) != STATUS_OK) abort();
    if (input_keep_points(input, &error) != STATUS_OK) abort();
    enum status status = input_resume(input, point, &error);
    for (size_t n = 1; status == STATUS_OK && n > 0;) {
        status = input_read(input, bytes, sizeof bytes, &n, &error);
    }
    assert(status == STATUS_OK || status == STATUS_INPUT);
    input_close(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct journal journal;
    struct buffer bytes = {0}, again = {0};
    char sha256[SHA256_HEX_LEN + 1];
    if (size > 0) buffer_add(&bytes, (const char *)data, size);
    if (journal_parse((struct span){bytes.bytes, bytes.len}, &journal)) abort();  // no hash
    if (sha256_of(data, size, sha256, NULL) != STATUS_OK) abort();
    buffer_add(&bytes, sha256, SHA256_HEX_LEN);
    if (journal_parse((struct span){bytes.bytes, bytes.len}, &journal)) {
        if (journal_format(&journal, &again, NULL) != STATUS_OK) abort();
        assert(again.len == bytes.len && memcmp(again.bytes, bytes.bytes, again.len) == 0);
        resume(&journal.at.input);
    }
    buffer_free(&bytes);
    buffer_free(&again);
    return 0;
}

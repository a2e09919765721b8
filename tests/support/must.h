// SPDX-License-Identifier: Apache-2.0
//
// For steps of a test that are not what it tests: one that fails ends the program with the message.
#ifndef WADER_TESTS_SUPPORT_MUST_H
#define WADER_TESTS_SUPPORT_MUST_H

#include <stdio.h>
#include <stdlib.h>

#include "host/base/base.h"

static inline void must(enum status status, const struct error *error) {
    if (status == STATUS_OK) return;
    fprintf(stderr, "%s\n", error->text);
    exit(1);
}

// n elements of `size` bytes, all zero; free() releases them.
static inline void *must_zeroed(size_t n, size_t size) {
    void *memory;
    struct error error;
    must(alloc_zeroed(&memory, n, size, "test values", &error), &error);
    return memory;
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a manifest: its paths are parts of it, in order, of a length that a path may have,
// with nothing in them that ends an entry.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/job/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size > 0 ? size : 1);
    if (text == NULL) abort();
    if (size > 0) memcpy(text, data, size);
    struct manifest_walk walk = manifest_walk((struct span){text, size}, "fuzz");
    struct error error = {.text = ""};
    enum status status = STATUS_OK;
    const char *at = text;
    size_t number = 0;
    for (bool more = true; more;) {
        status = manifest_next(&walk, &more, &error);
        if (status != STATUS_OK || !more) break;
        assert(walk.path.ptr >= at && walk.path.ptr + walk.path.len <= text + size);
        assert(walk.path.len > 0 && walk.path.len < PATH_NBYTES_MAX && walk.number > number);
        assert(memchr(walk.path.ptr, walk.is_nul ? '\0' : '\n', walk.path.len) == NULL);
        assert(walk.is_nul || walk.path.ptr[0] != '#');
        at = walk.path.ptr + walk.path.len;
        number = walk.number;
    }
    assert(status == STATUS_OK || (status == STATUS_INPUT && error.text[0] != '\0'));
    free(text);
    return 0;
}

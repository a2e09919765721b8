// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the path of a dataset: what comes out is the name of a weight, or nothing.
#include <assert.h>
#include <string.h>

#include "weights/keras_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct span path = {(const char *)data, size};
    struct keras_name name;
    if (!keras_name(path, &name)) return 0;
    const struct span text = {name.text, strnlen(name.text, sizeof name.text)};
    assert(text.len < sizeof name.text && text.len <= size + 1);
    const bool weight = span_ends_in(text, ".weight");
    assert(weight || (span_ends_in(text, ".bias") && !name.kernel));
    static const char *const parts[] = {"bert.", "distilbert.", "classifier.", "pre_classifier."};
    size_t n_parts = 0;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        n_parts += strncmp(name.text, parts[i], strlen(parts[i])) == 0;
    }
    assert(n_parts == 1 && memchr(name.text, '/', text.len) == NULL);
    return 0;
}

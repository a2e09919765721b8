// SPDX-License-Identifier: Apache-2.0
#include "weights/hdf5_transpose.h"

#include <assert.h>
#include <string.h>

// Square blocks whose rows, on both sides, are whole cache lines and few enough for the first
// cache: each line is fetched once.
enum { BLOCK = 32 };

static size_t block_end(size_t begin, size_t n) {
    return n - begin < BLOCK ? n : begin + BLOCK;
}

// `size` is a constant where this is inlined, so that each copy is a load and a store.
static inline void transpose(const char *in, size_t rows, size_t columns, size_t size, char *out) {
    for (size_t r0 = 0; r0 < rows; r0 = block_end(r0, rows)) {
        for (size_t c0 = 0; c0 < columns; c0 = block_end(c0, columns)) {
            for (size_t c = c0; c < block_end(c0, columns); c++) {
                for (size_t r = r0; r < block_end(r0, rows); r++) {
                    memcpy(out + (c * rows + r) * size, in + (r * columns + c) * size, size);
                }
            }
        }
    }
}

void hdf5_transpose(const char *in, size_t rows, size_t columns, size_t element_nbytes, char *out) {
    assert(element_nbytes == 2 || element_nbytes == 4);
    if (element_nbytes == 2) {
        transpose(in, rows, columns, 2, out);
    } else {
        transpose(in, rows, columns, 4, out);
    }
}

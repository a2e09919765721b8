// SPDX-License-Identifier: Apache-2.0
//
// Files as torch saves them, put together by hand, for tests that spoil them. Everything is of a
// fixed size; what does not fit ends the test program.
#ifndef WADER_TESTS_SUPPORT_TORCH_BYTES_H
#define WADER_TESTS_SUPPORT_TORCH_BYTES_H

#include "host/base/base.h"

enum { TORCH_BYTES_MAX = 16384, TORCH_ENTRIES_MAX = 12 };

struct torch_bytes {
    char bytes[TORCH_BYTES_MAX];
    size_t n;
};

void torch_put(struct torch_bytes *out, const void *bytes, size_t n);
void torch_put_number(struct torch_bytes *out, uint64_t number, size_t nbytes);  // little-endian
void torch_put_text(struct torch_bytes *out, const char *text);                  // without its NUL

// Opcodes of a pickle.
void pickle_put_text(struct torch_bytes *out, const char *text);    // BINUNICODE
void pickle_put_int(struct torch_bytes *out, int64_t number);       // LONG1 of 8 bytes
void pickle_put_global(struct torch_bytes *out, const char *name);  // "module\nname"

// A zip archive: its entries, then torch_zip_put_end, in one of these ways.
enum torch_zip_end { TORCH_ZIP_PLAIN, TORCH_ZIP_64, TORCH_ZIP_64_ENTRIES /* their sizes too */ };
struct torch_zip_bytes {
    struct torch_bytes file;
    size_t n_entries;
    struct {
        const char *name;
        size_t local, begin, nbytes, central;  // places in the file
        uint32_t crc;
    } entries[TORCH_ENTRIES_MAX];
    size_t end;  // of the end record
};
void torch_zip_put(struct torch_zip_bytes *zip, const char *name, const void *bytes, size_t n);
void torch_zip_put_end(struct torch_zip_bytes *zip, enum torch_zip_end kind);

// Writes `nbytes` of `number` over what is at `at`.
void torch_patch(struct torch_bytes *out, size_t at, uint64_t number, size_t nbytes);

#endif

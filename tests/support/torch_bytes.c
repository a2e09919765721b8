// SPDX-License-Identifier: Apache-2.0
#include "tests/support/torch_bytes.h"

#include <assert.h>
#include <string.h>
#include <zlib.h>

void torch_put(struct torch_bytes *out, const void *bytes, size_t n) {
    assert(n <= sizeof out->bytes - out->n);
    if (n > 0) memcpy(out->bytes + out->n, bytes, n);
    out->n += n;
}

void torch_patch(struct torch_bytes *out, size_t at, uint64_t number, size_t nbytes) {
    assert(at + nbytes <= out->n);
    for (size_t i = 0; i < nbytes; i++) out->bytes[at + i] = (char)(number >> 8 * i & 0xff);
}

void torch_put_number(struct torch_bytes *out, uint64_t number, size_t nbytes) {
    for (; nbytes > 0; nbytes--, number >>= 8) {
        const char byte = (char)(number & 0xff);
        torch_put(out, &byte, 1);
    }
}

void torch_put_text(struct torch_bytes *out, const char *text) {
    torch_put(out, text, strlen(text));
}

void pickle_put_text(struct torch_bytes *out, const char *text) {
    torch_put(out, "X", 1);
    torch_put_number(out, strlen(text), 4);
    torch_put_text(out, text);
}

void pickle_put_int(struct torch_bytes *out, int64_t number) {
    torch_put(out, "\x8a\x08", 2);
    torch_put(out, &number, 8);
}

void pickle_put_global(struct torch_bytes *out, const char *name) {
    torch_put_text(out, "c");
    torch_put_text(out, name);
    torch_put_text(out, "\n");
}

void torch_zip_put(struct torch_zip_bytes *zip, const char *name, const void *bytes, size_t n) {
    struct torch_bytes *out = &zip->file;
    assert(zip->n_entries < TORCH_ENTRIES_MAX);
    const uint32_t crc = (uint32_t)crc32_z(0, bytes, n);
    const size_t i = zip->n_entries++;
    zip->entries[i].name = name;
    zip->entries[i].local = out->n;
    zip->entries[i].nbytes = n;
    zip->entries[i].crc = crc;
    torch_put(out, "PK\3\4\0\0\0\x08\0\0\0\0\0\0", 14);
    torch_put_number(out, 0, 12);
    torch_put_number(out, strlen(name), 2);
    torch_put_number(out, 5, 2);  // an extra field, as torch pads with
    torch_put_text(out, name);
    torch_put(out, "FB\1\0Z", 5);
    zip->entries[i].begin = out->n;
    torch_put(out, bytes, n);
}

static void put_central(struct torch_zip_bytes *zip, size_t i, bool zip64) {
    struct torch_bytes *out = &zip->file;
    const size_t nbytes = zip->entries[i].nbytes, local = zip->entries[i].local;
    zip->entries[i].central = out->n;
    torch_put(out, "PK\1\2\0\0\0\0\0\x08\0\0\0\0\0\0", 16);
    torch_put_number(out, zip->entries[i].crc, 4);
    torch_put_number(out, zip64 ? UINT32_MAX : nbytes, 4);
    torch_put_number(out, zip64 ? UINT32_MAX : nbytes, 4);
    torch_put_number(out, strlen(zip->entries[i].name), 2);
    torch_put_number(out, zip64 ? 4 + 1 + 4 + 24 : 0, 2);
    torch_put_number(out, 0, 10);
    torch_put_number(out, zip64 ? UINT32_MAX : local, 4);
    torch_put_text(out, zip->entries[i].name);
    if (!zip64) return;
    torch_put(out, "FB\1\0Z\1\0\x18\0", 9);
    torch_put_number(out, nbytes, 8);
    torch_put_number(out, nbytes, 8);
    torch_put_number(out, local, 8);
}

void torch_zip_put_end(struct torch_zip_bytes *zip, enum torch_zip_end kind) {
    struct torch_bytes *out = &zip->file;
    const size_t directory = out->n, n = zip->n_entries;
    for (size_t i = 0; i < n; i++) put_central(zip, i, kind == TORCH_ZIP_64_ENTRIES);
    const size_t end = out->n;
    const bool zip64 = kind != TORCH_ZIP_PLAIN;
    if (zip64) {
        torch_put(out, "PK\6\6\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
        torch_put_number(out, n, 8);
        torch_put_number(out, n, 8);
        torch_put_number(out, end - directory, 8);
        torch_put_number(out, directory, 8);
        torch_put(out, "PK\6\7\0\0\0\0", 8);
        torch_put_number(out, end, 8);
        torch_put_number(out, 1, 4);
    }
    zip->end = out->n;
    torch_put(out, "PK\5\6\0\0\0\0", 8);
    torch_put_number(out, n, 2);
    torch_put_number(out, n, 2);
    torch_put_number(out, zip64 ? UINT32_MAX : end - directory, 4);
    torch_put_number(out, zip64 ? UINT32_MAX : directory, 4);
    torch_put_number(out, 0, 2);
}

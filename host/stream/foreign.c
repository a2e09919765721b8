// SPDX-License-Identifier: Apache-2.0
#include "host/stream/foreign.h"

#include <string.h>

struct format {
    const char *name;
    size_t len;
    unsigned char magic[FOREIGN_NBYTES_MAX];
};

// UTF-32's little-endian mark begins with UTF-16's, so it stands before it.
static const struct format formats[] = {
    {"zstd (decompress it with `zstd -dc`)", 4, {0x28, 0xb5, 0x2f, 0xfd}},
    {"xz (decompress it with `xz -dc`)", 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
    {"bzip2 (decompress it with `bzip2 -dc`)", 3, {'B', 'Z', 'h'}},
    {"a zip archive (unpack it with `unzip -p`)", 4, {'P', 'K', 3, 4}},
    {"a 7z archive (unpack it with `7z x -so`)", 6, {'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}},
    {"Parquet (convert it to JSONL first)", 4, {'P', 'A', 'R', '1'}},
    {"lz4 (decompress it with `lz4 -dc`)", 4, {4, 0x22, 0x4d, 0x18}},
    {"compress's .Z (decompress it with `gzip -dc`)", 2, {0x1f, 0x9d}},
    {"UTF-32 text (convert it with `iconv -f UTF-32 -t UTF-8`)", 4, {0xff, 0xfe, 0, 0}},
    {"UTF-32 text (convert it with `iconv -f UTF-32 -t UTF-8`)", 4, {0, 0, 0xfe, 0xff}},
    {"UTF-16 text (convert it with `iconv -f UTF-16 -t UTF-8`)", 2, {0xff, 0xfe}},
    {"UTF-16 text (convert it with `iconv -f UTF-16 -t UTF-8`)", 2, {0xfe, 0xff}},
};

const char *foreign_format(const unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (n >= formats[i].len && memcmp(bytes, formats[i].magic, formats[i].len) == 0) {
            return formats[i].name;
        }
    }
    return NULL;
}

bool foreign_is_open(const unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (n < formats[i].len && (n == 0 || memcmp(bytes, formats[i].magic, n) == 0)) return true;
    }
    return false;
}

// SPDX-License-Identifier: Apache-2.0
//
// The zip archives that torch writes since 1.6: entries stored as they are, in one folder of any
// name. Read by the central directory (APPNOTE.TXT 6.3.9 of PKWARE), with ZIP64; what torch never
// writes is refused: comments, encryption, compression, entries that overlap or share a name.
#ifndef WADER_WEIGHTS_TORCH_ZIP_H
#define WADER_WEIGHTS_TORCH_ZIP_H

#include "host/base/base.h"

struct torch_zip_entry {
    struct span name;   // without the folder
    size_t header;      // where in the file its local header begins
    struct span bytes;  // in the file
    uint32_t crc;
};

struct torch_zip {
    struct torch_zip_entry *entries;  // [n_entries] those of the folder, in order of name
    size_t n_entries;
};

bool torch_zip_is(struct span file);  // by its first bytes

// Reads the directory of `file`, which must outlive `*zip`; memory is taken in proportion to the
// directory. STATUS_MODEL where it is damaged, or has no folder with a data.pkl; `path` is for the
// message. torch_zip_close releases the entries.
enum status torch_zip_open(struct span file, const char *path, struct torch_zip *zip,
                           struct error *error);
void torch_zip_close(struct torch_zip *zip);

// The entry named `prefix` and `name` one after the other; NULL where there is none.
const struct torch_zip_entry *torch_zip_find(const struct torch_zip *zip, const char *prefix,
                                             struct span name);

// Reads all of the entry. STATUS_MODEL where its checksum is another. torch leaves the checksum
// out, as 0, after set_crc32_options(False): then there is nothing to check.
enum status torch_zip_check(const struct torch_zip_entry *entry, const char *path,
                            struct error *error);

#endif

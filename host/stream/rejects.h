// SPDX-License-Identifier: Apache-2.0
//
// A rejects file: JSON lines, each of them a bad record, whole enough to be read again.
//   {"file":"a.jsonl.gz","format":"jsonl","record":201,"byte":8712,"status":"bad_json",
//    "reason":"...","nbytes":12,"raw":"<base64>"}
// `record` and `byte` are its number and its place in the plain input, `raw` its line without the
// end of line. Of a line that was too long `raw` is the beginning and `nbytes` the true length.
#ifndef WADER_HOST_STREAM_REJECTS_H
#define WADER_HOST_STREAM_REJECTS_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/base/json.h"
#include "host/stream/record.h"

// Appends the line of a bad record. `file` is what it came from, where record->file does not say
// so; `reason` is for people.
void reject_add(struct buffer *buffer, const struct record *record, enum record_kind format,
                const char *file, const char *reason);

// What a line says. Spans are of the line.
struct reject {
    struct json_value file;
    enum record_kind format;
    uint64_t number, offset, nbytes;
    struct span raw;  // in base64, checked by whoever decodes it
};

// Room that a line may take beside its `raw`: a file name with every byte escaped, and the rest.
enum { REJECT_FILE_NBYTES_MAX = 2048, REJECT_LINE_ROOM = 8 * 1024 };

// NULL, or what is wrong with the line, in words.
const char *reject_parse(struct span line, struct reject *reject);

// "text", "tsv", "jsonl".
const char *record_kind_name(enum record_kind kind);

#endif

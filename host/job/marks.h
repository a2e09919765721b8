// SPDX-License-Identifier: Apache-2.0
//
// What a commit record tells beside the rows, where there is something to tell: rejects, duplicate
// ids, an input that was not whole. And the rejects file, which stands beside the output.
//   "rejects": {"name": ..., "rows": 3, "file_nbytes": ..., "nbytes": ..., "sha256": ...}
//   "duplicate_ids": 12, "duplicate_ids_exact": false        false: at least so many
//   "salvaged": {"compressed_byte": ..., "records": ..., "unchecked_records": ..., "reason": ...}
//   "trailing": {"compressed_byte": ...}
#ifndef WADER_HOST_JOB_MARKS_H
#define WADER_HOST_JOB_MARKS_H

#include "host/base/base.h"
#include "host/base/buffer.h"
#include "host/base/json.h"
#include "host/stream/id_set.h"
#include "host/stream/input.h"
#include "host/stream/output.h"
#include "host/stream/salvage.h"

struct marks {
    struct output *rejects;  // all written; NULL: there are none
    uint64_t n_rejects;
    const struct id_set *ids;       // NULL: not counted
    const struct salvage *salvage;  // NULL, or an undamaged input's: nothing to tell
    struct input_trailing trailing;
};

// Whole members of a record's object, each with a comma behind it. What is told of the rejects is
// valid once they are complete.
void marks_add(struct buffer *buffer, const char *output, const struct marks *marks);

// What the record of `output` has of them.
struct marks_found {
    bool salvaged, trailing, duplicates_counted;
    bool has_rejects;  // and the file is there, of the size told
};
void marks_read(struct json_value record, const char *output, struct marks_found *found);

// OUT.rejects.jsonl.gz, from malloc; NULL where there is no memory.
#define REJECTS_SUFFIX ".rejects.jsonl.gz"
char *rejects_path(const char *output);

// Gives the rejects file its name; where there are none, one that an earlier run left goes. The
// directory is synced in the first case only. STATUS_IO.
enum status rejects_place(const char *output, struct output *rejects, struct error *error);

#endif

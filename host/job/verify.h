// SPDX-License-Identifier: Apache-2.0
//
// Is an output what its commit record says? The gzip is whole, its rows are as many and their bytes
// have the SHA-256 that was written down; where the input is there, it is the one that was read;
// and the id of each row is that of the record in the same place, which nothing but rows of this
// input, in order, can have. A rejects file that the record tells of is looked at in the same way,
// of kept scores beside it the ends (score_file_check).
#ifndef WADER_HOST_JOB_VERIFY_H
#define WADER_HOST_JOB_VERIFY_H

#include <stdatomic.h>

#include "host/job/commit_record.h"
#include "host/job/label_tally.h"

enum verdict {
    VERDICT_GOOD,
    VERDICT_MISSING,     // no output, or no record
    VERDICT_PARTIAL,     // less than the record tells
    VERDICT_DIFFERS,     // something else than the record tells
    VERDICT_UNREADABLE,  // nobody can say: the system did not let us look
    VERDICTS,
};

// "good", "missing", ...
const char *verdict_name(enum verdict verdict);

struct verify_item {
    const char *output, *input;  // paths; no input: NULL
    enum verdict verdict;
    enum status unreadable;  // why, of VERDICT_UNREADABLE: STATUS_INPUT or STATUS_IO
    char what[400];          // what is wrong, without the output's name
    bool has_record;         // `record` is one
    struct commit_record record;
};

// What is looked at.
struct verify_request {
    bool quick;                 // records and sizes only
    bool ids;                   // of outputs with an input
    struct label_tally *tally;  // filled where not NULL; not with `quick`
    bool (*stop)(void);         // asked now and then, unless NULL
    _Atomic uint64_t *nbytes;   // compressed bytes of outputs read so far, unless NULL
};

// Any number of threads may verify different items at a time, each with a tally of its own.
// STATUS_AGAIN when `stop` said so, STATUS_IO without memory; all else is a verdict.
// verify_item_free releases what the item got.
enum status verify_output(const struct verify_request *request, struct verify_item *item,
                          struct error *error);
void verify_item_free(struct verify_item *item);

#endif

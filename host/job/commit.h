// SPDX-License-Identifier: Apache-2.0
//
// When is an output done? When its commit record, OUT.meta.json, stands beside it. The record says
// which input, model and settings gave these rows, so the same command again has nothing to do, and
// another one knows that it replaces something.
//
// The order of a commit: output and record are both written and synced under names of their own;
// the lock file, which stands beside the output while an attempt works, gets a mark; the old record
// goes, the output takes its name, its rejects file and its kept scores, if there are any, take
// theirs, and at last the record takes its name. Whatever happens before the mark
// leaves what was there as it was. A marked lock file whose run is dead tells the next attempt that
// an output without a record is no stranger's file.
#ifndef WADER_HOST_JOB_COMMIT_H
#define WADER_HOST_JOB_COMMIT_H

#include "host/base/base.h"
#include "host/base/sha256.h"
#include "host/job/commit_lock.h"
#include "host/job/kept_scores.h"
#include "host/job/marks.h"
#include "host/stream/pipeline.h"

// What decides an output's bytes, besides the input.
struct provenance {
    char model_sha256[SHA256_HEX_LEN + 1];  // over config, weights and label names
    char tokenizer_sha256[SHA256_HEX_LEN + 1];
    const char *weights_name;
    const char *settings;  // a JSON object of the flags that change rows, in a fixed order
};

// What the names beside an output's may add to its own: a dot in front, the longest suffix, and
// what makes the name of an unfinished file unique.
enum { COMMIT_NAME_ROOM = 1 + (sizeof REJECTS_SUFFIX - 1) + 32 };

enum commit_state {
    COMMIT_ABSENT,   // no output, or one that an interrupted attempt left
    COMMIT_DONE,     // this very output is there, with its record
    COMMIT_OTHER,    // an output of another input, model or other settings
    COMMIT_STRANGE,  // a file that wader has no record of
};

struct commit_found {
    enum commit_state state;
    uint64_t rows, bad;  // of COMMIT_DONE, as its record tells
    struct marks_found marks;
};

// Looks at what stands at `output`. An input that has changed its time but not its size is read
// once, to compare its hash; `stop`, unless NULL, is asked meanwhile (STATUS_AGAIN).
enum status commit_look(const char *output, const char *input, const struct provenance *provenance,
                        const struct commit_lock *lock, bool (*stop)(void),
                        struct commit_found *found, struct error *error);

struct commit_facts {
    const char *output_path, *input_path;
    struct output *output;      // all rows written, nothing committed
    const struct input *input;  // read to its end
    const struct totals *totals;
    struct marks marks;
    uint64_t n_before;              // of its rows, written by attempts that did not finish
    double seconds;                 // that the run took
    struct score_log *scores;       // of each row, nothing of it finished; NULL: none are kept
    struct score_identity made_by;  // what made them
    bool has_previous;              // whether totals->reuse tells of a previous run
    const char *hardware;           // that it ran on, "2 x NVIDIA H200"; NULL or "" is not told
    bool was_absent;                // no output was there at the start, and none is to be replaced
};

// Gives the output its name and its record, in the order told at the top. `lock` is the one taken
// on the output. STATUS_USAGE when a file without a record came to the output's name since
// `was_absent` was told; it stays. STATUS_IO also where the figures do not prove that every record
// has its row, and every bad one its place in the rejects file. After STATUS_IO there is either
// what was there before, or nothing that looks done.
enum status commit_publish(const struct commit_facts *facts, const struct provenance *provenance,
                           struct commit_lock *lock, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// When is an output done? When its commit record, OUT.meta.json, stands beside it. The record says
// which input, model and settings gave these rows, so the same command again has nothing to do, and
// another one knows that it replaces something.
//
// The order of a commit: the output under its name, then its record, each whole or not at all.
// While an attempt works, a lock file stands beside the output; one that is left over, its run
// dead, tells the next attempt that an output without a record is no stranger's file.
#ifndef WADER_HOST_JOB_COMMIT_H
#define WADER_HOST_JOB_COMMIT_H

#include "host/base/base.h"
#include "host/base/sha256.h"
#include "host/stream/pipeline.h"

// What decides an output's bytes, besides the input.
struct provenance {
    char model_sha256[SHA256_HEX_LEN + 1];  // over config, weights and label names
    char tokenizer_sha256[SHA256_HEX_LEN + 1];
    const char *weights_name;
    const char *settings;  // a JSON object of the flags that change rows, in a fixed order
};

struct commit_lock {
    char *path;
    int fd;
    bool was_left;  // it was there already: an earlier attempt ended without its clean-up
};

// STATUS_LOCKED when another run works on `output`, STATUS_IO when its directory takes no file. The
// lock also sweeps away what a dead attempt left. A zeroed lock is none, and may be released.
enum status commit_lock_take(const char *output, struct commit_lock *lock, struct error *error);
void commit_lock_release(struct commit_lock *lock);

enum commit_state {
    COMMIT_ABSENT,   // no output, or one that an interrupted attempt left
    COMMIT_DONE,     // this very output is there, with its record
    COMMIT_OTHER,    // an output of another input, model or other settings
    COMMIT_STRANGE,  // a file that wader has no record of
};

// Looks at what stands at `output`. An input that has changed its time but not its size is read
// once, to compare its hash; `stop`, unless NULL, is asked meanwhile (STATUS_AGAIN).
enum status commit_look(const char *output, const char *input, const struct provenance *provenance,
                        const struct commit_lock *lock, bool (*stop)(void),
                        enum commit_state *state, struct error *error);

// Takes an old record away, before its output is replaced: durable at the latest when the new
// output is, for they share a directory.
enum status commit_forget(const char *output, struct error *error);

struct commit_facts {
    const char *output_path, *input_path;
    const struct output *output;
    const struct input *input;
    const struct totals *totals;
    double seconds;  // that the run took
};

// Writes the record of an output that was committed. The output is not done without it: STATUS_IO
// leaves no record, and what to do about the output is the caller's.
enum status commit_record(const struct commit_facts *facts, const struct provenance *provenance,
                          struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// How far an unfinished output has come, on the disk: what a run that was stopped or killed leaves
// for the same command to go on from.
//
// The journal stands beside the output, hidden, as its lock does (.OUT.journal), in about 33 KiB
// and what the unfinished segments of rows, rejects and kept scores hold: at most 1.6 MiB. It is
// replaced in one rename, after the unfinished outputs that it names were synced up to where it
// says, so whenever the machine stops there is none, an older or a newer one, and each speaks of
// bytes that are there. It holds what decides an output's bytes: one that does not fit in every
// respect, or was damaged, is as good as none. A commit removes it, and so does a failure.
#ifndef WADER_HOST_JOB_JOURNAL_H
#define WADER_HOST_JOB_JOURNAL_H

#include "host/base/buffer.h"
#include "host/stream/checkpoint.h"

// Behind the output's name and the dot in front of it.
#define JOURNAL_SUFFIX ".journal"

enum {
    JOURNAL_NAME_NBYTES = 256,  // of a file in a directory, NUL included
    JOURNAL_NBYTES_MAX = 2 << 20,
};

// What decides the bytes: of each a SHA-256 over all that belongs to it.
enum journal_part {
    JOURNAL_INPUT,
    JOURNAL_MODEL,
    JOURNAL_SETTINGS,
    JOURNAL_PROGRAM,
    JOURNAL_PARTS
};

struct journal {
    char key[JOURNAL_PARTS][SHA256_HEX_LEN + 1];
    char temporary[CHECKPOINT_OUTPUTS_MAX][JOURNAL_NAME_NBYTES];  // where each output's rows are
    struct checkpoint at;
};

// Appends the journal's bytes. STATUS_IO without memory.
enum status journal_format(const struct journal *journal, struct buffer *out, struct error *error);

// Reads them; false for anything that journal_format did not write. `journal` is then of no use.
bool journal_parse(struct span bytes, struct journal *journal);

// Writes the journal of the output at path `output`, so that it survives a power cut. STATUS_IO.
enum status journal_write(const char *output, const struct journal *journal, struct error *error);

enum journal_found { JOURNAL_NONE, JOURNAL_FITS, JOURNAL_STALE };

// Reads the journal of `output` into `found` and compares its key with that of `wanted`. Of a stale
// one `why`, a static text, tells what does not fit ("another model"), and of one that is there and
// cannot be read, that.
enum journal_found journal_read(const char *output, const struct journal *wanted,
                                struct journal *found, const char **why);

bool journal_exists(const char *output);

// How far the unfinished output is, for who only looks; false where no whole journal tells.
bool journal_look(const char *output, struct totals *totals);

// Removes the journal, if there is one, and what dead attempts at it left; journal_sweep only that.
void journal_remove(const char *output);
void journal_sweep(const char *output);

#endif

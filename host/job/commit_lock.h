// SPDX-License-Identifier: Apache-2.0
//
// One run at a time works on an output: it holds the lock file .OUT.lock, which stands beside the
// output meanwhile. And what dead runs left there is swept away.
#ifndef WADER_HOST_JOB_COMMIT_LOCK_H
#define WADER_HOST_JOB_COMMIT_LOCK_H

#include "host/base/base.h"

struct commit_lock {
    char *path;
    int fd;
    bool was_left;  // an earlier attempt died while it replaced the output
    bool keep;      // leave the marked file: the output lost its record and got no new one
};

// STATUS_LOCKED when another run works on `output`, STATUS_IO when its directory takes no file. The
// lock also sweeps away what a dead attempt left, but for what its journal (host/job/journal.h)
// speaks of. A zeroed lock is none, and may be released.
enum status commit_lock_take(const char *output, struct commit_lock *lock, struct error *error);
void commit_lock_release(struct commit_lock *lock);

// What a look from outside tells of the lock on `output`. A run that takes the lock at this very
// moment tries again, so looking does not disturb it.
enum commit_lock_state {
    COMMIT_LOCK_FREE,    // no run works on it
    COMMIT_LOCK_MARKED,  // nor here, but one died while it replaced the output
    COMMIT_LOCK_HELD,
};
enum commit_lock_state commit_lock_look(const char *output);

// For who holds the lock: marks it, on the disk, as that of a run that replaces the output.
// STATUS_IO.
enum status commit_lock_mark(struct commit_lock *lock, struct error *error);

// For who holds the lock: removes what dead attempts at `output` left, but for their journal and
// the unfinished files of these names (NULL: none), those of the output, its rejects and its kept
// scores.
void commit_sweep(const char *output, const char *keep, const char *keep_rejects,
                  const char *keep_scores);

#endif

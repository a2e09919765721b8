// SPDX-License-Identifier: Apache-2.0
#include "host/job/commit_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/job/commit_record.h"
#include "host/job/journal.h"
#include "host/job/kept_scores.h"
#include "host/job/marks.h"

static enum status lock_failed(struct commit_lock *lock, const char *output, int reason,
                               struct error *error) {
    const bool refused = lock->fd >= 0 && reason != EWOULDBLOCK;
    if (refused) unlink(lock->path);  // it locks nothing
    if (lock->fd >= 0) close(lock->fd);
    free(lock->path);
    *lock = (struct commit_lock){.fd = -1};
    if (reason == EWOULDBLOCK) {
        return error_set(error, STATUS_LOCKED,
                         "%s: another run is writing it; wait for that run, or stop it", output);
    }
    if (refused) {
        return error_set(error, STATUS_IO,
                         "%s: the file system of its directory takes no locks (flock: %s), and "
                         "without one two runs could write the same output; give a directory "
                         "elsewhere, or mount it with locks",
                         output, strerror(reason));
    }
    return error_set(error, STATUS_IO, "%s: cannot be written: %s", output, strerror(reason));
}

void commit_sweep(const char *output, const char *keep, const char *keep_rejects,
                  const char *keep_scores) {
    char *record = path_beside(output, "", COMMIT_RECORD_SUFFIX);
    char *rejects = rejects_path(output);
    char *scores = scores_path(output);
    output_sweep(output, keep);
    if (rejects != NULL) output_sweep(rejects, keep_rejects);
    if (scores != NULL) output_sweep(scores, keep_scores);
    if (record != NULL) output_sweep(record, NULL);
    free(scores);
    free(rejects);
    free(record);
}

// Somebody who only looks (commit_lock_look) holds it for no longer than a moment.
static bool take(int fd) {
    for (int tries = 3; flock(fd, LOCK_EX | LOCK_NB) != 0;) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK || tries-- == 0) return false;
        poll(NULL, 0, 10);
    }
    return true;
}

// Whether `output` is there and its record is not: then the mark is to outlast a failure of ours.
static bool lacks_record(const char *output) {
    char *record = path_beside(output, "", COMMIT_RECORD_SUFFIX);
    const bool lacks = access(output, F_OK) == 0 && record != NULL && access(record, F_OK) != 0;
    free(record);
    return lacks;
}

enum status commit_lock_take(const char *output, struct commit_lock *lock, struct error *error) {
    *lock = (struct commit_lock){.fd = -1, .path = path_beside(output, ".", ".lock")};
    if (lock->path == NULL) return error_set(error, STATUS_IO, "out of memory");
    for (;;) {
        const bool existed = access(lock->path, F_OK) == 0 || errno != ENOENT;
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock->fd < 0) return lock_failed(lock, output, errno, error);
        if (!take(lock->fd)) return lock_failed(lock, output, errno, error);
        // The run before may have removed the file between our open and our lock: then another file
        // has, or will have, the name, and this lock would protect nothing.
        struct stat ours, named;
        if (fstat(lock->fd, &ours) != 0) return lock_failed(lock, output, errno, error);
        const bool is_named = stat(lock->path, &named) == 0;
        if (!is_named && errno != ENOENT) return lock_failed(lock, output, errno, error);
        if (is_named && ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
            lock->was_left = ours.st_size > 0;
            lock->keep = lock->was_left && lacks_record(output);
            // An attempt that left its lock file is dead. What a journal speaks of may be of use.
            if (existed && !journal_exists(output)) {
                commit_sweep(output, NULL, NULL, NULL);
                journal_remove(output);
            }
            return STATUS_OK;
        }
        close(lock->fd);
    }
}

// What counts is that the file is not empty: one byte of it makes the mark.
enum status commit_lock_mark(struct commit_lock *lock, struct error *error) {
    ssize_t n;
    do {
        n = write(lock->fd, "wader\n", 6);
    } while (n < 0 && errno == EINTR);
    if (n > 0 && fsync(lock->fd) == 0) return STATUS_OK;
    return error_set(error, STATUS_IO, "%s: %s", lock->path, strerror(errno));
}

void commit_lock_release(struct commit_lock *lock) {
    if (lock->path == NULL) return;
    if (!lock->keep) unlink(lock->path);
    close(lock->fd);
    free(lock->path);
    *lock = (struct commit_lock){.fd = -1};
}

enum commit_lock_state commit_lock_look(const char *output) {
    char *path = path_beside(output, ".", ".lock");
    const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    struct stat info;
    enum commit_lock_state state = COMMIT_LOCK_FREE;
    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0) {
        state = COMMIT_LOCK_HELD;
    } else if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size > 0) {
        state = COMMIT_LOCK_MARKED;
    }
    if (fd >= 0) close(fd);
    free(path);
    return state;
}

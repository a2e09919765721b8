// SPDX-License-Identifier: Apache-2.0
#include "host/job/convert_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/job/commit.h"

// <linux/fs.h>; the C library has them for _GNU_SOURCE only.
enum { NO_REPLACE = 1, EXCHANGE = 2 };

// Syncing as the bytes come keeps the last sync short: a signal must not wait for a whole model.
enum { SYNC_NBYTES = 32 << 20 };

static const char temporary_end[] = ".tmp", aside_end[] = ".old";

// How the directory got its name, and so how it loses it.
enum named { NOT_NAMED, NAMED, NAMED_BY_EXCHANGE, NAMED_BY_MOVE };

struct convert_directory {
    char path[PATH_NBYTES_MAX];       // without a slash at its end
    char temporary[PATH_NBYTES_MAX];  // empty: not made yet
    char aside[PATH_NBYTES_MAX];      // where a directory goes that cannot be exchanged
    char parent[PATH_NBYTES_MAX];
    char file[PATH_NBYTES_MAX];  // the one being written, for messages
    bool replace;                // something has the name and is to lose it
    struct commit_lock lock;
    int fd, file_fd;
    size_t unsynced_nbytes;
    enum named named;
};

static enum status failed(const char *path, const char *doing, struct error *error) {
    return error_set(error, STATUS_IO, "%s: %s: %s; nothing was left behind", path, doing,
                     strerror(errno));
}

// ---- directories as a whole

static bool is_dots(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

// Removes a directory of plain files; one in it that is a directory stays, and so does all above.
static void remove_flat(const char *path) {
    DIR *entries = opendir(path);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (!is_dots(entry->d_name)) unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries != NULL) closedir(entries);
    rmdir(path);
}

static bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

// ".<base>.<hex>-<hex>-<hex>" and `end`, as make_temporary has it.
static bool is_of_attempt(const char *name, const char *base, const char *end) {
    const size_t len = strlen(base);
    if (name[0] != '.' || strncmp(name + 1, base, len) != 0 || name[1 + len] != '.') return false;
    const char *tail = name + 2 + len;
    const size_t n = strspn(tail, "0123456789abcdef-");
    return n > 0 && strcmp(tail + n, end) == 0;
}

// The lock is ours, so whoever made these is dead. One that had put the old directory aside and did
// not come to name the new one: the old one gets its name back.
static void sweep(const struct convert_directory *directory) {
    DIR *entries = opendir(directory->parent);
    const char *base = path_base(directory->path);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        char path[PATH_NBYTES_MAX];
        const bool is_aside = is_of_attempt(entry->d_name, base, aside_end);
        if (!is_aside && !is_of_attempt(entry->d_name, base, temporary_end)) continue;
        if (path_join(path, sizeof path, directory->parent, entry->d_name, NULL) != STATUS_OK) {
            continue;
        }
        if (is_aside && !exists(directory->path) && rename(path, directory->path) == 0) continue;
        remove_flat(path);
    }
    if (entries != NULL) closedir(entries);
}

// `shown` is the name for the message.
static enum status sync_directory(const char *path, const char *shown, struct error *error) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // EINVAL: a file system that has no syncing of directories has nothing to wait for.
    const bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    const int reason = errno;
    if (fd >= 0) close(fd);
    errno = reason;
    return good ? STATUS_OK : failed(shown, "syncing the directory", error);
}

// ---- opening

// Whether the directory of that name may be deleted: whoever mistypes -o loses nothing else.
static enum status check_replaceable(const char *path, struct error *error) {
    DIR *entries = opendir(path);
    if (entries == NULL) {
        return error_set(error, errno == EACCES ? STATUS_USAGE : STATUS_IO,
                         "%s: --force replaces a model directory, not this: %s", path,
                         strerror(errno));
    }
    enum status status = STATUS_OK;
    bool is_empty = true, has_config = false;
    while (status == STATUS_OK) {
        struct stat info;
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (entry == NULL) break;
        if (is_dots(entry->d_name)) continue;
        is_empty = false;
        has_config = has_config || strcmp(entry->d_name, "config.json") == 0;
        if (fstatat(dirfd(entries), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) break;
        if (S_ISDIR(info.st_mode)) {
            status = error_set(error, STATUS_USAGE,
                               "%s: --force would delete the directory %s in it; move that away "
                               "first, or give another name",
                               path, entry->d_name);
        }
    }
    if (status == STATUS_OK && errno != 0) status = failed(path, "listing it", error);
    closedir(entries);
    if (status != STATUS_OK || is_empty || has_config) return status;
    return error_set(error, STATUS_USAGE,
                     "%s: --force replaces a model directory, but there is no config.json in this "
                     "one; delete it yourself, or give another name",
                     path);
}

static enum status look(struct convert_directory *directory, bool replace, struct error *error) {
    struct stat info;
    if (lstat(directory->path, &info) != 0) return STATUS_OK;
    if (!replace) {
        return error_set(error, STATUS_USAGE,
                         "%s: is there already; give another name, or replace it with --force",
                         directory->path);
    }
    if (!S_ISDIR(info.st_mode)) {
        return error_set(error, STATUS_USAGE, "%s: is there and not a directory; give another name",
                         directory->path);
    }
    directory->replace = true;
    return check_replaceable(directory->path, error);
}

// `path` without slashes at its end, and the directory it is in.
static enum status set_paths(struct convert_directory *directory, const char *path,
                             struct error *error) {
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    if (len + 64 > PATH_NBYTES_MAX) {
        return error_set(error, STATUS_USAGE, "%s: the path is too long", path);
    }
    snprintf(directory->path, PATH_NBYTES_MAX, "%.*s", (int)len, path);
    const char *base = path_base(directory->path);
    if (base[0] == '\0' || is_dots(base)) {
        return error_set(error, STATUS_USAGE, "-o %s: give the new directory a name", path);
    }
    const size_t n_parent = (size_t)(base - directory->path);
    snprintf(directory->parent, PATH_NBYTES_MAX, "%.*s", n_parent > 0 ? (int)n_parent : 2,
             n_parent > 0 ? directory->path : "./");
    return STATUS_OK;
}

static enum status make_temporary(struct convert_directory *directory, struct error *error) {
    struct timespec now;
    char attempt[PATH_NBYTES_MAX];
    clock_gettime(CLOCK_REALTIME, &now);
    const int n = snprintf(attempt, sizeof attempt, "%s.%s.%llx-%lx-%lx", directory->parent,
                           path_base(directory->path), (unsigned long long)now.tv_sec, now.tv_nsec,
                           (long)getpid());
    if (n < 0 || (size_t)n + sizeof temporary_end > PATH_NBYTES_MAX) {
        return error_set(error, STATUS_USAGE, "%s: the path is too long", directory->path);
    }
    snprintf(directory->aside, PATH_NBYTES_MAX, "%.4090s%s", attempt, aside_end);
    snprintf(directory->temporary, PATH_NBYTES_MAX, "%.4090s%s", attempt, temporary_end);
    if (mkdir(directory->temporary, 0777) == 0) {
        directory->fd = open(directory->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return directory->fd >= 0 ? STATUS_OK : failed(directory->path, "opening it", error);
    }
    directory->temporary[0] = '\0';  // not ours to remove
    return error_set(error, STATUS_IO, "%s: cannot be made: %s", directory->path, strerror(errno));
}

enum status convert_directory_open(const char *path, bool replace, struct convert_directory **out,
                                   struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "the new directory", error);
    if (status != STATUS_OK) return status;
    struct convert_directory *directory = memory;
    directory->fd = directory->file_fd = -1;
    directory->lock.fd = -1;
    status = set_paths(directory, path, error);
    if (status == STATUS_OK) status = commit_lock_take(directory->path, &directory->lock, error);
    if (status == STATUS_OK) sweep(directory);
    if (status == STATUS_OK) status = look(directory, replace, error);
    if (status == STATUS_OK) status = make_temporary(directory, error);
    if (status != STATUS_OK) {
        convert_directory_close(directory);
        return status;
    }
    *out = directory;
    return STATUS_OK;
}

// ---- files

enum status convert_directory_begin(struct convert_directory *directory, const char *name,
                                    struct error *error) {
    enum status status =
        path_join(directory->file, sizeof directory->file, directory->path, name, error);
    if (status != STATUS_OK) return status;
    directory->unsynced_nbytes = 0;
    directory->file_fd = openat(directory->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return directory->file_fd >= 0 ? STATUS_OK : failed(directory->file, "making it", error);
}

enum status convert_directory_write(struct convert_directory *directory, const char *bytes,
                                    size_t nbytes, struct error *error) {
    for (size_t n = 0; n < nbytes;) {
        const ssize_t written = write(directory->file_fd, bytes + n, nbytes - n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return failed(directory->file, "writing", error);
        n += (size_t)written;
    }
    directory->unsynced_nbytes += nbytes;
    if (directory->unsynced_nbytes < SYNC_NBYTES) return STATUS_OK;
    directory->unsynced_nbytes = 0;
    return fdatasync(directory->file_fd) == 0 ? STATUS_OK
                                              : failed(directory->file, "syncing", error);
}

enum status convert_directory_end(struct convert_directory *directory, struct error *error) {
    const int fd = directory->file_fd;
    directory->file_fd = -1;
    const bool synced = fsync(fd) == 0;
    const int reason = errno;
    const bool closed = close(fd) == 0;
    if (!synced) errno = reason;
    return synced && closed ? STATUS_OK : failed(directory->file, "syncing", error);
}

// ---- the name

static bool rename_by(const char *from, const char *to, unsigned flags) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) == 0;
}

// A kernel or a file system that has no such rename.
static bool is_lacking(int reason) {
    return reason == EINVAL || reason == ENOSYS || reason == EOPNOTSUPP;
}

// Between the two renames nothing has the name; sweep knows what to do should we die there.
static bool move_and_name(struct convert_directory *directory) {
    if (rename(directory->path, directory->aside) != 0) return false;
    if (rename(directory->temporary, directory->path) == 0) return true;
    const int reason = errno;
    rename(directory->aside, directory->path);
    errno = reason;
    return false;
}

static bool take_name(struct convert_directory *directory) {
    const char *from = directory->temporary, *to = directory->path;
    if (directory->replace) {
        if (rename_by(from, to, EXCHANGE)) {
            directory->named = NAMED_BY_EXCHANGE;
        } else if (is_lacking(errno) && move_and_name(directory)) {
            directory->named = NAMED_BY_MOVE;
        }
    } else if (rename_by(from, to, NO_REPLACE) ||
               (is_lacking(errno) && !exists(to) && rename(from, to) == 0)) {
        directory->named = NAMED;
    }
    return directory->named != NOT_NAMED;
}

static void lose_name(struct convert_directory *directory) {
    if (directory->named == NAMED_BY_EXCHANGE) {
        (void)rename_by(directory->path, directory->temporary, EXCHANGE);
    } else {
        rename(directory->path, directory->temporary);
        if (directory->named == NAMED_BY_MOVE) rename(directory->aside, directory->path);
    }
    directory->named = NOT_NAMED;
}

enum status convert_directory_commit(struct convert_directory *directory, struct error *error) {
    enum status status = sync_directory(directory->temporary, directory->path, error);
    if (status != STATUS_OK) return status;
    if (!take_name(directory)) return failed(directory->path, "renaming into place", error);
    // A name that may vanish again is better not given.
    status = sync_directory(directory->parent, directory->path, error);
    if (status != STATUS_OK) lose_name(directory);
    return status;
}

void convert_directory_close(struct convert_directory *directory) {
    if (directory == NULL) return;
    if (directory->file_fd >= 0) close(directory->file_fd);
    if (directory->fd >= 0) close(directory->fd);
    // Our own files, or after an exchange those of the directory that was replaced.
    if (directory->temporary[0] != '\0' && directory->named != NAMED &&
        directory->named != NAMED_BY_MOVE) {
        remove_flat(directory->temporary);
    }
    if (directory->named == NAMED_BY_MOVE) remove_flat(directory->aside);
    commit_lock_release(&directory->lock);
    free(directory);
}

// SPDX-License-Identifier: Apache-2.0
//
// An output's file: its names, its way into place, and going on with one that another attempt left.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/stream/output_state.h"

enum status output_remove(const char *path, struct error *error) {
    if (path == NULL) return error_set(error, STATUS_IO, "out of memory");
    if (unlink(path) == 0 || errno == ENOENT) return STATUS_OK;
    return error_set(error, STATUS_IO, "%s: removing it: %s", path, strerror(errno));
}

char *output_directory_of(const char *path) {
    const size_t len = (size_t)(path_base(path) - path);
    return len == 0 ? strdup("./") : strndup(path, len);
}

// dir/.base.<time and process>.tmp: hidden, in the same file system, unique to this attempt.
static char *temporary_of(const char *path) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *directory = output_directory_of(path);
    if (directory == NULL) return NULL;
    const char *base = path_base(path);
    size_t cap = strlen(directory) + strlen(base) + 64;
    char *temporary = malloc(cap);
    if (temporary != NULL) {
        snprintf(temporary, cap, "%s.%s.%llx-%lx-%lx.tmp", directory, base,
                 (unsigned long long)now.tv_sec, now.tv_nsec, (long)getpid());
    }
    free(directory);
    return temporary;
}

// What temporary_of puts behind the base name: ".<hex>-<hex>-<hex>.tmp".
static bool is_temporary_tail(const char *tail) {
    if (*tail != '.') return false;
    const size_t len = strspn(tail + 1, "0123456789abcdef-");
    return len > 0 && strcmp(tail + 1 + len, ".tmp") == 0;
}

void output_sweep(const char *path, const char *keep) {
    const char *base = path_base(path);
    const size_t len = strlen(base);
    char *directory = output_directory_of(path);
    DIR *entries = directory != NULL ? opendir(directory) : NULL;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        const char *name = entry->d_name;
        if (name[0] == '.' && strncmp(name + 1, base, len) == 0 &&
            is_temporary_tail(name + 1 + len) && (keep == NULL || strcmp(name, keep) != 0)) {
            unlinkat(dirfd(entries), name, 0);
        }
    }
    if (entries != NULL) closedir(entries);
    free(directory);
}

enum status output_open_file(struct output *output, const char *path, struct error *error) {
    // The rename at the end would put a file in the place of a device, a pipe or a directory.
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        return error_set(error, STATUS_IO,
                         "%s: is there and not a regular file; give another name, or - for stdout",
                         path);
    }
    output->fd = -1;
    output->path = strdup(path);
    output->temporary = temporary_of(path);
    if (output->path == NULL || output->temporary == NULL) {
        return error_set(error, STATUS_IO, "out of memory");
    }
    output->shown = output->path;
    output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (output->fd < 0) {
        int reason = errno;
        free(output->temporary);  // not ours to remove
        output->temporary = NULL;
        return error_set(error, STATUS_IO, "%s: cannot be written: %s", path, strerror(reason));
    }
    return STATUS_OK;
}

enum status output_failed(const struct output *output, const char *doing, struct error *error) {
    return error_set(error, STATUS_IO, "%s: %s: %s%s", output->shown, doing, strerror(errno),
                     output->path != NULL ? "; no output was left behind" : "");
}

// ---- going on with an unfinished file

static enum status copy_bytes(struct output *output, int from, char *piece, size_t piece_cap,
                              uint64_t nbytes, bool (*stop)(void), struct error *error) {
    while (output->file_nbytes < nbytes) {
        if (stop != NULL && stop()) {
            return error_set(error, STATUS_AGAIN, "%s: stopped while going on with it",
                             output->path);
        }
        const uint64_t rest = nbytes - output->file_nbytes;
        const ssize_t n = read(from, piece, rest < piece_cap ? (size_t)rest : piece_cap);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            return error_set(error, STATUS_INPUT, "the unfinished file %s",
                             n == 0 ? "is shorter than it was" : "cannot be read");
        }
        enum status status = output_write_raw(output, piece, (size_t)n, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// Opens a file of the output's directory that another attempt left under this name.
static int open_left(const struct output *output, const char *name) {
    char path[PATH_NBYTES_MAX];
    char *directory = output_directory_of(output->path);
    if (directory == NULL) return -1;
    const int len = snprintf(path, sizeof path, "%s%s", directory, name);
    free(directory);
    // The name was read from a file: it must not lead out of the directory.
    const bool is_name = strchr(name, '/') == NULL && len > 0 && len < PATH_NBYTES_MAX;
    return is_name ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
}

enum status output_copy_prefix(struct output *output, const char *temporary, uint64_t nbytes,
                               uint32_t crc, bool (*stop)(void), struct error *error) {
    enum { PIECE_NBYTES = 1 << 20 };
    void *piece;
    int from = open_left(output, temporary);
    // An attempt that died while it committed has given it its name. The CRC tells.
    if (from < 0) from = open_left(output, path_base(output->path));
    if (from < 0) return error_set(error, STATUS_INPUT, "the unfinished file is gone");
    enum status status = alloc_array(&piece, PIECE_NBYTES, 1, "copying a file", error);
    if (status == STATUS_OK) {
        status = copy_bytes(output, from, piece, PIECE_NBYTES, nbytes, stop, error);
        free(piece);
    }
    close(from);
    if (status == STATUS_OK && output->file_crc != crc) {
        status = error_set(error, STATUS_INPUT, "the unfinished file was altered");
    }
    return status;
}

const char *output_temporary(const struct output *output) {
    return path_base(output->temporary);
}

enum status output_sync(struct output *output, struct error *error) {
    struct stat info;
    if (fsync(output->fd) != 0) return output_failed(output, "syncing", error);
    if (fstat(output->fd, &info) != 0) return output_failed(output, "looking at it", error);
    if (info.st_nlink == 0) {
        return error_set(error, STATUS_LOCKED,
                         "%s: its unfinished file was removed: another run has taken over",
                         output->path);
    }
    return STATUS_OK;
}

enum status output_read_back(const struct output *output, uint64_t offset, void *bytes, size_t n,
                             struct error *error) {
    char *at = bytes;
    const uint64_t in_file = output->begin.nbytes;
    const int fd = offset < in_file ? open_left(output, output_temporary(output)) : -1;
    while (n > 0 && offset < in_file) {
        const size_t most = in_file - offset < n ? (size_t)(in_file - offset) : n;
        const ssize_t got = pread(fd, at, most, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            enum status status = output_failed(output, "reading it again", error);
            if (fd >= 0) close(fd);
            return status;
        }
        at += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    if (fd >= 0) close(fd);
    memcpy(at, output->segment + (offset - in_file), n);
    return STATUS_OK;
}

// ---- into place

// A name is durable only when its directory is.
static enum status sync_directory(const char *path, struct error *error) {
    char *directory = output_directory_of(path);
    int fd = directory != NULL ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    // EINVAL: a file system that has no syncing of directories has nothing to wait for.
    bool good = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    int reason = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        reason = errno;
    }
    free(directory);
    return good ? STATUS_OK
                : error_set(error, STATUS_IO, "%s: syncing its directory: %s", path,
                            strerror(reason));
}

enum status output_commit(struct output *output, struct error *error) {
    enum status status = output->complete ? STATUS_OK : output_complete(output, error);
    if (status != STATUS_OK) return status;
    if (output->path != NULL) {
        if (rename(output->temporary, output->path) != 0) {
            return output_failed(output, "renaming into place", error);
        }
        status = sync_directory(output->path, error);
        if (status != STATUS_OK) {
            unlink(output->path);  // not known to be durable: better none than one that may vanish
            return status;
        }
    }
    output->committed = true;
    return STATUS_OK;
}

void output_abandon(struct output *output) {
    if (output->temporary != NULL && !output->committed) unlink(output->temporary);
}

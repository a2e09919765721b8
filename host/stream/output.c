// SPDX-License-Identifier: Apache-2.0
#include "host/stream/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "host/stream/input.h"

// The last two are zlib's own defaults, written out because the bytes of outputs depend on them.
enum { BLOCK_NBYTES = 256 * 1024, PACKED_NBYTES = 64 * 1024, GZIP_LEVEL = 6, GZIP_MEM_LEVEL = 8 };

struct output {
    const char *shown;  // the name for messages
    char *path;         // NULL: stdout
    char *temporary;
    int fd;
    bool compress;
    z_stream deflater;
    bool deflater_ready;
    bool complete, committed;
    struct sha256 *hash;
    char sha256[SHA256_HEX_LEN + 1];
    uint64_t nbytes, file_nbytes;
    size_t block_len;
    char block[BLOCK_NBYTES];  // uncompressed bytes not handed on yet
    unsigned char packed[PACKED_NBYTES];
};

// The directory part of `path`, with its slash; "./" where it has none.
static char *directory_of(const char *path) {
    const size_t len = (size_t)(path_base(path) - path);
    return len == 0 ? strdup("./") : strndup(path, len);
}

// dir/.base.<time and process>.tmp: hidden, in the same file system, unique to this attempt.
static char *temporary_of(const char *path) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *directory = directory_of(path);
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

void output_sweep(const char *path) {
    const char *base = path_base(path);
    const size_t len = strlen(base);
    char *directory = directory_of(path);
    DIR *entries = directory != NULL ? opendir(directory) : NULL;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        const char *name = entry->d_name;
        if (name[0] == '.' && strncmp(name + 1, base, len) == 0 &&
            is_temporary_tail(name + 1 + len)) {
            unlinkat(dirfd(entries), name, 0);
        }
    }
    if (entries != NULL) closedir(entries);
    free(directory);
}

static enum status open_file(struct output *output, const char *path, struct error *error) {
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

static enum status start_deflater(struct output *output, struct error *error) {
    output->compress = true;
    output->deflater_ready =
        deflateInit2(&output->deflater, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) == Z_OK;
    if (output->deflater_ready) return STATUS_OK;
    return error_set(error, STATUS_IO, "%s: out of memory for zlib", output->shown);
}

static enum status create(int fd, const char *shown, struct output **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "an output", error);
    if (status != STATUS_OK) return status;
    struct output *output = memory;
    output->fd = fd;
    output->shown = shown;
    status = sha256_create(&output->hash, error);
    if (status == STATUS_OK) {
        *out = output;
    } else {
        free(output);
    }
    return status;
}

enum status output_open_fd(int fd, bool compress, struct output **out, struct error *error) {
    enum status status = create(fd, "an open file", out, error);
    if (status == STATUS_OK && compress) status = start_deflater(*out, error);
    if (status == STATUS_OK) return STATUS_OK;
    if (*out != NULL) (*out)->fd = -1;
    output_close(*out);
    *out = NULL;
    return status;
}

enum status output_open(const char *path, struct output **out, struct error *error) {
    struct output *output;
    enum status status = create(STDOUT_FILENO, "stdout", &output, error);
    *out = NULL;
    if (status != STATUS_OK) return status;
    if (strcmp(path, "-") != 0) status = open_file(output, path, error);
    if (status == STATUS_OK && name_ends_in_gz(path)) status = start_deflater(output, error);
    if (status != STATUS_OK) {
        output_close(output);
        return status;
    }
    *out = output;
    return STATUS_OK;
}

static enum status io_failed(const struct output *output, const char *doing, struct error *error) {
    return error_set(error, STATUS_IO, "%s: %s: %s%s", output->shown, doing, strerror(errno),
                     output->path != NULL ? "; no output was left behind" : "");
}

static enum status write_all(struct output *output, const void *bytes, size_t n,
                             struct error *error) {
    const char *at = bytes;
    while (n > 0) {
        ssize_t written = write(output->fd, at, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            // Whoever started us may have made the pipe non-blocking.
            struct pollfd writable = {.fd = output->fd, .events = POLLOUT};
            poll(&writable, 1, -1);
            continue;
        }
        if (written < 0 && errno == EPIPE && output->path == NULL) {
            return error_set(error, STATUS_PIPE, "stdout: whoever read it went away");
        }
        if (written < 0) {
            return io_failed(output, "writing", error);
        }
        at += written;
        n -= (size_t)written;
    }
    return STATUS_OK;
}

// Hands the block on, through zlib where the output is compressed.
static enum status write_block(struct output *output, bool last, struct error *error) {
    const size_t n = output->block_len;
    output->block_len = 0;
    output->nbytes += n;
    sha256_update(output->hash, output->block, n);
    if (!output->compress) return write_all(output, output->block, n, error);
    z_stream *deflater = &output->deflater;
    deflater->next_in = (unsigned char *)output->block;
    deflater->avail_in = (uInt)n;
    do {
        deflater->next_out = output->packed;
        deflater->avail_out = PACKED_NBYTES;
        // Z_BUF_ERROR: there was nothing to do.
        const int result = deflate(deflater, last ? Z_FINISH : Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
            return error_set(error, STATUS_IO, "%s: zlib failed", output->shown);
        }
        enum status status =
            write_all(output, output->packed, PACKED_NBYTES - deflater->avail_out, error);
        if (status != STATUS_OK) return status;
    } while (deflater->avail_out == 0);
    return STATUS_OK;
}

enum status output_write(struct output *output, const char *bytes, size_t n, struct error *error) {
    while (n > 0) {
        size_t room = BLOCK_NBYTES - output->block_len;
        size_t part = n < room ? n : room;
        memcpy(output->block + output->block_len, bytes, part);
        output->block_len += part;
        bytes += part;
        n -= part;
        if (output->block_len == BLOCK_NBYTES) {
            enum status status = write_block(output, false, error);
            if (status != STATUS_OK) return status;
        }
    }
    return STATUS_OK;
}

enum status output_flush(struct output *output, struct error *error) {
    if (output->path != NULL || output->compress || output->block_len == 0) return STATUS_OK;
    return write_block(output, false, error);
}

// A name is durable only when its directory is.
static enum status sync_directory(const char *path, struct error *error) {
    char *directory = directory_of(path);
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

enum status output_complete(struct output *output, struct error *error) {
    enum status status = write_block(output, true, error);
    if (status == STATUS_OK) status = sha256_finish(output->hash, output->sha256, error);
    if (status != STATUS_OK) return status;
    if (output->path != NULL && fsync(output->fd) != 0) return io_failed(output, "syncing", error);
    struct stat info = {0};
    if (output->path != NULL && fstat(output->fd, &info) != 0) {
        return io_failed(output, "looking at it", error);
    }
    output->file_nbytes = (uint64_t)info.st_size;
    const int fd = output->fd;
    output->fd = -1;
    if (close(fd) != 0) return io_failed(output, "closing", error);
    output->complete = true;
    return STATUS_OK;
}

enum status output_commit(struct output *output, struct error *error) {
    enum status status = output->complete ? STATUS_OK : output_complete(output, error);
    if (status != STATUS_OK) return status;
    if (output->path != NULL) {
        if (rename(output->temporary, output->path) != 0) {
            return io_failed(output, "renaming into place", error);
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

void output_close(struct output *output) {
    if (output == NULL) return;
    if (output->deflater_ready) deflateEnd(&output->deflater);
    if (output->fd >= 0 && output->fd != STDOUT_FILENO) close(output->fd);
    output_abandon(output);
    sha256_destroy(output->hash);
    free(output->temporary);
    free(output->path);
    free(output);
}

const char *output_sha256(const struct output *output) {
    return output->sha256;
}

uint64_t output_file_nbytes(const struct output *output) {
    return output->file_nbytes;
}

uint64_t output_nbytes(const struct output *output) {
    return output->nbytes;
}

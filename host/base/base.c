// SPDX-License-Identifier: Apache-2.0
#include "host/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum status error_set(struct error *error, enum status status, const char *format, ...) {
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        error->place = (struct error_place){0};
    }
    return status;
}

enum status error_at(struct error *error, enum status status, struct error_place place) {
    if (error != NULL) error->place = place;
    return status;
}

struct span span_text(const char *text) {
    return (struct span){text, strlen(text)};
}

bool span_equal(struct span span, const char *text) {
    size_t len = strlen(text);
    return span.len == len && (len == 0 || memcmp(span.ptr, text, len) == 0);
}

bool span_ends_in(struct span span, const char *suffix) {
    const size_t n = strlen(suffix);
    return span.len >= n && (n == 0 || memcmp(span.ptr + span.len - n, suffix, n) == 0);
}

bool size_mul(size_t a, size_t b, size_t *out) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out) {
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

enum status alloc_array(void **out, size_t n, size_t size, const char *what, struct error *error) {
    size_t nbytes = 0;
    bool fits = size_mul(n, size, &nbytes);
    *out = fits ? malloc(nbytes > 0 ? nbytes : 1) : NULL;
    if (*out == NULL) {
        return error_set(error, STATUS_IO, "out of memory: %zu x %zu bytes for %s", n, size, what);
    }
    return STATUS_OK;
}

enum status alloc_zeroed(void **out, size_t n, size_t size, const char *what, struct error *error) {
    *out = calloc(n > 0 ? n : 1, size > 0 ? size : 1);
    if (*out == NULL) {
        return error_set(error, STATUS_IO, "out of memory: %zu x %zu bytes for %s", n, size, what);
    }
    return STATUS_OK;
}

int64_t stat_mtime_ns(const struct stat *info) {
    return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

// A repository cloned without Git LFS has small text files in the place of its large ones.
static enum status refuse_pointer_file(const char *path, struct file_map *map,
                                       struct error *error) {
    static const char pointer[] = "version https://git-lfs";
    if (map->nbytes < sizeof pointer || memcmp(map->bytes, pointer, sizeof pointer - 1) != 0) {
        return STATUS_OK;
    }
    file_map_close(map);
    return error_set(error, STATUS_MODEL,
                     "%s: a Git LFS pointer, not the file itself; run `git lfs pull` where it came "
                     "from",
                     path);
}

enum status file_map_open(const char *path, struct file_map *map, struct error *error) {
    *map = (struct file_map){0};
    // Not waiting: a named pipe without a writer is no model file either.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_set(error, STATUS_MODEL, "%s: %s", path, strerror(errno));
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(error, STATUS_MODEL, "%s: not a regular file", path);
    }
    if (info.st_size > 0) {
        size_t nbytes = (size_t)info.st_size;
        void *bytes = mmap(NULL, nbytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            int reason = errno;
            close(fd);
            return error_set(error, STATUS_MODEL, "%s: cannot be mapped: %s", path,
                             strerror(reason));
        }
        *map = (struct file_map){.bytes = bytes, .nbytes = nbytes};
    }
    close(fd);
    map->inode = (uint64_t)info.st_ino;
    map->mtime_ns = stat_mtime_ns(&info);
    return refuse_pointer_file(path, map, error);
}

bool file_map_is_current(const char *path, const struct file_map *map) {
    struct stat info;
    return stat(path, &info) == 0 && (uint64_t)info.st_ino == map->inode &&
           (size_t)info.st_size == map->nbytes && stat_mtime_ns(&info) == map->mtime_ns;
}

void file_map_close(struct file_map *map) {
    if (map->bytes != NULL) munmap((void *)(uintptr_t)map->bytes, map->nbytes);
    *map = (struct file_map){0};
}

double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum status path_join(char *path, size_t cap, const char *dir, const char *name,
                      struct error *error) {
    int n = snprintf(path, cap, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= cap) {
        return error_set(error, STATUS_USAGE, "%s/%s: the path is too long", dir, name);
    }
    return STATUS_OK;
}

const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *path_beside(const char *path, const char *prefix, const char *suffix) {
    const char *base = path_base(path);
    const size_t cap = strlen(path) + strlen(prefix) + strlen(suffix) + 1;
    char *beside = malloc(cap);
    if (beside != NULL) {
        snprintf(beside, cap, "%.*s%s%s%s", (int)(base - path), path, prefix, base, suffix);
    }
    return beside;
}

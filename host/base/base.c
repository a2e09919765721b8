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
    }
    return status;
}

bool span_equal(struct span span, const char *text) {
    size_t len = strlen(text);
    return span.len == len && (len == 0 || memcmp(span.ptr, text, len) == 0);
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

enum status file_map_open(const char *path, struct file_map *map, struct error *error) {
    *map = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
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
    return STATUS_OK;
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

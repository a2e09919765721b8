// SPDX-License-Identifier: Apache-2.0
//
// Memory and files: the calls that may fail. Each asks fault_of what is to become of it and is else
// the one behind.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fault/inject.h"

// These serve dlsym as well, which fault_next calls.
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

// ---- memory

void *malloc(size_t n) {
    ASK(FAULT_ALLOC, NULL);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
    ASK(FAULT_ALLOC, NULL);
    return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t n) {
    ASK(FAULT_ALLOC, NULL);
    return __libc_realloc(memory, n);
}

void *aligned_alloc(size_t alignment, size_t n) {
    ASK(FAULT_ALLOC, NULL);
    return __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n) {
    ASK(FAULT_ALLOC, fault.code);
    void *memory = __libc_memalign(alignment, n);
    if (memory == NULL) return ENOMEM;
    *out = memory;
    return 0;
}

char *strdup(const char *text) {
    ASK(FAULT_ALLOC, NULL);
    const size_t n = strlen(text) + 1;
    char *copy = __libc_malloc(n);
    return copy != NULL ? memcpy(copy, text, n) : NULL;
}

char *strndup(const char *text, size_t most) {
    ASK(FAULT_ALLOC, NULL);
    const size_t n = strnlen(text, most);
    char *copy = __libc_malloc(n + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    ASK(FAULT_MAP, MAP_FAILED);
    NEXT(mmap);
    return next(at, n, protection, flags, fd, offset);
}

// ---- files by name

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    ASK(FAULT_OPEN, -1);
    NEXT(open);
    return next(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    ASK(FAULT_OPEN, -1);
    NEXT(openat);
    return next(directory, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
    ASK(FAULT_OPEN, NULL);
    NEXT(fopen);
    return next(path, mode);
}

FILE *fdopen(int fd, const char *mode) {
    ASK(FAULT_OPEN, NULL);
    NEXT(fdopen);
    return next(fd, mode);
}

int memfd_create(const char *name, unsigned flags) {
    ASK(FAULT_OPEN, -1);
    NEXT(memfd_create);
    return next(name, flags);
}

int rename(const char *from, const char *to) {
    ASK(FAULT_RENAME, -1);
    NEXT(rename);
    return next(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    ASK(FAULT_RENAME, -1);
    NEXT(renameat);
    return next(from_directory, from, to_directory, to);
}

// renameat2, which POSIX's headers do not have, is called by its number; others are as they are.
long syscall(long number, ...) {
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
    va_end(args);
    NEXT(syscall);
    if (number == SYS_renameat2) {
        ASK(FAULT_RENAME, -1);
    }
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int unlink(const char *path) {
    ASK(FAULT_UNLINK, -1);
    NEXT(unlink);
    return next(path);
}

int unlinkat(int directory, const char *path, int flags) {
    ASK(FAULT_UNLINK, -1);
    NEXT(unlinkat);
    return next(directory, path, flags);
}

int rmdir(const char *path) {
    ASK(FAULT_UNLINK, -1);
    NEXT(rmdir);
    return next(path);
}

int mkdir(const char *path, mode_t mode) {
    ASK(FAULT_MKDIR, -1);
    NEXT(mkdir);
    return next(path, mode);
}

DIR *opendir(const char *path) {
    ASK(FAULT_LIST, NULL);
    NEXT(opendir);
    return next(path);
}

struct dirent *readdir(DIR *directory) {
    ASK(FAULT_LIST, NULL);
    NEXT(readdir);
    return next(directory);
}

int stat(const char *path, struct stat *info) {
    ASK(FAULT_STAT, -1);
    NEXT(stat);
    return next(path, info);
}

int lstat(const char *path, struct stat *info) {
    ASK(FAULT_STAT, -1);
    NEXT(lstat);
    return next(path, info);
}

int fstat(int fd, struct stat *info) {
    ASK(FAULT_STAT, -1);
    NEXT(fstat);
    return next(fd, info);
}

int fstatat(int directory, const char *path, struct stat *info, int flags) {
    ASK(FAULT_STAT, -1);
    NEXT(fstatat);
    return next(directory, path, info, flags);
}

int access(const char *path, int mode) {
    ASK(FAULT_STAT, -1);
    NEXT(access);
    return next(path, mode);
}

// ---- open files

ssize_t read(int fd, void *bytes, size_t n) {
    ASK(FAULT_READ, -1);
    NEXT(read);
    return next(fd, bytes, fault.effect == EFFECT_SHORT && n > 1 ? 1 : n);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t offset) {
    ASK(FAULT_READ, -1);
    NEXT(pread);
    return next(fd, bytes, fault.effect == EFFECT_SHORT && n > 1 ? 1 : n, offset);
}

// What ferror looks at; the C library has no call to set it.
static void set_error_of(FILE *stream) {
    stream->_flags |= 0x20;
}

size_t fread(void *bytes, size_t size, size_t n, FILE *stream) {
    const struct fault fault = fault_of(FAULT_READ, __func__, __builtin_return_address(0));
    if (fault.effect == EFFECT_ERROR) {
        set_error_of(stream);
        errno = fault.code;
        return 0;
    }
    NEXT(fread);
    return next(bytes, size, n, stream);
}

char *fgets(char *line, int n, FILE *stream) {
    const struct fault fault = fault_of(FAULT_READ, __func__, __builtin_return_address(0));
    if (fault.effect == EFFECT_ERROR) {
        set_error_of(stream);
        errno = fault.code;
        return NULL;
    }
    NEXT(fgets);
    return next(line, n, stream);
}

ssize_t write(int fd, const void *bytes, size_t n) {
    ASK(FAULT_WRITE, -1);
    NEXT(write);
    return next(fd, bytes, fault.effect == EFFECT_SHORT && n > 1 ? 1 : n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) {
    ASK(FAULT_WRITE, -1);
    NEXT(pwrite);
    return next(fd, bytes, fault.effect == EFFECT_SHORT && n > 1 ? 1 : n, offset);
}

// A lie: it says that all is on the disk, and has not asked for it.
int fsync(int fd) {
    ASK(FAULT_SYNC, -1);
    if (fault.effect == EFFECT_LIE) return 0;
    NEXT(fsync);
    return next(fd);
}

int fdatasync(int fd) {
    ASK(FAULT_SYNC, -1);
    NEXT(fdatasync);
    return next(fd);
}

int ftruncate(int fd, off_t n) {
    ASK(FAULT_TRUNCATE, -1);
    NEXT(ftruncate);
    return next(fd, n);
}

// A close that fails has closed all the same.
int close(int fd) {
    NEXT(close);
    const struct fault fault = fault_of(FAULT_CLOSE, __func__, __builtin_return_address(0));
    const int result = next(fd);
    if (fault.effect != EFFECT_ERROR) return result;
    errno = fault.code;
    return -1;
}

int fclose(FILE *stream) {
    NEXT(fclose);
    const struct fault fault = fault_of(FAULT_CLOSE, __func__, __builtin_return_address(0));
    const int result = next(stream);
    if (fault.effect != EFFECT_ERROR) return result;
    errno = fault.code;
    return EOF;
}

int flock(int fd, int operation) {
    ASK(FAULT_LOCK, -1);
    NEXT(flock);
    return next(fd, operation);
}

int poll(struct pollfd *files, nfds_t n, int wait_ms) {
    ASK(FAULT_POLL, -1);
    NEXT(poll);
    return next(files, n, wait_ms);
}

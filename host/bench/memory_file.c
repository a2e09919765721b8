// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE  // memfd_create
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/bench/corpus.h"
#include "host/stream/output.h"

enum status memory_file_create(struct memory_file *file, struct error *error) {
    *file = (struct memory_file){.fd = memfd_create("wader bench", MFD_CLOEXEC)};
    if (file->fd < 0) {
        return error_set(error, STATUS_IO, "a file in memory: %s", strerror(errno));
    }
    snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
    return STATUS_OK;
}

void memory_file_close(struct memory_file *file) {
    if (file->path[0] != '\0' && file->fd >= 0) close(file->fd);
    *file = (struct memory_file){.fd = -1};
}

enum status memory_file_rewrite(struct memory_file *file, int *fd, struct error *error) {
    *fd = -1;
    if (ftruncate(file->fd, 0) == 0 && lseek(file->fd, 0, SEEK_SET) == 0) {
        *fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    }
    if (*fd >= 0) return STATUS_OK;
    return error_set(error, STATUS_IO, "a file in memory: %s", strerror(errno));
}

enum status memory_file_write(struct memory_file *file, struct span bytes, bool compress,
                              struct error *error) {
    struct output *output = NULL;
    int fd;
    enum status status = memory_file_rewrite(file, &fd, error);
    if (status != STATUS_OK) return status;
    status = output_open_fd(fd, compress, &output, error);
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    status = output_write(output, bytes.ptr, bytes.len, error);
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    const off_t end = lseek(file->fd, 0, SEEK_END);
    if (status == STATUS_OK && end < 0) {
        status = error_set(error, STATUS_IO, "a file in memory: %s", strerror(errno));
    }
    file->nbytes = end > 0 ? (uint64_t)end : 0;
    return status;
}

// SPDX-License-Identifier: Apache-2.0
#include "weights/model_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_CLOEXEC  // <linux/memfd.h>; the C library has it for _GNU_SOURCE only
#define MFD_CLOEXEC 1U
#endif

bool model_file_exists(const char *dir, const char *name) {
    char path[PATH_NBYTES_MAX];
    struct stat info;
    return path_join(path, sizeof path, dir, name, NULL) == STATUS_OK &&
           (lstat(path, &info) == 0 || (errno != ENOENT && errno != ENOTDIR));
}

enum status model_directory_check(const char *dir, struct error *error) {
    struct stat info;
    if (stat(dir, &info) != 0) {
        return error_set(error, STATUS_MODEL, "%s: %s; a model directory is needed here", dir,
                         errno == ENOENT ? "no such directory" : strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        return error_set(error, STATUS_MODEL,
                         "%s: not a directory; a model is the directory that holds config.json, "
                         "the vocabulary and the weights",
                         dir);
    }
    if (!model_file_exists(dir, "config.json")) {
        return error_set(error, STATUS_MODEL,
                         "%s: no config.json in it; a model directory as Hugging Face transformers "
                         "saves it is needed here",
                         dir);
    }
    return STATUS_OK;
}

enum status model_files_add(struct model_files *list, const char *dir, const char *name, char *path,
                            struct span *bytes, struct error *error) {
    if (dir != NULL) {
        enum status status = path_join(path, PATH_NBYTES_MAX, dir, name, error);
        if (status != STATUS_OK) return status;
    } else if ((size_t)snprintf(path, PATH_NBYTES_MAX, "%s", name) >= PATH_NBYTES_MAX) {
        return error_set(error, STATUS_USAGE, "%s: the path is too long", name);
    }
    struct model_file *files = realloc(list->files, (list->n_files + 1) * sizeof *files);
    char *own_name = strdup(name);
    if (files != NULL) list->files = files;
    if (files == NULL || own_name == NULL) {
        free(own_name);
        return error_set(error, STATUS_IO, "out of memory for the list of model files");
    }
    struct file_map map;
    enum status status = file_map_open(path, &map, error);
    if (status != STATUS_OK) {
        free(own_name);
        return status;
    }
    list->files[list->n_files++] =
        (struct model_file){.name = own_name, .in_dir = dir != NULL, .map = map};
    *bytes = (struct span){map.bytes, map.nbytes};
    return STATUS_OK;
}

enum status model_files_room(struct model_files *list, size_t nbytes, char **out,
                             struct error *error) {
    *out = NULL;
    if (nbytes == 0) return STATUS_OK;
    struct file_map *rooms = realloc(list->rooms, (list->n_rooms + 1) * sizeof *rooms);
    if (rooms == NULL) return error_set(error, STATUS_IO, "out of memory for the list of tensors");
    list->rooms = rooms;
    const int fd = (int)syscall(SYS_memfd_create, "wader tensors", MFD_CLOEXEC);
    int reason = fd < 0 ? errno : 0;
    // Taken now: later a page that is not to be had would end the process.
    if (reason == 0) reason = posix_fallocate(fd, 0, (off_t)nbytes);
    void *memory = MAP_FAILED;
    if (reason == 0) {
        memory = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED) reason = errno;
    }
    if (fd >= 0) close(fd);
    if (reason != 0) {
        return error_set(error, STATUS_IO, "%zu MiB of memory for tensors are not to be had: %s",
                         nbytes >> 20, strerror(reason));
    }
    list->rooms[list->n_rooms++] = (struct file_map){.bytes = memory, .nbytes = nbytes};
    *out = memory;
    return STATUS_OK;
}

void model_files_close(struct model_files *list) {
    for (size_t i = 0; i < list->n_rooms; i++) file_map_close(&list->rooms[i]);
    free(list->rooms);
    for (size_t i = 0; i < list->n_files; i++) {
        free(list->files[i].name);
        file_map_close(&list->files[i].map);
    }
    free(list->files);
    *list = (struct model_files){0};
}

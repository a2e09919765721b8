// SPDX-License-Identifier: Apache-2.0
#include "weights/model_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool model_file_exists(const char *dir, const char *name) {
    char path[PATH_NBYTES_MAX];
    struct stat info;
    return path_join(path, sizeof path, dir, name, NULL) == STATUS_OK && lstat(path, &info) == 0;
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

void model_files_close(struct model_files *list) {
    for (size_t i = 0; i < list->n_files; i++) {
        free(list->files[i].name);
        file_map_close(&list->files[i].map);
    }
    free(list->files);
    *list = (struct model_files){0};
}

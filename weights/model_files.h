// SPDX-License-Identifier: Apache-2.0
//
// The list of mapped files that grows while a model is opened.
#ifndef WADER_WEIGHTS_MODEL_FILES_H
#define WADER_WEIGHTS_MODEL_FILES_H

#include "weights/model.h"

struct model_files {
    struct model_file *files;
    size_t n_files;
    struct file_map *rooms;  // see model_files_room
    size_t n_rooms;
};

// Whether `dir` has an entry of that name, be it a link that leads nowhere or one that cannot be
// looked at: then opening it, and the message, is better than passing it over.
bool model_file_exists(const char *dir, const char *name);

// STATUS_MODEL, in words for someone who gave the wrong path, where `dir` is no directory or holds
// no config.json.
enum status model_directory_check(const char *dir, struct error *error);

// Maps dir/name, or `name` itself where `dir` is NULL, and adds it to the list. `*bytes` are its
// contents; they stay where they are when the list grows. `path`, of PATH_NBYTES_MAX bytes, is set
// to the file's path for messages.
enum status model_files_add(struct model_files *list, const char *dir, const char *name, char *path,
                            struct span *bytes, struct error *error);

// Zeroed memory for tensors that no file holds as the model needs them; it lives as long as the
// files do. Its pages belong to a file without a name, so that tensor_forget may let go of them,
// and a child process writes to the same ones. STATUS_IO when there is not so much.
enum status model_files_room(struct model_files *list, size_t nbytes, char **out,
                             struct error *error);
void model_files_close(struct model_files *list);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "host/job/provenance.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const tokenizer_names[] = {"tokenizer.json", "tokenizer_config.json",
                                              "vocab.txt"};

struct provenance_task {
    const struct model *model;
    const char *dir;
    struct provenance provenance;
    struct provenance_file *files;  // [n_files], room for all there may be
    size_t n_files;
    atomic_bool ready;
    pthread_t thread;
    bool joined;
    enum status status;
    struct error error;
};

// Feeds the hash of one file, under its name, to the hash of the whole.
static enum status add_file(struct provenance_task *task, struct sha256 *whole, const char *name,
                            bool of_tokenizer, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct stat info;
    struct provenance_file *file = &task->files[task->n_files];
    enum status status = path_join(path, sizeof path, task->dir, name, error);
    if (status == STATUS_OK) status = sha256_file(path, NULL, file->sha256, error);
    if (status != STATUS_OK) return status;
    if (stat(path, &info) == 0) file->nbytes = (uint64_t)info.st_size;
    file->name = name;
    file->of_tokenizer = of_tokenizer;
    task->n_files++;
    sha256_update(whole, name, strlen(name) + 1);
    sha256_update(whole, file->sha256, SHA256_HEX_LEN);
    return STATUS_OK;
}

static enum status hash_model(struct provenance_task *task, struct error *error) {
    const struct model *model = task->model;
    struct sha256 *whole;
    enum status status = sha256_create(&whole, error);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < model->n_files && status == STATUS_OK; i++) {
        // A file given with --labels may lie anywhere; the names themselves count below.
        if (!model->files[i].in_dir) continue;
        status = add_file(task, whole, model->files[i].name, false, error);
    }
    for (int32_t k = 0; k < model->config.n_labels; k++) {
        sha256_update(whole, model->labels[k], strlen(model->labels[k]) + 1);
    }
    if (status == STATUS_OK) {
        status = sha256_finish(whole, task->provenance.model_sha256, error);
    }
    sha256_destroy(whole);
    return status;
}

static enum status hash_tokenizer(struct provenance_task *task, struct error *error) {
    struct sha256 *whole;
    enum status status = sha256_create(&whole, error);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < ARRAY_LEN(tokenizer_names) && status == STATUS_OK; i++) {
        char path[PATH_NBYTES_MAX];
        status = path_join(path, sizeof path, task->dir, tokenizer_names[i], error);
        if (status != STATUS_OK) break;
        if (access(path, F_OK) == 0) {
            status = add_file(task, whole, tokenizer_names[i], true, error);
        } else if (errno != ENOENT && errno != ENOTDIR) {
            status = error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
        }
    }
    if (status == STATUS_OK) {
        status = sha256_finish(whole, task->provenance.tokenizer_sha256, error);
    }
    sha256_destroy(whole);
    return status;
}

static void *run(void *argument) {
    struct provenance_task *task = argument;
    task->status = hash_model(task, &task->error);
    if (task->status == STATUS_OK) task->status = hash_tokenizer(task, &task->error);
    atomic_store(&task->ready, true);
    return NULL;
}

enum status provenance_start(const struct model *model, const char *dir,
                             struct provenance_task **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "hashing the model", error);
    if (status != STATUS_OK) return status;
    struct provenance_task *task = memory;
    status = alloc_zeroed(&memory, model->n_files + ARRAY_LEN(tokenizer_names), sizeof *task->files,
                          "hashing the model", error);
    if (status != STATUS_OK) {
        free(task);
        return status;
    }
    task->files = memory;
    task->model = model;
    task->dir = dir;
    task->provenance.weights_name = model->weights_name;
    int reason = pthread_create(&task->thread, NULL, run, task);
    if (reason != 0) {
        free(task->files);
        free(task);
        return error_set(error, STATUS_IO, "cannot start a thread: %s", strerror(reason));
    }
    *out = task;
    return STATUS_OK;
}

static void join(struct provenance_task *task) {
    if (!task->joined) pthread_join(task->thread, NULL);
    task->joined = true;
}

enum status provenance_wait(struct provenance_task *task, struct provenance *out,
                            struct error *error) {
    join(task);
    *out = task->provenance;
    if (task->status != STATUS_OK && error != NULL) *error = task->error;
    return task->status;
}

bool provenance_is_ready(const struct provenance_task *task) {
    return atomic_load(&task->ready);
}

const struct provenance_file *provenance_files(const struct provenance_task *task, size_t *n) {
    *n = task->n_files;
    return task->files;
}

void provenance_finish(struct provenance_task *task) {
    if (task == NULL) return;
    join(task);
    free(task->files);
    free(task);
}

// SPDX-License-Identifier: Apache-2.0
#include "host/job/provenance.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct provenance_task {
    const struct model *model;
    const char *dir;
    struct provenance provenance;
    pthread_t thread;
    bool joined;
    enum status status;
    struct error error;
};

// Feeds the hash of one file, under its name, to the hash of the whole.
static enum status add_file(struct sha256 *whole, const char *dir, const char *name,
                            struct error *error) {
    char path[PATH_NBYTES_MAX], hex[SHA256_HEX_LEN + 1];
    enum status status = path_join(path, sizeof path, dir, name, error);
    if (status == STATUS_OK) status = sha256_file(path, NULL, hex, error);
    if (status != STATUS_OK) return status;
    sha256_update(whole, name, strlen(name) + 1);
    sha256_update(whole, hex, SHA256_HEX_LEN);
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
        status = add_file(whole, task->dir, model->files[i].name, error);
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
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "vocab.txt"};
    struct sha256 *whole;
    enum status status = sha256_create(&whole, error);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < ARRAY_LEN(names) && status == STATUS_OK; i++) {
        char path[PATH_NBYTES_MAX];
        status = path_join(path, sizeof path, task->dir, names[i], error);
        if (status != STATUS_OK) break;
        if (access(path, F_OK) == 0) {
            status = add_file(whole, task->dir, names[i], error);
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
    return NULL;
}

enum status provenance_start(const struct model *model, const char *dir,
                             struct provenance_task **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "hashing the model", error);
    if (status != STATUS_OK) return status;
    struct provenance_task *task = memory;
    task->model = model;
    task->dir = dir;
    task->provenance.weights_name = model->weights_name;
    int reason = pthread_create(&task->thread, NULL, run, task);
    if (reason != 0) {
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

void provenance_finish(struct provenance_task *task) {
    if (task == NULL) return;
    join(task);
    free(task);
}

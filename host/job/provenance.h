// SPDX-License-Identifier: Apache-2.0
//
// Which model made these labels: hashes of its files, computed on a thread of their own while the
// job already runs.
#ifndef WADER_HOST_JOB_PROVENANCE_H
#define WADER_HOST_JOB_PROVENANCE_H

#include "host/job/commit.h"
#include "weights/model.h"

struct provenance_task;

// `model` and `dir` must live until the task is finished.
enum status provenance_start(const struct model *model, const char *dir,
                             struct provenance_task **out, struct error *error);

// Waits for the hashes; may be called for each output of a run. STATUS_IO when a file of the model
// cannot be read any more. `settings` of the result is the caller's to fill in.
enum status provenance_wait(struct provenance_task *task, struct provenance *out,
                            struct error *error);

// Whether provenance_wait would not have to wait.
bool provenance_is_ready(const struct provenance_task *task);

// The files that were hashed, [*n], the task's own; valid after provenance_wait gave STATUS_OK.
struct provenance_file {
    const char *name;  // in the model's directory
    bool of_tokenizer;
    uint64_t nbytes;
    char sha256[SHA256_HEX_LEN + 1];
};
const struct provenance_file *provenance_files(const struct provenance_task *task, size_t *n);

void provenance_finish(struct provenance_task *task);  // NULL is fine

#endif

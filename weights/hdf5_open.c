// SPDX-License-Identifier: Apache-2.0
#include "weights/hdf5_open.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "weights/dtype.h"
#include "weights/hdf5_child.h"
#include "weights/hdf5_library.h"
#include "weights/hdf5_transpose.h"
#include "weights/quote.h"

// What the library gets beyond the file, for its own tables; reading what a file unfolds to, it
// holds one dataset twice over. Seconds are many times what a slow machine takes.
enum { LIBRARY_NBYTES = 64 << 20, CPU_SECONDS = 5, NBYTES_PER_SECOND = 4 << 20, PATIENCE = 24 };

// The signature stands at the beginning, or at 512 and any doubling of it, behind what somebody put
// there (the format's specification, version 3.0, II.A).
static bool has_signature(struct span image) {
    static const char signature[] = "\211HDF\r\n\032\n";
    const size_t n = sizeof signature - 1;
    for (size_t at = 0; at <= image.len && image.len - at >= n; at = at == 0 ? 512 : 2 * at) {
        if (memcmp(image.ptr + at, signature, n) == 0) return true;
    }
    return false;
}

static struct child_limits limits_for(size_t file_nbytes, const struct hdf5_plan *plan) {
    size_t n_read = 0, largest = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct hdf5_weight *weight = &plan->weights[i];
        if (weight->source != HDF5_READ) continue;
        n_read += weight->nbytes;
        if (weight->nbytes > largest) largest = weight->nbytes;
    }
    struct child_limits limits = {
        .memory_nbytes = LIBRARY_NBYTES + file_nbytes + 2 * largest,
        .cpu_seconds = CPU_SECONDS + (unsigned)(n_read / NBYTES_PER_SECOND),
    };
    limits.wall_seconds = PATIENCE * limits.cpu_seconds;
    return limits;
}

// Runs one of the jobs and tells how it went.
static enum status run_job(void (*work)(void *), struct hdf5_job *job, const char *path,
                           const struct child_limits *limits, struct error *error) {
    struct child_end end;
    job->list->done = 0;
    enum status status = child_run(work, job, limits, &end, error);
    if (status != STATUS_OK || (job->list->done != 0 && end.signal == 0 && end.exit_code <= 0)) {
        return status;
    }
    if (end.signal == SIGXCPU || end.signal == SIGKILL || end.signal == SIGALRM) {
        return error_set(error, STATUS_MODEL,
                         "%s: damaged: the HDF5 library did not come to an end with it in %u "
                         "seconds (signal %d)",
                         path, limits->cpu_seconds, end.signal);
    }
    if (end.signal != 0) {
        return error_set(error, STATUS_MODEL,
                         "%s: damaged: the HDF5 library could not read it (signal %d)", path,
                         end.signal);
    }
    const char *failure = job->list->failure;
    const size_t len = strnlen(failure, sizeof job->list->failure);
    if (len == 0) {
        return error_set(error, STATUS_MODEL,
                         "%s: damaged: the HDF5 library could not read it (it ended with %d)", path,
                         end.exit_code);
    }
    return error_set(error, STATUS_MODEL,
                     "%s: damaged, cut short, or of a newer HDF5: the library cannot read it: %s",
                     path, quote((struct span){failure, len}).text);
}

static void turn_kernels(const struct hdf5_plan *plan, const char *image, char *room) {
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct hdf5_weight *weight = &plan->weights[i];
        if (weight->source != HDF5_TRANSPOSED || weight->nbytes == 0) continue;
        const enum dtype dtype = weight->dataset->format == HDF5_F16 ? DTYPE_F16 : DTYPE_F32;
        const char *kernel = image + weight->dataset->offset;
        hdf5_transpose(kernel, (size_t)weight->dataset->dims[0], (size_t)weight->dataset->dims[1],
                       dtype_size(dtype), room + weight->room_offset);
        tensor_forget((struct tensor){kernel, weight->nbytes / dtype_size(dtype), dtype});
    }
}

static bool needs_reading(const struct hdf5_plan *plan) {
    for (size_t i = 0; i < plan->n_weights; i++) {
        if (plan->weights[i].source == HDF5_READ && plan->weights[i].nbytes > 0) return true;
    }
    return false;
}

// Lists, plans and reads, with `job->list` there and zeroed.
static enum status read_file(struct hdf5_job *job, const char *path, struct model_files *files,
                             struct tensor_table *table, struct error *error) {
    struct hdf5_plan plan = {0};
    const struct child_limits listing = limits_for(job->image.len, &plan);
    enum status status = run_job(hdf5_list_datasets, job, path, &listing, error);
    if (status != STATUS_OK) return status;
    // All of it will be read, once.
    madvise((void *)(uintptr_t)job->image.ptr, job->image.len, MADV_WILLNEED);
    status = hdf5_plan_make(job->list, job->image.len, path, &plan, error);
    if (status == STATUS_OK) status = model_files_room(files, plan.room_nbytes, &job->room, error);
    if (status == STATUS_OK && needs_reading(&plan)) {
        const struct child_limits reading = limits_for(job->image.len, &plan);
        job->plan = &plan;
        status = run_job(hdf5_read_datasets, job, path, &reading, error);
    }
    if (status == STATUS_OK) {
        turn_kernels(&plan, job->image.ptr, job->room);
        status = hdf5_plan_table(&plan, job->image.ptr, job->room, path, table, error);
    }
    hdf5_plan_free(&plan);
    return status;
}

enum status hdf5_open(const char *dir, const char *name, struct model_files *files,
                      struct tensor_table *table, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct hdf5_job job = {.list = NULL};
    *table = (struct tensor_table){0};
    enum status status = model_files_add(files, dir, name, path, &job.image, error);
    if (status != STATUS_OK) return status;
    if (!has_signature(job.image)) {
        return error_set(error, STATUS_MODEL,
                         "%s: this is no HDF5 file: it lacks the signature that one begins with",
                         path);
    }
    void *list =
        mmap(NULL, sizeof *job.list, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (list == MAP_FAILED) {
        return error_set(error, STATUS_IO, "out of memory for the list of datasets: %s",
                         strerror(errno));
    }
    job.list = list;
    status = read_file(&job, path, files, table, error);
    munmap(list, sizeof *job.list);
    return status;
}

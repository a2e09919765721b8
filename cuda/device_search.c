// SPDX-License-Identifier: Apache-2.0
//
// Finding devices with a time limit: the first question to a driver can hang like any other.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/device_worker.h"
#include "cuda/encoder_cuda.h"

static atomic_bool is_stuck;

bool encoder_cuda_is_stuck(void) {
    return is_stuck;
}

void worker_mark_stuck(void) {
    is_stuck = true;
}

// Shared by both threads; a search that came back too late keeps it.
struct search {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
    struct cuda_devices devices;
};

static void *run(void *argument) {
    struct search *search = argument;
    struct cuda_devices devices;
    cuda_devices_find(&devices);
    pthread_mutex_lock(&search->mutex);
    search->devices = devices;
    search->is_done = true;
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->mutex);
    return NULL;
}

// As in worker_queue.c: seconds are counted, so that a process that was stopped loses but one.
static bool await(struct search *search, int32_t timeout_seconds) {
    pthread_mutex_lock(&search->mutex);
    for (int32_t n_passed = 0; !search->is_done && n_passed < timeout_seconds;) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        const int reason = pthread_cond_timedwait(&search->changed, &search->mutex, &until);
        if (reason == ETIMEDOUT) n_passed++;
    }
    const bool is_done = search->is_done;
    pthread_mutex_unlock(&search->mutex);
    return is_done;
}

enum status encoder_cuda_find_devices(int32_t timeout_seconds, struct cuda_devices *devices,
                                      struct error *error) {
    void *memory;
    *devices = (struct cuda_devices){0};
    enum status status = alloc_zeroed(&memory, 1, sizeof(struct search), "finding GPUs", error);
    if (status != STATUS_OK) return status;
    struct search *search = memory;
    pthread_t thread;
    pthread_mutex_init(&search->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&search->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int reason = pthread_create(&thread, NULL, run, search);
    if (reason != 0) {
        status = error_set(error, STATUS_IO, "cannot start the thread that finds GPUs: %s",
                           strerror(reason));
    } else if (!await(search, timeout_seconds)) {
        worker_mark_stuck();
        return error_set(error, STATUS_AGAIN,
                         "the NVIDIA driver did not say within %d seconds (--gpu-timeout) which "
                         "devices there are; it hangs",
                         (int)timeout_seconds);
    } else {
        pthread_join(thread, NULL);
        *devices = search->devices;
    }
    pthread_cond_destroy(&search->changed);
    pthread_mutex_destroy(&search->mutex);
    free(search);
    return status;
}

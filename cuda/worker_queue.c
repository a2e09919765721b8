// SPDX-License-Identifier: Apache-2.0
//
// What a device's thread and those who wait for it tell each other.
//
// The time limit is counted in waits of a second, not read from a clock: a process that was stopped
// for an hour has waited for one second more.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/device_worker.h"

// ---- the thread's side

enum worker_step worker_next_step(struct device_worker *worker) {
    pthread_mutex_lock(&worker->mutex);
    while (worker->step == WORKER_NOTHING) pthread_cond_wait(&worker->asked, &worker->mutex);
    const enum worker_step step = worker->step;
    worker->step = WORKER_NOTHING;
    pthread_mutex_unlock(&worker->mutex);
    return step;
}

void worker_report(struct device_worker *worker, enum status status, bool out_of_memory,
                   const struct error *error) {
    pthread_mutex_lock(&worker->mutex);
    worker->reported = true;
    worker->status = status;
    worker->out_of_memory = out_of_memory;
    if (status != STATUS_OK && !worker->lost) worker->error = *error;
    worker->n_progress++;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
}

void worker_lose(struct device_worker *worker, const struct error *error) {
    pthread_mutex_lock(&worker->mutex);
    if (!worker->lost) worker->error = *error;
    worker->lost = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
}

void worker_progress(struct device_worker *worker) {
    pthread_mutex_lock(&worker->mutex);
    worker->n_progress++;
    pthread_mutex_unlock(&worker->mutex);
}

static bool is_wanted(void *argument) {
    struct device_worker *worker = argument;
    pthread_mutex_lock(&worker->mutex);
    const bool wanted = !worker->stuck;
    pthread_mutex_unlock(&worker->mutex);
    return wanted;
}

static void progress(void *argument) {
    worker_progress(argument);
}

struct poll worker_poll(struct device_worker *worker) {
    return (struct poll){.go_on = is_wanted, .done = progress, .context = worker};
}

int32_t worker_take(struct device_worker *worker) {
    int32_t i = WORKER_NONE;
    pthread_mutex_lock(&worker->mutex);
    while (!worker->lost && worker->step == WORKER_NOTHING && worker->n_running == 0 &&
           worker->n_waiting == 0) {
        pthread_cond_wait(&worker->asked, &worker->mutex);
    }
    if (worker->lost) {
        i = WORKER_LEAVE;
    } else if (worker->n_waiting > 0) {
        i = worker->queue[(worker->first + worker->n_running) % worker->n_batches];
        worker->n_running++;
        worker->n_waiting--;
    } else if (worker->n_running == 0) {
        i = WORKER_LEAVE;
    }
    pthread_mutex_unlock(&worker->mutex);
    return i;
}

void worker_finish(struct device_worker *worker) {
    pthread_mutex_lock(&worker->mutex);
    worker->batches[worker->queue[worker->first]].is_done = !worker->lost;
    worker->first = (worker->first + 1) % worker->n_batches;
    worker->n_running--;
    worker->n_progress++;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->mutex);
}

// ---- the other side

static void destroy(struct device_worker *worker) {
    pthread_cond_destroy(&worker->changed);
    pthread_cond_destroy(&worker->asked);
    pthread_mutex_destroy(&worker->mutex);
    free(worker->batches);
    free(worker->queue);
    if (worker->profile != NULL) {
        free(worker->profile->marks.events);
        free(worker->profile->marks.works);
    }
    free(worker->profile);
}

enum status worker_start(struct device_worker *worker, struct error *error) {
    const size_t n = (size_t)worker->n_batches;
    void *batches, *queue;
    enum status status = alloc_zeroed(&batches, n, sizeof *worker->batches, "batches", error);
    if (status != STATUS_OK) return status;
    status = alloc_zeroed(&queue, n, sizeof *worker->queue, "batches", error);
    if (status != STATUS_OK) {
        free(batches);
        return status;
    }
    worker->batches = batches;
    worker->queue = queue;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->asked, NULL);
    pthread_cond_init(&worker->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int reason = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (reason == 0) return STATUS_OK;
    destroy(worker);
    return error_set(error, STATUS_IO, "cannot start the thread of CUDA device %d: %s",
                     (int)worker->device.index, strerror(reason));
}

void worker_ask(struct device_worker *worker, enum worker_step step) {
    pthread_mutex_lock(&worker->mutex);
    worker->step = step;
    worker->reported = false;
    pthread_cond_signal(&worker->asked);
    pthread_mutex_unlock(&worker->mutex);
}

// Waits a second at most, with the mutex held. True when that second passed.
static bool wait_second(struct device_worker *worker) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    return pthread_cond_timedwait(&worker->changed, &worker->mutex, &until) == ETIMEDOUT;
}

static void give_up(struct device_worker *worker) {
    const struct cuda_device *device = &worker->device;
    if (!worker->lost) {
        (void)error_set(&worker->error, STATUS_AGAIN,
                        "CUDA device %d (%s, %s): no progress for %d seconds (--gpu-timeout); it "
                        "hangs, or is far too slow",
                        (int)device->index, device->name, device->uuid,
                        (int)worker->timeout_seconds);
    }
    worker->lost = worker->stuck = true;
    pthread_cond_broadcast(&worker->changed);
}

// Until one of the two is set, or until there is no more hope: with the mutex held.
static void await(struct device_worker *worker, const bool *flag, const bool *other) {
    uint64_t seen = worker->n_progress;
    int32_t n_idle = 0;
    while (!*flag && !*other && !worker->stuck) {
        const bool passed = wait_second(worker);
        if (worker->n_progress != seen) {
            seen = worker->n_progress;
            n_idle = 0;
        } else if (passed && ++n_idle >= worker->timeout_seconds) {
            give_up(worker);
        }
    }
}

enum status worker_await(struct device_worker *worker, bool *out_of_memory, struct error *error) {
    pthread_mutex_lock(&worker->mutex);
    await(worker, &worker->reported, &worker->stuck);
    const enum status status = worker->stuck ? STATUS_AGAIN : worker->status;
    *out_of_memory = !worker->stuck && worker->out_of_memory;
    if (status != STATUS_OK && error != NULL) *error = worker->error;
    pthread_mutex_unlock(&worker->mutex);
    return status;
}

void worker_submit(struct device_worker *worker, int32_t batch) {
    pthread_mutex_lock(&worker->mutex);
    worker->batches[batch].is_done = worker->batches[batch].slot.n_titles == 0;
    worker->batches[batch].slot.seconds = 0;
    if (!worker->batches[batch].is_done && !worker->lost) {
        assert(worker->n_running + worker->n_waiting < worker->n_batches);
        const int32_t at = worker->first + worker->n_running + worker->n_waiting++;
        worker->queue[at % worker->n_batches] = batch;
        pthread_cond_signal(&worker->asked);
    }
    pthread_mutex_unlock(&worker->mutex);
}

enum status worker_await_batch(struct device_worker *worker, int32_t batch, struct error *error) {
    bool *is_done = &worker->batches[batch].is_done;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&worker->mutex);
    await(worker, is_done, &worker->lost);
    if (!*is_done) {
        status = STATUS_AGAIN;
        if (error != NULL) *error = worker->error;
    }
    pthread_mutex_unlock(&worker->mutex);
    return status;
}

static enum status make_profile(struct device_worker *worker, struct error *error) {
    const int32_t cap = forward_marks_cap(&worker->config);
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof *worker->profile, "a profile", error);
    if (status != STATUS_OK) return status;
    worker->profile = memory;
    struct forward_marks *marks = &worker->profile->marks;
    status = alloc_zeroed(&memory, (size_t)cap, sizeof *marks->events, "a profile", error);
    if (status != STATUS_OK) return status;
    marks->events = memory;
    status = alloc_zeroed(&memory, (size_t)cap, sizeof *marks->works, "a profile", error);
    if (status != STATUS_OK) return status;
    marks->works = memory;
    marks->cap = cap;
    return STATUS_OK;
}

enum status worker_check(struct device_worker *worker, struct error *error) {
    pthread_mutex_lock(&worker->mutex);
    const enum status status = worker->lost ? STATUS_AGAIN : STATUS_OK;
    if (status != STATUS_OK && error != NULL) *error = worker->error;
    pthread_mutex_unlock(&worker->mutex);
    return status;
}

enum status worker_profile(struct device_worker *worker, int32_t batch,
                           struct encoder_profile *profile, struct error *error) {
    bool out_of_memory;
    enum status status = worker_check(worker, error);
    if (status != STATUS_OK) return status;
    if (worker->profile == NULL) status = make_profile(worker, error);
    if (status != STATUS_OK) return status;
    worker->profile->batch = batch;
    worker_ask(worker, WORKER_PROFILE);
    status = worker_await(worker, &out_of_memory, error);
    if (status != STATUS_OK) return status;
    *profile = worker->profile->seconds;
    worker_ask(worker, WORKER_SERVE);
    return worker_await(worker, &out_of_memory, error);
}

bool worker_join(struct device_worker *worker) {
    pthread_mutex_lock(&worker->mutex);
    const bool stuck = worker->stuck;
    pthread_mutex_unlock(&worker->mutex);
    if (stuck) return false;
    pthread_join(worker->thread, NULL);
    destroy(worker);
    return true;
}

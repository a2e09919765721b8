// SPDX-License-Identifier: Apache-2.0
#include "host/job/verify_set.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { THREADS_MAX = 64, LOOK_MS = 50 };

struct crew {
    struct verify_set *set;
    atomic_size_t next;  // the first item that nobody has taken
    _Atomic uint64_t nbytes;
    pthread_mutex_t mutex;
    pthread_cond_t left;  // one of the threads has
    int n_working;
    enum status status;  // the first one that is no verdict
    struct error error;
};

struct worker {
    struct crew *crew;
    pthread_t thread;
    struct label_tally tally;
};

static void note(struct crew *crew, enum status status, const struct error *error) {
    pthread_mutex_lock(&crew->mutex);
    if (crew->status == STATUS_OK) {
        crew->status = status;
        crew->error = *error;
    }
    pthread_mutex_unlock(&crew->mutex);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    struct verify_set *set = crew->set;
    struct verify_request request = set->request;
    request.nbytes = &crew->nbytes;
    request.tally = set->with_tally && !request.quick ? &worker->tally : NULL;
    for (size_t i; (i = atomic_fetch_add(&crew->next, 1)) < set->n;) {
        struct error error;
        const enum status status = verify_output(&request, &set->items[i], &error);
        if (status == STATUS_OK) continue;
        note(crew, status, &error);
        atomic_store(&crew->next, set->n);  // nobody needs to begin another one
    }
    pthread_mutex_lock(&crew->mutex);
    crew->n_working--;
    pthread_cond_signal(&crew->left);
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

static void await(struct crew *crew, const struct verify_watcher *watcher) {
    pthread_mutex_lock(&crew->mutex);
    while (crew->n_working > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&crew->left, &crew->mutex, &until);
        if (watcher == NULL) continue;
        pthread_mutex_unlock(&crew->mutex);
        watcher->show(watcher->context, crew->nbytes, crew->set->total_nbytes);
        pthread_mutex_lock(&crew->mutex);
    }
    pthread_mutex_unlock(&crew->mutex);
}

static enum status run_crew(struct crew *crew, struct worker *workers, int n_workers,
                            const struct verify_watcher *watcher, struct error *error) {
    int n_started = 0;
    crew->n_working = n_workers;
    for (; n_started < n_workers; n_started++) {
        workers[n_started].crew = crew;
        const int reason =
            pthread_create(&workers[n_started].thread, NULL, work, &workers[n_started]);
        if (reason == 0) continue;
        struct error fault;
        const enum status status =
            error_set(&fault, STATUS_IO, "cannot start a thread: %s", strerror(reason));
        note(crew, status, &fault);
        atomic_store(&crew->next, crew->set->n);
        pthread_mutex_lock(&crew->mutex);
        crew->n_working -= n_workers - n_started;
        pthread_mutex_unlock(&crew->mutex);
        break;
    }
    await(crew, watcher);
    for (int i = 0; i < n_started; i++) {
        pthread_join(workers[i].thread, NULL);
        label_tally_merge(&crew->set->tally, &workers[i].tally);
        label_tally_free(&workers[i].tally);
    }
    if (crew->status != STATUS_OK && error != NULL) *error = crew->error;
    return crew->status;
}

enum status verify_set_run(struct verify_set *set, const struct verify_watcher *watcher,
                           struct error *error) {
    int n_workers = set->n_threads < THREADS_MAX ? set->n_threads : THREADS_MAX;
    if ((size_t)n_workers > set->n) n_workers = (int)set->n;
    if (n_workers < 1) n_workers = 1;
    for (size_t i = 0; i < set->n; i++) {
        struct stat info;
        if (stat(set->items[i].output, &info) == 0) set->total_nbytes += (uint64_t)info.st_size;
    }
    void *memory;
    enum status status =
        alloc_zeroed(&memory, (size_t)n_workers, sizeof(struct worker), "threads", error);
    if (status != STATUS_OK) return status;
    struct crew crew = {.set = set};
    pthread_mutex_init(&crew.mutex, NULL);
    pthread_cond_init(&crew.left, NULL);
    status = run_crew(&crew, memory, n_workers, watcher, error);
    pthread_cond_destroy(&crew.left);
    pthread_mutex_destroy(&crew.mutex);
    free(memory);
    return status == STATUS_OK ? verify_set_compare(set->items, set->n, error) : status;
}

void verify_set_free(struct verify_set *set) {
    for (size_t i = 0; i < set->n; i++) verify_item_free(&set->items[i]);
    label_tally_free(&set->tally);
}

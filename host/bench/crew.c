// SPDX-License-Identifier: Apache-2.0
#include "host/bench/crew.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct crew *crew;
    int32_t index;
};

struct crew {
    pthread_t *threads;      // [n_threads]
    struct member *members;  // [n_threads]
    int32_t n_threads;

    pthread_mutex_t mutex;  // guards all below
    pthread_cond_t asked, done;
    void (*work)(void *context, int32_t i);
    void *context;
    int32_t n_wanted;  // threads that work
    int32_t n_busy;    // and have not ended
    uint64_t n_asked;  // grows with every crew_run
    bool leaving;
};

static void *member_main(void *argument) {
    struct member *member = argument;
    struct crew *crew = member->crew;
    uint64_t n_seen = 0;
    pthread_mutex_lock(&crew->mutex);
    while (!crew->leaving) {
        if (crew->n_asked == n_seen) {
            pthread_cond_wait(&crew->asked, &crew->mutex);
            continue;
        }
        n_seen = crew->n_asked;
        if (member->index >= crew->n_wanted) continue;
        pthread_mutex_unlock(&crew->mutex);
        crew->work(crew->context, member->index);
        pthread_mutex_lock(&crew->mutex);
        if (--crew->n_busy == 0) pthread_cond_signal(&crew->done);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

enum status crew_create(int32_t n_threads, struct crew **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "threads", error);
    if (status != STATUS_OK) return status;
    struct crew *crew = memory;
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->asked, NULL);
    pthread_cond_init(&crew->done, NULL);
    status = alloc_zeroed(&memory, (size_t)n_threads, sizeof *crew->threads, "threads", error);
    if (status == STATUS_OK) {
        crew->threads = memory;
        status = alloc_zeroed(&memory, (size_t)n_threads, sizeof *crew->members, "threads", error);
        crew->members = memory;
    }
    while (status == STATUS_OK && crew->n_threads < n_threads) {
        struct member *member = &crew->members[crew->n_threads];
        *member = (struct member){crew, crew->n_threads};
        const int reason =
            pthread_create(&crew->threads[crew->n_threads], NULL, member_main, member);
        if (reason != 0) {
            status = error_set(error, STATUS_IO, "cannot start thread %d of %d: %s",
                               (int)crew->n_threads + 1, (int)n_threads, strerror(reason));
            break;
        }
        crew->n_threads++;
    }
    if (status != STATUS_OK) {
        crew_destroy(crew);
        return status;
    }
    *out = crew;
    return STATUS_OK;
}

void crew_destroy(struct crew *crew) {
    if (crew == NULL) return;
    pthread_mutex_lock(&crew->mutex);
    crew->leaving = true;
    pthread_cond_broadcast(&crew->asked);
    pthread_mutex_unlock(&crew->mutex);
    for (int32_t i = 0; i < crew->n_threads; i++) pthread_join(crew->threads[i], NULL);
    pthread_cond_destroy(&crew->done);
    pthread_cond_destroy(&crew->asked);
    pthread_mutex_destroy(&crew->mutex);
    free(crew->members);
    free(crew->threads);
    free(crew);
}

double crew_run(struct crew *crew, int32_t n_threads, void (*work)(void *context, int32_t i),
                void *context) {
    assert(n_threads >= 1 && n_threads <= crew->n_threads);
    pthread_mutex_lock(&crew->mutex);
    crew->work = work;
    crew->context = context;
    crew->n_wanted = crew->n_busy = n_threads;
    crew->n_asked++;
    const double begin = now_seconds();
    pthread_cond_broadcast(&crew->asked);
    while (crew->n_busy > 0) pthread_cond_wait(&crew->done, &crew->mutex);
    const double seconds = now_seconds() - begin;
    pthread_mutex_unlock(&crew->mutex);
    return seconds;
}

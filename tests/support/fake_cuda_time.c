// SPDX-License-Identifier: Apache-2.0
//
// Time on fake devices. A device of silicon begins a pass the moment that the one before ends and
// its inputs are there; a thread that plays it comes a little later. So each stream has a place in
// time of its own: an operation begins there, or when it was enqueued, or when the event that it
// waits for was, whichever is last.
#include <math.h>
#include <time.h>

#include "tests/support/fake_cuda_world.h"

static bool takes_time(const struct fake_operation *operation) {
    return fake_spec.pass_seconds > 0 &&
           (operation->kind == OP_PASS || operation->kind == OP_GRAPH);
}

static void count(struct fake_use *use, double begin, double end) {
    if (use->n_passes++ == 0) use->begin = begin;
    use->busy_seconds += end - begin;
    use->end = end;
}

bool fake_time_is_over(struct CUstream_st *stream, const struct fake_operation *operation,
                       int32_t n_tokens) {
    stream->at = fmax(stream->at, operation->enqueued);
    if (operation->kind == OP_WAIT) stream->at = fmax(stream->at, operation->event->at);
    if (operation->kind == OP_COPY) stream->at = now_seconds();
    if (operation->kind == OP_RECORD) operation->event->at = stream->at;
    if (!takes_time(operation)) return true;
    stream->ends = stream->at + fake_spec.pass_seconds;
    if (n_tokens > 0) count(&stream->device->use, stream->at, stream->ends);
    stream->at = stream->ends;
    return false;
}

void fake_time_end_passes(struct fake_device *device) {
    for (struct CUstream_st *s = device->streams; s != NULL; s = s->next) {
        if (s->ends == 0 || s->ends > now_seconds()) continue;
        s->ends = 0;
        fake_pop(&s->queue);
        pthread_cond_broadcast(&device->changed);
    }
}

void fake_time_condition(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void fake_time_wait(struct fake_device *device) {
    double first = INFINITY;
    for (const struct CUstream_st *s = device->streams; s != NULL; s = s->next) {
        if (s->ends > 0) first = fmin(first, s->ends);
    }
    if (isinf(first)) {
        pthread_cond_wait(&device->changed, &device->mutex);
        return;
    }
    const struct timespec until = {.tv_sec = (time_t)first,
                                   .tv_nsec = (long)(1e9 * (first - floor(first)))};
    (void)pthread_cond_timedwait(&device->changed, &device->mutex, &until);
}

struct fake_use fake_cuda_use(int32_t device) {
    struct fake_device *used = fake_use(device);
    pthread_mutex_lock(&used->mutex);
    const struct fake_use use = used->use;
    pthread_mutex_unlock(&used->mutex);
    return use;
}

// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_cuda.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fake_cuda_world.h"

struct fake_cuda_spec fake_spec;

static struct fake_device devices[FAKE_DEVICES_MAX];
static _Thread_local struct fake_device *current;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  // guards all below
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released, struck;
static char broken[256];

const char *fake_call_name(enum fake_call call) {
#define FAKE_CALL_TEXT(name, text) text,
    static const char *const names[] = {FAKE_CALL_LIST(FAKE_CALL_TEXT)};
#undef FAKE_CALL_TEXT
    return names[call];
}

void fake_broken(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&mutex);
    if (broken[0] == '\0') vsnprintf(broken, sizeof broken, format, arguments);
    pthread_mutex_unlock(&mutex);
    va_end(arguments);
}

const char *fake_cuda_broken(void) {
    static char text[sizeof broken];
    pthread_mutex_lock(&mutex);
    memcpy(text, broken, sizeof text);
    pthread_mutex_unlock(&mutex);
    return text;
}

void *fake_zeroed(size_t nbytes) {
    void *memory = calloc(1, nbytes);
    if (memory != NULL) return memory;
    perror("fake CUDA");
    exit(1);
}

// ---- what goes wrong

void fake_hang(void) {
    pthread_mutex_lock(&mutex);
    while (!released) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

void fake_cuda_release(void) {
    pthread_mutex_lock(&mutex);
    released = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

bool fake_cuda_struck(void) {
    pthread_mutex_lock(&mutex);
    const bool result = struck;
    pthread_mutex_unlock(&mutex);
    return result;
}

// Whatever runs comes to its end, what waits never begins.
static void die(struct fake_device *device, int code) {
    device->dead = code;
    while (device->runs) pthread_cond_wait(&device->changed, &device->mutex);
    for (struct CUstream_st *s = device->streams; s != NULL; s = s->next) {
        fake_clear(&s->queue);
        s->ends = 0;
    }
}

// With the device's mutex: one more of these, and what comes of it.
static int strike(struct fake_device *device, enum fake_call call) {
    const struct fake_fault *fault = &fake_spec.fault;
    device->n_calls[call]++;
    if (fault->device != device->index || fault->call != call ||
        fault->nth != device->n_calls[call]) {
        return device->dead;
    }
    pthread_mutex_lock(&mutex);
    struck = true;
    pthread_mutex_unlock(&mutex);
    if (fault->trouble == FAKE_FAILS) return fault->code;
    if (fault->trouble == FAKE_DIES) die(device, fault->code);
    if (fault->trouble == FAKE_HANGS) {
        pthread_mutex_unlock(&device->mutex);
        fake_hang();
        pthread_mutex_lock(&device->mutex);
    }
    return device->dead;
}

// ---- calls

struct fake_device *fake_current(void) {
    if (current != NULL) return current;
    fprintf(stderr, "fake CUDA: a thread calls before gpu_use\n");
    abort();
}

struct fake_device *fake_use(int32_t index) {
    if (index < 0 || index >= fake_spec.n_devices) {
        fprintf(stderr, "fake CUDA: there is no device %d\n", (int)index);
        abort();
    }
    return current = &devices[index];
}

// While a stream is captured, what may not happen (in the runtime it would spoil the capture).
static bool is_unsafe(enum fake_call call) {
    return call == FAKE_ALLOC || call == FAKE_FREE || call == FAKE_PINNED ||
           call == FAKE_PINNED_FREE || call == FAKE_STREAM_QUERY || call == FAKE_EVENT_QUERY;
}

void fake_change_owner(struct fake_device *device) {
    pthread_mutex_lock(&device->mutex);
    int64_t n = 0;
    for (int i = 0; i < FAKE_THINGS; i++) n += device->n_alive[i];
    if (n == 0) device->owner = pthread_self();
    pthread_mutex_unlock(&device->mutex);
}

int fake_enter(struct fake_device *device, enum fake_call call) {
    pthread_mutex_lock(&device->mutex);
    if (!pthread_equal(device->owner, pthread_self())) {
        fake_broken("a second thread calls %s for device %d", fake_call_name(call),
                    (int)device->index);
    }
    for (const struct CUstream_st *s = device->streams; s != NULL && is_unsafe(call); s = s->next) {
        if (s->captured != NULL) fake_broken("%s during a capture", fake_call_name(call));
    }
    return strike(device, call);
}

void fake_leave(struct fake_device *device) {
    pthread_mutex_unlock(&device->mutex);
}

// ---- what a device has to do

static void push(struct fake_queue *queue, const struct fake_operation *operation) {
    struct fake_operation *copy = fake_zeroed(sizeof *copy);
    *copy = *operation;
    copy->next = NULL;
    copy->enqueued = now_seconds();
    *(queue->first == NULL ? &queue->first : &queue->last->next) = copy;
    queue->last = copy;
}

void fake_pop(struct fake_queue *queue) {
    struct fake_operation *first = queue->first;
    queue->first = first->next;
    free(first);
}

void fake_clear(struct fake_queue *queue) {
    while (queue->first != NULL) fake_pop(queue);
}

void fake_enqueue(struct CUstream_st *stream, const struct fake_operation *operation) {
    if (stream->captured != NULL) {
        if (operation->kind != OP_PRODUCT && operation->kind != OP_PASS) {
            fake_broken("more than a pass in a capture");
        }
        push(&stream->captured->queue, operation);
        return;
    }
    push(&stream->queue, operation);
    pthread_cond_broadcast(&stream->device->changed);
}

void fake_require(const struct fake_device *device, const void *begin, size_t nbytes,
                  bool is_pinned) {
    const char *first = begin;
    for (const struct fake_block *b = device->blocks; b != NULL; b = b->next) {
        if (b->is_pinned == is_pinned && first >= b->begin && first <= b->begin + b->nbytes &&
            nbytes <= (size_t)(b->begin + b->nbytes - first)) {
            return;
        }
    }
    fake_broken("%zu bytes that are not %s memory of device %d", nbytes,
                is_pinned ? "pinned" : "device", (int)device->index);
}

static bool uses(const struct fake_operation *operation, const char *thing, size_t nbytes) {
    if ((const char *)operation->event == thing || (const char *)operation->graph == thing) {
        return true;
    }
    const struct fake_operation *inner =
        operation->kind == OP_GRAPH ? operation->graph->queue.first : NULL;
    for (; inner != NULL; inner = inner->next) {
        if (uses(inner, thing, nbytes)) return true;
    }
    const char *to = operation->to, *from = operation->from;
    return (to != NULL && to < thing + nbytes && thing < to + operation->nbytes) ||
           (from != NULL && from < thing + nbytes && thing < from + operation->nbytes);
}

bool fake_is_used(struct fake_device *device, const void *thing, size_t nbytes) {
    for (const struct CUstream_st *s = device->streams; s != NULL; s = s->next) {
        for (const struct fake_operation *o = s->queue.first; o != NULL; o = o->next) {
            if (uses(o, thing, nbytes)) return true;
        }
    }
    return false;
}

// ---- the device at work

// Without the mutex; returns the tokens of a pass, else 0. Of large memory only what passes read is
// zeroed: inputs and outputs lie at its end.
static int32_t run(const struct fake_operation *operation) {
    enum { ZEROED = 1 << 18 };
    const size_t nbytes = operation->nbytes;
    if (operation->kind == OP_ZERO) {
        const size_t n = nbytes < ZEROED ? nbytes : ZEROED;
        memset(operation->to + (nbytes - n), 0, n);
    }
    if (operation->kind == OP_COPY) memcpy(operation->to, operation->from, nbytes);
    if (operation->kind == OP_PASS) return fake_run_pass(operation);
    if (operation->kind != OP_GRAPH) return 0;
    int32_t n_tokens = 0;
    for (const struct fake_operation *o = operation->graph->queue.first; o != NULL; o = o->next) {
        n_tokens += run(o);
    }
    return n_tokens;
}

static unsigned next_random(struct fake_device *device) {
    device->random = device->random * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(device->random >> 40);
}

static bool can_run(const struct CUstream_st *stream) {
    const struct fake_operation *first = stream->queue.first;
    return first != NULL && stream->ends == 0 &&
           (first->kind != OP_WAIT || first->event->n_done >= first->nth);
}

// Any stream whose next operation can run, or NULL.
static struct CUstream_st *pick(struct fake_device *device) {
    struct CUstream_st *picked = NULL;
    unsigned n = 0;
    for (struct CUstream_st *s = device->streams; s != NULL; s = s->next) {
        if (can_run(s) && next_random(device) % ++n == 0) picked = s;
    }
    return picked;
}

// Every other operation takes a moment.
static void delay(struct fake_device *device) {
    const unsigned us = next_random(device) % (2 * fake_spec.delay_us + 1);
    if (us <= fake_spec.delay_us) return;
    pthread_mutex_unlock(&device->mutex);
    usleep(us - fake_spec.delay_us);
    pthread_mutex_lock(&device->mutex);
}

static void run_one(struct fake_device *device, struct CUstream_st *stream) {
    struct fake_operation *first = stream->queue.first;
    device->runs = true;
    pthread_mutex_unlock(&device->mutex);
    const int32_t n_tokens = run(first);
    pthread_mutex_lock(&device->mutex);
    if (first->kind == OP_RECORD) {
        first->event->n_done = first->nth;
        first->event->seconds = now_seconds();
    }
    if (fake_time_is_over(stream, first, n_tokens)) fake_pop(&stream->queue);
    device->runs = false;
    pthread_cond_broadcast(&device->changed);
}

static void *work(void *argument) {
    struct fake_device *device = argument;
    pthread_mutex_lock(&device->mutex);
    while (!device->quit) {
        fake_time_end_passes(device);
        if (pick(device) == NULL) {
            fake_time_wait(device);
            continue;
        }
        delay(device);
        (void)strike(device, FAKE_WORK);
        struct CUstream_st *stream = pick(device);  // what there was may be gone
        if (stream != NULL) run_one(device, stream);
    }
    pthread_mutex_unlock(&device->mutex);
    return NULL;
}

// ---- for the test

void fake_cuda_start(const struct fake_cuda_spec *spec) {
    fake_spec = *spec;
    released = struck = false;
    broken[0] = '\0';
    for (int32_t d = 0; d < spec->n_devices; d++) {
        struct fake_device *device = &devices[d];
        *device = (struct fake_device){.index = d, .random = spec->seed + (unsigned)d};
        pthread_mutex_init(&device->mutex, NULL);
        fake_time_condition(&device->changed);
        if (pthread_create(&device->thread, NULL, work, device) != 0) exit(1);
    }
}

void fake_cuda_stop(void) {
    fake_cuda_release();
    for (int32_t d = 0; d < fake_spec.n_devices; d++) {
        struct fake_device *device = &devices[d];
        pthread_mutex_lock(&device->mutex);
        device->quit = true;
        pthread_cond_broadcast(&device->changed);
        pthread_mutex_unlock(&device->mutex);
        pthread_join(device->thread, NULL);
        pthread_cond_destroy(&device->changed);
        pthread_mutex_destroy(&device->mutex);
    }
}

int64_t fake_cuda_calls(int32_t device, enum fake_call call) {
    pthread_mutex_lock(&devices[device].mutex);
    const int64_t n = devices[device].n_calls[call];
    pthread_mutex_unlock(&devices[device].mutex);
    return n;
}

int64_t fake_cuda_alive(char text[256]) {
    static const char *const names[] = {"device memory", "pinned memory", "streams", "events",
                                        "graphs",        "libraries",     "products"};
    int64_t n = fake_choices_alive();
    size_t at = (size_t)snprintf(text, 256, n > 0 ? "choices;" : "");
    for (int32_t d = 0; d < fake_spec.n_devices; d++) {
        struct fake_device *device = &devices[d];
        pthread_mutex_lock(&device->mutex);
        for (int i = 0; i < FAKE_THINGS; i++) {
            if (device->n_alive[i] == 0) continue;
            n += device->n_alive[i];
            at += (size_t)snprintf(text + at, at < 256 ? 256 - at : 0, " %d: %d %s;", (int)d,
                                   (int)device->n_alive[i], names[i]);
            if (at > 255) at = 255;
        }
        pthread_mutex_unlock(&device->mutex);
    }
    return n;
}

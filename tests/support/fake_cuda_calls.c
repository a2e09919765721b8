// SPDX-License-Identifier: Apache-2.0
//
// cuda/device.h and cuda/runtime.h on fake devices.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/matmul.h"
#include "tests/support/fake_cuda_world.h"

enum { POISON = 0xA5, POISONED = 1 << 18 };

// ---- devices

struct cuda_device fake_cuda_device(int32_t index) {
    struct cuda_device device = {
        .index = index,
        .name = "Fake GPU",
        .major = 8,
        .n_multiprocessors = fake_spec.n_multiprocessors > 0 ? fake_spec.n_multiprocessors : 12,
        .memory_nbytes = (size_t)1 << 30};
    snprintf(device.uuid, sizeof device.uuid, "GPU-%08d-0000-4000-8000-000000000000", (int)index);
    return device;
}

void cuda_devices_find(struct cuda_devices *found) {
    *found = (struct cuda_devices){.n_devices = fake_spec.n_devices, .driver_version = 13000};
    if (fake_spec.hides) fake_hang();
    for (int32_t d = 0; d < found->n_devices; d++) found->devices[d] = fake_cuda_device(d);
}

int gpu_use(int32_t device) {
    struct fake_device *used = fake_use(device);
    fake_change_owner(used);
    const int code = fake_enter(used, FAKE_USE);
    fake_leave(used);
    return code;
}

// ---- memory

int gpu_memory(size_t *free_nbytes, size_t *total_nbytes) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_MEMORY);
    const size_t said = fake_spec.said_nbytes[device->index];
    *total_nbytes = code == 0 ? (said > 0 ? said : (size_t)1 << 30) : 0;
    *free_nbytes = *total_nbytes > device->used_nbytes ? *total_nbytes - device->used_nbytes : 0;
    fake_leave(device);
    return code;
}

// Nobody may count on what is in there.
static int allocate(enum fake_call call, size_t nbytes, void **out) {
    struct fake_device *device = fake_current();
    int code = fake_enter(device, call);
    const bool is_pinned = call == FAKE_PINNED;
    const size_t real = fake_spec.real_nbytes[device->index];
    if (code == 0 && !is_pinned && real > 0 && nbytes > real - device->used_nbytes) {
        code = FAKE_CODE_MEMORY;
    }
    *out = NULL;
    if (code == 0) {
        struct fake_block *block = fake_zeroed(sizeof *block);
        *block = (struct fake_block){.next = device->blocks,
                                     .begin = malloc(nbytes),
                                     .nbytes = nbytes,
                                     .is_pinned = is_pinned};
        if (block->begin == NULL) {
            perror("fake CUDA");
            exit(1);
        }
        memset(block->begin, POISON, nbytes < POISONED ? nbytes : POISONED);
        device->blocks = block;
        device->n_alive[is_pinned ? ALIVE_PINNED : ALIVE_MEMORY]++;
        if (!is_pinned) device->used_nbytes += nbytes;
        *out = block->begin;
    }
    fake_leave(device);
    return code;
}

// What is still in use stays, so that the test goes on and tells.
static int release(enum fake_call call, void *memory) {
    if (memory == NULL) return 0;
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, call);
    const bool is_pinned = call == FAKE_PINNED_FREE;
    struct fake_block **at = &device->blocks;
    while (*at != NULL && ((*at)->begin != memory || (*at)->is_pinned != is_pinned)) {
        at = &(*at)->next;
    }
    struct fake_block *block = *at;
    if (block == NULL) {
        fake_broken("%s of what is not there", fake_call_name(call));
    } else if (fake_is_used(device, memory, block->nbytes)) {
        fake_broken("%s of memory that is in use", fake_call_name(call));
    } else {
        *at = block->next;
        device->n_alive[is_pinned ? ALIVE_PINNED : ALIVE_MEMORY]--;
        if (!is_pinned) device->used_nbytes -= block->nbytes;
        free(memory);
        free(block);
    }
    fake_leave(device);
    return code;
}

int gpu_alloc(size_t nbytes, void **out) {
    return allocate(FAKE_ALLOC, nbytes, out);
}

int gpu_free(void *memory) {
    return release(FAKE_FREE, memory);
}

int gpu_alloc_pinned(size_t nbytes, void **out) {
    return allocate(FAKE_PINNED, nbytes, out);
}

int gpu_free_pinned(void *memory) {
    return release(FAKE_PINNED_FREE, memory);
}

// ---- streams

int gpu_stream_create(struct CUstream_st **out) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_STREAM);
    *out = NULL;
    if (code == 0) {
        *out = fake_zeroed(sizeof **out);
        **out = (struct CUstream_st){.device = device, .next = device->streams};
        device->streams = *out;
        device->n_alive[ALIVE_STREAM]++;
    }
    fake_leave(device);
    return code;
}

int gpu_stream_destroy(struct CUstream_st *stream) {
    if (stream == NULL) return 0;
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_STREAM_DESTROY);
    struct CUstream_st **at = &device->streams;
    while (*at != NULL && *at != stream) at = &(*at)->next;
    if (*at == NULL) {
        fake_broken("a stream destroyed that device %d does not have", (int)device->index);
    } else if (stream->queue.first != NULL || stream->captured != NULL) {
        fake_broken("a stream destroyed that has work");
    } else {
        *at = stream->next;
        device->n_alive[ALIVE_STREAM]--;
        free(stream);
    }
    fake_leave(device);
    return code;
}

int gpu_stream_is_done(struct CUstream_st *stream, bool *done) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_STREAM_QUERY);
    *done = code == 0 && stream->queue.first == NULL;
    fake_leave(device);
    return code;
}

// A call that enqueues `operation`. Memory it takes is checked: `pinned` and `memory` of the
// device, of operation->nbytes, where they are not NULL.
static int enqueue(enum fake_call call, struct CUstream_st *stream,
                   struct fake_operation *operation, const void *memory, const void *pinned) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, call);
    struct CUevent_st *event = operation->event;
    const struct CUgraphExec_st *graph = operation->graph;
    if (stream->device != device || (event != NULL && event->device != device) ||
        (graph != NULL && graph->device != device)) {
        fake_broken("%s of another device's", fake_call_name(call));
    }
    if (memory != NULL) fake_require(device, memory, operation->nbytes, false);
    if (pinned != NULL) fake_require(device, pinned, operation->nbytes, true);
    if (code == 0) {
        if (event != NULL) operation->nth = event->n_records;
        if (operation->kind == OP_RECORD) operation->nth = ++event->n_records;
        fake_enqueue(stream, operation);
    }
    fake_leave(device);
    return code;
}

int gpu_zero(void *device, size_t nbytes, struct CUstream_st *stream) {
    struct fake_operation operation = {.kind = OP_ZERO, .to = device, .nbytes = nbytes};
    return enqueue(FAKE_ZERO, stream, &operation, device, NULL);
}

int gpu_copy_in(void *device, const void *pinned, size_t nbytes, struct CUstream_st *stream) {
    struct fake_operation operation = {
        .kind = OP_COPY, .to = device, .from = pinned, .nbytes = nbytes};
    return enqueue(FAKE_COPY_IN, stream, &operation, device, pinned);
}

int gpu_copy_out(void *pinned, const void *device, size_t nbytes, struct CUstream_st *stream) {
    struct fake_operation operation = {
        .kind = OP_COPY, .to = pinned, .from = device, .nbytes = nbytes};
    return enqueue(FAKE_COPY_OUT, stream, &operation, device, pinned);
}

int gpu_event_record(struct CUevent_st *event, struct CUstream_st *stream) {
    struct fake_operation operation = {.kind = OP_RECORD, .event = event};
    return enqueue(FAKE_RECORD, stream, &operation, NULL, NULL);
}

int gpu_stream_wait(struct CUstream_st *stream, struct CUevent_st *event) {
    struct fake_operation operation = {.kind = OP_WAIT, .event = event};
    return enqueue(FAKE_WAIT, stream, &operation, NULL, NULL);
}

int gpu_graph_launch(struct CUgraphExec_st *graph, struct CUstream_st *stream) {
    struct fake_operation operation = {.kind = OP_GRAPH, .graph = graph};
    return enqueue(FAKE_LAUNCH, stream, &operation, NULL, NULL);
}

// ---- events

int gpu_event_create(struct CUevent_st **out) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_EVENT);
    *out = NULL;
    if (code == 0) {
        *out = fake_zeroed(sizeof **out);
        (*out)->device = device;
        device->n_alive[ALIVE_EVENT]++;
    }
    fake_leave(device);
    return code;
}

int gpu_event_destroy(struct CUevent_st *event) {
    if (event == NULL) return 0;
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_EVENT_DESTROY);
    if (fake_is_used(device, event, 0)) {
        fake_broken("an event destroyed that is in use");
    } else {
        device->n_alive[ALIVE_EVENT]--;
        free(event);
    }
    fake_leave(device);
    return code;
}

int gpu_event_is_done(struct CUevent_st *event, bool *done) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_EVENT_QUERY);
    *done = code == 0 && event->n_done == event->n_records;
    fake_leave(device);
    return code;
}

int gpu_event_seconds(struct CUevent_st *begin, struct CUevent_st *end, double *seconds) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_SECONDS);
    if (begin->n_records == 0 || begin->n_done != begin->n_records || end->n_records == 0 ||
        end->n_done != end->n_records) {
        fake_broken("seconds between events that are not done");
    }
    *seconds = code == 0 ? end->seconds - begin->seconds : 0;
    fake_leave(device);
    return code;
}

// ---- graphs

int gpu_capture_begin(struct CUstream_st *stream) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_CAPTURE);
    if (stream->captured != NULL) fake_broken("a capture within a capture");
    if (code == 0) {
        stream->captured = fake_zeroed(sizeof *stream->captured);
        stream->captured->device = device;
    }
    fake_leave(device);
    return code;
}

int gpu_capture_end(struct CUstream_st *stream, struct CUgraphExec_st **out) {
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_CAPTURE_END);
    struct CUgraphExec_st *graph = stream->captured;
    stream->captured = NULL;
    if (graph == NULL) fake_broken("a capture ends that never began");
    const bool is_kept = code == 0 && out != NULL;
    if (out != NULL) *out = is_kept ? graph : NULL;
    if (is_kept) {
        device->n_alive[ALIVE_GRAPH]++;
    } else if (graph != NULL) {
        fake_clear(&graph->queue);
        free(graph);
    }
    fake_leave(device);
    return code;
}

int gpu_graph_destroy(struct CUgraphExec_st *graph) {
    if (graph == NULL) return 0;
    struct fake_device *device = fake_current();
    const int code = fake_enter(device, FAKE_GRAPH_DESTROY);
    if (fake_is_used(device, graph, 0)) {
        fake_broken("a graph destroyed that is in use");
    } else {
        device->n_alive[ALIVE_GRAPH]--;
        fake_clear(&graph->queue);
        free(graph);
    }
    fake_leave(device);
    return code;
}

// ---- codes

const char *gpu_code_name(int code, char text[128]) {
    snprintf(text, 128, "fake code %d", code);
    return text;
}

bool gpu_code_is_memory(int code) {
    return code == FAKE_CODE_MEMORY;
}

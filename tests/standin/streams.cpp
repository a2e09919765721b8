// SPDX-License-Identifier: Apache-2.0
//
// Streams: queues of operations, of which the first may run. Nothing runs when it is enqueued;
// whoever asks about a stream or an event makes a few operations of random streams run first.
#include <time.h>

#include "tests/standin/world.h"

namespace standin {

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// ---- handles

CUstream_st *use_stream(CUstream_st *stream) {
    for (CUstream_st &one : the_world().streams) {
        if (&one != stream) continue;
        if (one.is_destroyed) standin_misuse("stream %zu was destroyed", one.number);
        if (one.device != current_device())
            standin_misuse("stream %zu of device %d is used by a thread that uses device %d",
                           one.number, one.device, current_device());
        return stream;
    }
    standin_misuse("%p is no stream; the default stream is not for us", (const void *)stream);
}

CUevent_st *use_event(CUevent_st *event) {
    for (CUevent_st &one : the_world().events) {
        if (&one != event) continue;
        if (one.is_destroyed) standin_misuse("an event was destroyed that is used");
        if (one.device != current_device())
            standin_misuse("an event of device %d is used by a thread that uses device %d",
                           one.device, current_device());
        return event;
    }
    standin_misuse("%p is no event", (const void *)event);
}

// ---- enqueueing

std::shared_ptr<work> make_work(const standin_operation &operation) {
    auto made = std::make_shared<work>();
    made->kind = operation.kind;
    made->name = operation.name;
    made->run = operation.run;
    const char *bytes = static_cast<const char *>(operation.closure);
    made->closure.assign(bytes, bytes + operation.closure_nbytes);
    if (operation.n_reads < 0 || operation.n_reads > STANDIN_RANGES_MAX || operation.n_writes < 0 ||
        operation.n_writes > STANDIN_RANGES_MAX) {
        standin_misuse("%s has too many ranges", operation.name);
    }
    made->reads.assign(operation.reads, operation.reads + operation.n_reads);
    made->writes.assign(operation.writes, operation.writes + operation.n_writes);
    return made;
}

static void check_ranges(const work &work, int device) {
    for (const auto *ranges : {&work.reads, &work.writes}) {
        for (const standin_range &range : *ranges) {
            if (range.nbytes == 0) continue;
            if (work.pinned.nbytes > 0 && range.begin == work.pinned.begin) {
                must_be_pinned(work.name, range);
            } else {
                must_be_memory(work.name, range, device);
            }
        }
    }
}

int enqueue(std::shared_ptr<work> work, CUstream_st *stream) {
    use_stream(stream);
    const device &owner = the_world().devices[(size_t)stream->device];
    if (owner.lost_code != 0) return owner.lost_code;
    take_late(work.get());
    check_ranges(*work, stream->device);
    if (stream->capture == nullptr) {
        enqueue_again(work, stream);
        return OK;
    }
    if (stream->capture->is_spoiled) return CAPTURE_INVALIDATED;
    stream->capture->works.push_back(work);
    return OK;
}

static std::shared_ptr<operation> make_operation(CUstream_st *stream) {
    auto made = std::make_shared<operation>();
    made->stream = stream;
    return made;
}

static void append(const std::shared_ptr<operation> &operation) {
    order_operation(operation);
    operation->stream->queue.push_back(operation);
}

void enqueue_again(const std::shared_ptr<const work> &work, CUstream_st *stream) {
    check_ranges(*work, stream->device);
    auto made = make_operation(stream);
    made->work = work;
    append(made);
    watch_pinned(made.get());
}

std::shared_ptr<mark> enqueue_record(CUstream_st *stream) {
    auto made = make_operation(stream);
    made->record = std::make_shared<mark>();
    append(made);
    return made->record;
}

void enqueue_wait(CUstream_st *stream, const std::shared_ptr<mark> &mark) {
    auto made = make_operation(stream);
    made->wait = mark;
    append(made);
}

// ---- running

static bool is_ready(const CUstream_st &stream) {
    if (stream.queue.empty()) return false;
    const operation &first = *stream.queue.front();
    if (first.wait != nullptr) return first.wait->is_done;
    return first.work == nullptr || !first.work->is_endless;
}

static void run_first(CUstream_st *stream) {
    world &w = the_world();
    const std::shared_ptr<operation> first = stream->queue.front();
    device &owner = w.devices[(size_t)stream->device];
    if (first->work != nullptr && first->work->late_code != 0) {
        fail_device(stream->device, first->work->kind, first->work->late_code);
        return;
    }
    stream->queue.pop_front();
    if (first->work != nullptr) {
        const work &work = *first->work;
        check_pinned(*first);
        work.run(work.closure.data());
        if (work.kind == STANDIN_PRODUCT) note_written(work);
        if (work.kind == STANDIN_LAUNCH) w.n_launches++;
        if (work.kind == STANDIN_LAUNCH || work.kind == STANDIN_PRODUCT) owner.has_worked = true;
    }
    if (first->record != nullptr) {
        first->record->seconds = now_seconds();
        first->record->is_done = true;
    }
    first->is_done = true;
}

// False: no stream of the device has an operation that may run.
static bool run_one(int device) {
    std::vector<CUstream_st *> ready;
    for (CUstream_st &stream : the_world().streams) {
        if (stream.device == device && is_ready(stream)) ready.push_back(&stream);
    }
    if (ready.empty()) return false;
    run_first(ready[random_below(ready.size())]);
    return true;
}

void run_some(int device) {
    enum { AT_MOST = 3 };
    for (uint64_t n = random_below(AT_MOST + 1); n > 0 && run_one(device); n--) continue;
}

bool run_all(int device) {
    while (run_one(device)) continue;
    for (const CUstream_st &stream : the_world().streams) {
        if (stream.device == device && !stream.queue.empty()) return false;
    }
    return true;
}

}  // namespace standin

// ---- the contract of standin.h

extern "C" int standin_enqueue(const struct standin_operation *operation,
                               struct CUstream_st *stream) {
    std::lock_guard<std::mutex> guard(standin::the_world().lock);
    return standin::enqueue(standin::make_work(*operation), stream);
}

// SPDX-License-Identifier: Apache-2.0
//
// Streams and events.
#include "tests/standin/api.h"

using namespace standin;

static const device &owner_of(int number) {
    return the_world().devices[(size_t)number];
}

// ---- streams

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    const int code = enter_here(STANDIN_STREAM);
    if (code != OK) return result_of(code);
    if (flags != cudaStreamNonBlocking) standin_misuse("a stream that the default stream holds up");
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    w.streams.emplace_back();
    *out = &w.streams.back();
    (*out)->device = current_device();
    (*out)->number = w.streams.size() - 1;
    return cudaSuccess;
}

// CUDA lets what is under way finish; we are to have seen it done.
extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_stream(stream);
    const device &owner = owner_of(stream->device);
    if (!owner.is_excused()) {
        if (stream->capture != nullptr)
            standin_misuse("stream %zu is destroyed while it is captured", stream->number);
        for (const auto &one : the_world().history) {
            if (one->stream == stream)
                standin_misuse("stream %zu is destroyed before %s was seen done", stream->number,
                               describe(*one));
        }
    }
    stream->is_destroyed = true;
    return result_of(owner.lost_code);
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t stream) {
    int code = enter_here(STANDIN_QUERY);
    if (code != OK) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_stream(stream);
    code = check_capture_of(stream, CAPTURE_UNSUPPORTED);
    if (code == OK) code = check_capture();
    if (code != OK) return result_of(code);
    run_some(stream->device);
    const int lost = owner_of(stream->device).lost_code;
    if (lost != OK) return result_of(lost);
    if (!stream->queue.empty()) return result_of(NOT_READY);
    note_seen(stream->before);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    int code = enter_here(STANDIN_STREAM);
    if (code != OK) return result_of(code);
    if (flags != 0) return result_of(INVALID_VALUE);
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_stream(stream);
    use_event(event);
    code = check_capture_of(stream, CAPTURE_ISOLATION);
    if (code == OK) code = owner_of(stream->device).lost_code;
    if (code == OK && event->last != nullptr) enqueue_wait(stream, event->last);
    return result_of(code);
}

// ---- events

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    const int code = enter_here(STANDIN_EVENT);
    if (code != OK) return result_of(code);
    if (flags != cudaEventDefault) standin_misuse("an event with flags %u", flags);
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    w.events.emplace_back();
    *out = &w.events.back();
    (*out)->device = current_device();
    return cudaSuccess;
}

// What was recorded goes on without it.
extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event) {
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_event(event)->is_destroyed = true;
    return result_of(owner_of(event->device).lost_code);
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    const int code = enter_here(STANDIN_EVENT);
    if (code != OK) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_event(event);
    use_stream(stream);
    if (stream->capture != nullptr) standin_misuse("the stand-in captures no events");
    const int lost = owner_of(stream->device).lost_code;
    if (lost == OK) event->last = enqueue_record(stream);
    return result_of(lost);
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event) {
    int code = enter_here(STANDIN_QUERY);
    if (code != OK) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_event(event);
    code = check_capture();
    if (code != OK) return result_of(code);
    run_some(event->device);
    const int lost = owner_of(event->device).lost_code;
    if (lost != OK) return result_of(lost);
    if (event->last == nullptr) return cudaSuccess;
    if (!event->last->is_done) return result_of(NOT_READY);
    note_seen(event->last->before);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t begin,
                                            cudaEvent_t end) {
    const int code = enter_here(STANDIN_EVENT);
    if (code != OK) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_event(begin);
    use_event(end);
    if (begin->last == nullptr || end->last == nullptr) return result_of(INVALID_HANDLE);
    if (!begin->last->is_done || !end->last->is_done) return result_of(NOT_READY);
    *milliseconds = (float)((end->last->seconds - begin->last->seconds) * 1000);
    return cudaSuccess;
}

// SPDX-License-Identifier: Apache-2.0
//
// Capture: what is enqueued on a captured stream is kept instead, for a graph. Thread-local mode:
// the thread that captures must make no call that could depend on work that did not happen.
#include "tests/standin/api.h"

namespace standin {

int check_capture(void) {
    int code = OK;
    for (CUgraph_st &graph : the_world().graphs) {
        if (!graph.is_capturing || graph.owner != std::this_thread::get_id()) continue;
        graph.is_spoiled = true;
        code = CAPTURE_UNSUPPORTED;
    }
    return code;
}

int check_capture_of(CUstream_st *stream, int code) {
    if (stream->capture == nullptr) return OK;
    stream->capture->is_spoiled = true;
    return code;
}

CUgraphExec_st *use_exec(CUgraphExec_st *exec) {
    for (CUgraphExec_st &one : the_world().execs) {
        if (&one != exec) continue;
        if (one.is_destroyed) standin_misuse("a graph was destroyed that is used");
        if (one.device != current_device())
            standin_misuse("a graph of device %d is used by a thread that uses device %d",
                           one.device, current_device());
        return exec;
    }
    standin_misuse("%p is no graph that can be launched", (const void *)exec);
}

static CUgraph_st *use_graph(CUgraph_st *graph) {
    for (CUgraph_st &one : the_world().graphs) {
        if (&one != graph) continue;
        if (one.is_destroyed || one.is_capturing)
            standin_misuse("a graph is used that was destroyed or is not yet captured");
        return graph;
    }
    standin_misuse("%p is no graph", (const void *)graph);
}

// That the program knows all of it to be done.
static bool is_seen(const vector_clock &before) {
    const vector_clock &host = the_world().host;
    for (size_t i = 0; i < before.size(); i++) {
        if (before[i] > (i < host.size() ? host[i] : 0)) return false;
    }
    return true;
}

}  // namespace standin

using namespace standin;

// ---- making them

extern "C" cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    const int code = enter_here(STANDIN_GRAPH);
    if (code != OK) return result_of(code);
    if (mode != cudaStreamCaptureModeThreadLocal)
        standin_misuse("a capture that other threads could spoil");
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    use_stream(stream);
    if (stream->capture != nullptr) return result_of(ILLEGAL_STATE);
    w.graphs.emplace_back();
    stream->capture = &w.graphs.back();
    stream->capture->device = stream->device;
    stream->capture->is_capturing = true;
    stream->capture->owner = std::this_thread::get_id();
    return cudaSuccess;
}

// The capture ends, whatever comes of it.
extern "C" cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out) {
    int code = enter_here(STANDIN_GRAPH);
    *out = nullptr;
    if (code == NO_DRIVER) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    CUgraph_st *graph = use_stream(stream)->capture;
    if (graph == nullptr) return result_of(code != OK ? code : (int)ILLEGAL_STATE);
    if (graph->owner != std::this_thread::get_id()) {
        graph->is_spoiled = true;
        return result_of(CAPTURE_WRONG_THREAD);
    }
    stream->capture = nullptr;
    graph->is_capturing = false;
    if (code == OK && graph->is_spoiled) code = CAPTURE_INVALIDATED;
    if (code == OK) {
        *out = graph;
    } else {
        graph->is_destroyed = true;
        graph->works.clear();
    }
    return result_of(code);
}

extern "C" cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                            unsigned long long flags) {
    const int code = enter_here(STANDIN_GRAPH);
    if (code != OK) return result_of(code);
    if (flags != 0) return result_of(INVALID_VALUE);
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    use_graph(graph);
    w.execs.emplace_back();
    *out = &w.execs.back();
    (*out)->device = graph->device;
    (*out)->works = graph->works;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    use_graph(graph)->is_destroyed = true;
    graph->works.clear();
    return result_of(w.devices[(size_t)graph->device].lost_code);
}

// ---- launching them

// The launches of one graph come one after the other, whatever streams they are on.
extern "C" cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    const int code = enter_here(STANDIN_GRAPH);
    if (code != OK) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_stream(stream);
    use_exec(graph);
    if (stream->capture != nullptr) standin_misuse("the stand-in captures no launches of graphs");
    const int lost = the_world().devices[(size_t)stream->device].lost_code;
    if (lost != OK) return result_of(lost);
    if (graph->last != nullptr) enqueue_wait(stream, graph->last);
    work change = {};
    take_late(&change);
    for (size_t i = 0; i < graph->works.size(); i++) {
        std::shared_ptr<const work> next = graph->works[i];
        if (i == 0 && (change.late_code != 0 || change.is_endless)) {
            auto changed = std::make_shared<work>(*next);
            changed->late_code = change.late_code;
            changed->is_endless = change.is_endless;
            next = changed;
        }
        enqueue_again(next, stream);
    }
    graph->last = enqueue_record(stream);
    return cudaSuccess;
}

// CUDA would wait for the last launch.
extern "C" cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_exec(graph);
    const device &owner = the_world().devices[(size_t)graph->device];
    if (graph->last != nullptr && !owner.is_excused() && !is_seen(graph->last->before))
        standin_misuse("a graph is destroyed whose last launch nobody has seen done");
    graph->is_destroyed = true;
    graph->works.clear();
    return result_of(owner.lost_code);
}

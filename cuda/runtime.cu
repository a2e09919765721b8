// SPDX-License-Identifier: Apache-2.0
//
// runtime.h by the toolkit's static CUDA runtime. Host code only: it stands in a .cu file because
// the C sources do without the toolkit's headers.
#include "cuda/runtime.h"

#include <cublas_api.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "cuda/matmul.h"

// The runtime remembers a failure until it is asked for it, and the check after the launch of a
// kernel would take it for the launch's own. One that spoils the context stays whatever is asked.
static int code_of(cudaError_t result) {
    if (result != cudaSuccess) (void)cudaGetLastError();
    return (int)result;
}

extern "C" int gpu_use(int32_t device) {
    return code_of(cudaSetDevice(device));
}

// ---- memory

extern "C" int gpu_memory(size_t *free_nbytes, size_t *total_nbytes) {
    const int code = code_of(cudaMemGetInfo(free_nbytes, total_nbytes));
    if (code != 0) *free_nbytes = *total_nbytes = 0;
    return code;
}

extern "C" int gpu_alloc(size_t nbytes, void **out) {
    const int code = code_of(cudaMalloc(out, nbytes));
    if (code != 0) *out = NULL;
    return code;
}

// cudaFree and cudaFreeHost of NULL would make a context where there is none.
extern "C" int gpu_free(void *memory) {
    return memory == NULL ? 0 : code_of(cudaFree(memory));
}

extern "C" int gpu_alloc_pinned(size_t nbytes, void **out) {
    const int code = code_of(cudaHostAlloc(out, nbytes, cudaHostAllocPortable));
    if (code != 0) *out = NULL;
    return code;
}

extern "C" int gpu_free_pinned(void *memory) {
    return memory == NULL ? 0 : code_of(cudaFreeHost(memory));
}

// ---- streams

// Not held up by the default stream, which nothing of ours uses.
extern "C" int gpu_stream_create(struct CUstream_st **out) {
    const int code = code_of(cudaStreamCreateWithFlags(out, cudaStreamNonBlocking));
    if (code != 0) *out = NULL;
    return code;
}

extern "C" int gpu_stream_destroy(struct CUstream_st *stream) {
    return stream == NULL ? 0 : code_of(cudaStreamDestroy(stream));
}

extern "C" int gpu_stream_is_done(struct CUstream_st *stream, bool *done) {
    const int code = code_of(cudaStreamQuery(stream));
    *done = code == 0;
    return code == cudaErrorNotReady ? 0 : code;
}

extern "C" int gpu_zero(void *device, size_t nbytes, struct CUstream_st *stream) {
    return code_of(cudaMemsetAsync(device, 0, nbytes, stream));
}

extern "C" int gpu_copy_in(void *device, const void *pinned, size_t nbytes,
                           struct CUstream_st *stream) {
    return code_of(cudaMemcpyAsync(device, pinned, nbytes, cudaMemcpyHostToDevice, stream));
}

extern "C" int gpu_copy_out(void *pinned, const void *device, size_t nbytes,
                            struct CUstream_st *stream) {
    return code_of(cudaMemcpyAsync(pinned, device, nbytes, cudaMemcpyDeviceToHost, stream));
}

extern "C" int gpu_stream_wait(struct CUstream_st *stream, struct CUevent_st *event) {
    return code_of(cudaStreamWaitEvent(stream, event, 0));
}

// ---- events

// With times. Nobody waits inside the runtime for one, so how it would wait does not matter.
extern "C" int gpu_event_create(struct CUevent_st **out) {
    const int code = code_of(cudaEventCreateWithFlags(out, cudaEventDefault));
    if (code != 0) *out = NULL;
    return code;
}

extern "C" int gpu_event_destroy(struct CUevent_st *event) {
    return event == NULL ? 0 : code_of(cudaEventDestroy(event));
}

extern "C" int gpu_event_record(struct CUevent_st *event, struct CUstream_st *stream) {
    return code_of(cudaEventRecord(event, stream));
}

extern "C" int gpu_event_is_done(struct CUevent_st *event, bool *done) {
    const int code = code_of(cudaEventQuery(event));
    *done = code == 0;
    return code == cudaErrorNotReady ? 0 : code;
}

extern "C" int gpu_event_seconds(struct CUevent_st *begin, struct CUevent_st *end,
                                 double *seconds) {
    float milliseconds = 0;
    const int code = code_of(cudaEventElapsedTime(&milliseconds, begin, end));
    *seconds = code == 0 ? (double)milliseconds / 1000 : 0;
    return code;
}

// ---- graphs

// Thread-local: what other threads do meanwhile, allocations included, does not spoil the capture.
extern "C" int gpu_capture_begin(struct CUstream_st *stream) {
    return code_of(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

// Without flags, the first launch uploads the graph.
extern "C" int gpu_capture_end(struct CUstream_st *stream, struct CUgraphExec_st **out) {
    if (out != NULL) *out = NULL;
    cudaGraph_t captured = NULL;
    int code = code_of(cudaStreamEndCapture(stream, &captured));
    cudaGraphExec_t graph = NULL;
    if (code == 0 && out != NULL) {
        code = code_of(cudaGraphInstantiate(&graph, captured, 0));
        if (code != 0) graph = NULL;
    }
    if (captured != NULL) {
        const int destroy_code = code_of(cudaGraphDestroy(captured));
        if (code == 0) code = destroy_code;
    }
    if (code != 0 && graph != NULL) {
        (void)gpu_graph_destroy(graph);
        graph = NULL;
    }
    if (out != NULL) *out = graph;
    return code;
}

extern "C" int gpu_graph_launch(struct CUgraphExec_st *graph, struct CUstream_st *stream) {
    return code_of(cudaGraphLaunch(graph, stream));
}

extern "C" int gpu_graph_destroy(struct CUgraphExec_st *graph) {
    return graph == NULL ? 0 : code_of(cudaGraphExecDestroy(graph));
}

// ---- codes

// cublasLt's own names would need the library, which may be what is missing.
static const char *cublas_name(int status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS:
            return "CUBLAS_STATUS_SUCCESS";
        case CUBLAS_STATUS_NOT_INITIALIZED:
            return "CUBLAS_STATUS_NOT_INITIALIZED";
        case CUBLAS_STATUS_ALLOC_FAILED:
            return "CUBLAS_STATUS_ALLOC_FAILED";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_ARCH_MISMATCH:
            return "CUBLAS_STATUS_ARCH_MISMATCH";
        case CUBLAS_STATUS_MAPPING_ERROR:
            return "CUBLAS_STATUS_MAPPING_ERROR";
        case CUBLAS_STATUS_EXECUTION_FAILED:
            return "CUBLAS_STATUS_EXECUTION_FAILED";
        case CUBLAS_STATUS_INTERNAL_ERROR:
            return "CUBLAS_STATUS_INTERNAL_ERROR";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "CUBLAS_STATUS_NOT_SUPPORTED";
        case CUBLAS_STATUS_LICENSE_ERROR:
            return "CUBLAS_STATUS_LICENSE_ERROR";
        default:
            return NULL;
    }
}

// A newer driver's error, of which the runtime does not know the name, keeps its number.
static void name_error(int code, char *text, size_t text_nbytes) {
    const bool is_enum = code >= 0 && code <= cudaErrorApiFailureBase;  // a cudaError_t holds it
    const char *name = is_enum ? cudaGetErrorName((cudaError_t)code) : "";
    if (strncmp(name, "cuda", 4) == 0) {
        snprintf(text, text_nbytes, "%s: %s", name, cudaGetErrorString((cudaError_t)code));
    } else {
        snprintf(text, text_nbytes, "cudaError_t %d", code);
    }
}

extern "C" const char *gpu_code_name(int code, char text[128]) {
    enum { TEXT_NBYTES = 128 };
    if (code < MATMUL_CODE) {
        name_error(code, text, TEXT_NBYTES);
        return text;
    }
    const char *name = cublas_name(code - MATMUL_CODE);
    if (name != NULL) {
        snprintf(text, TEXT_NBYTES, "%s", name);
    } else {
        snprintf(text, TEXT_NBYTES, "cublasStatus_t %d", code - MATMUL_CODE);
    }
    return text;
}

extern "C" bool gpu_code_is_memory(int code) {
    return code == cudaErrorMemoryAllocation || code == MATMUL_CODE + CUBLAS_STATUS_ALLOC_FAILED;
}

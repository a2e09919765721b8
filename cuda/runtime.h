// SPDX-License-Identifier: Apache-2.0
//
// The part of the CUDA runtime that the encoder uses, in plain C: memory, streams, events, graphs
// of one device. runtime.cu calls the toolkit's functions; the tests put others in their place.
//
// Every function returns 0 or a code, which gpu_code_name and gpu_code_is_memory explain: a
// cudaError_t, or what matmul.h returns. A code other than out of memory mostly means that the
// device takes no more work from this process: whoever gets one stops, and frees what it can.
//
// Thread rule: a function works on the device that the calling thread chose last with gpu_use; a
// stream, an event and a graph belong to the device they were made on. Any thread may call.
#ifndef WADER_CUDA_RUNTIME_H
#define WADER_CUDA_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;     // what a cudaStream_t points to
struct CUevent_st;      // what a cudaEvent_t points to
struct CUgraphExec_st;  // what a cudaGraphExec_t points to

int gpu_use(int32_t device);

// Memory that is free on the device now, for any process.
int gpu_memory(size_t *free_nbytes, size_t *total_nbytes);

// Device memory, aligned to 256 bytes, of undefined content. NULL is fine to free.
int gpu_alloc(size_t nbytes, void **out);
int gpu_free(void *memory);

// Host memory that every device copies from and to without a detour. NULL is fine to free.
int gpu_alloc_pinned(size_t nbytes, void **out);
int gpu_free_pinned(void *memory);

int gpu_stream_create(struct CUstream_st **out);
int gpu_stream_destroy(struct CUstream_st *stream);  // NULL is fine
// Whether all that was enqueued is done. Never waits; a failure of that work shows here.
int gpu_stream_is_done(struct CUstream_st *stream, bool *done);

// The following are enqueued on `stream` and return at once; pinned memory stays untouched until an
// event recorded behind them is done.
int gpu_zero(void *device, size_t nbytes, struct CUstream_st *stream);
int gpu_copy_in(void *device, const void *pinned, size_t nbytes, struct CUstream_st *stream);
int gpu_copy_out(void *pinned, const void *device, size_t nbytes, struct CUstream_st *stream);
int gpu_event_record(struct CUevent_st *event, struct CUstream_st *stream);
int gpu_stream_wait(struct CUstream_st *stream, struct CUevent_st *event);  // what follows waits
int gpu_graph_launch(struct CUgraphExec_st *graph, struct CUstream_st *stream);

int gpu_event_create(struct CUevent_st **out);
int gpu_event_destroy(struct CUevent_st *event);  // NULL is fine
// Whether all work before the event is done. Never waits; a failure of that work shows here.
int gpu_event_is_done(struct CUevent_st *event, bool *done);
// Between two events that are done.
int gpu_event_seconds(struct CUevent_st *begin, struct CUevent_st *end, double *seconds);

// What this thread enqueues on `stream` between the two is kept instead of run. With `out` NULL it
// is thrown away, which is how a capture that failed midway ends.
int gpu_capture_begin(struct CUstream_st *stream);
int gpu_capture_end(struct CUstream_st *stream, struct CUgraphExec_st **out);
int gpu_graph_destroy(struct CUgraphExec_st *graph);  // NULL is fine

// "cudaErrorIllegalAddress: an illegal memory access was encountered". Returns `text`.
const char *gpu_code_name(int code, char text[128]);
bool gpu_code_is_memory(int code);  // more memory was asked for than there is

#ifdef __cplusplus
}
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Devices that are threads, for tests of who calls them: cuda/device.h, cuda/runtime.h,
// cuda/matmul.h and cuda/forward.h on plain memory. A device runs what is enqueued some time later,
// its streams in any order that streams and events allow; a pass gives each title of the slot's
// inputs, as they lie in the device's memory, the logits of fake_encoder_logits. It notes whoever
// breaks the rules of those headers, fails and hangs when told to, and counts what is alive.
//
// Thread rule: the functions below are for the test's own thread.
#ifndef WADER_TESTS_SUPPORT_FAKE_CUDA_H
#define WADER_TESTS_SUPPORT_FAKE_CUDA_H

#include "cuda/device.h"
#include "host/base/base.h"

// What is counted and may go wrong: the calls, and WORK, an operation when a device runs it.
#define FAKE_CALL_LIST(X)                   \
    X(USE, "gpu_use")                       \
    X(MEMORY, "gpu_memory")                 \
    X(ALLOC, "gpu_alloc")                   \
    X(FREE, "gpu_free")                     \
    X(PINNED, "gpu_alloc_pinned")           \
    X(PINNED_FREE, "gpu_free_pinned")       \
    X(STREAM, "gpu_stream_create")          \
    X(STREAM_DESTROY, "gpu_stream_destroy") \
    X(STREAM_QUERY, "gpu_stream_is_done")   \
    X(EVENT, "gpu_event_create")            \
    X(EVENT_DESTROY, "gpu_event_destroy")   \
    X(EVENT_QUERY, "gpu_event_is_done")     \
    X(SECONDS, "gpu_event_seconds")         \
    X(ZERO, "gpu_zero")                     \
    X(COPY_IN, "gpu_copy_in")               \
    X(COPY_OUT, "gpu_copy_out")             \
    X(RECORD, "gpu_event_record")           \
    X(WAIT, "gpu_stream_wait")              \
    X(CAPTURE, "gpu_capture_begin")         \
    X(CAPTURE_END, "gpu_capture_end")       \
    X(LAUNCH, "gpu_graph_launch")           \
    X(GRAPH_DESTROY, "gpu_graph_destroy")   \
    X(LIBRARY, "matmul_open")               \
    X(LIBRARY_CLOSE, "matmul_close")        \
    X(PLAN, "matmul_create")                \
    X(PLAN_DESTROY, "matmul_destroy")       \
    X(PRODUCT, "matmul_run")                \
    X(KERNEL, "a kernel")                   \
    X(WORK, "work on the device")

#define FAKE_CALL_ENUM(name, text) FAKE_##name,
enum fake_call { FAKE_CALL_LIST(FAKE_CALL_ENUM) FAKE_CALLS };
#undef FAKE_CALL_ENUM

const char *fake_call_name(enum fake_call call);

enum fake_trouble {
    FAKE_FAILS,  // this call alone, and does nothing; what releases something, releases it
    FAKE_DIES,   // every call from this one on; what the device had to do is dropped
    FAKE_HANGS,  // until fake_cuda_release, then it does what it should; WORK: all of the device
};

// Codes: of cudaMalloc without memory, of a kernel that failed, and what makes matmul_open and
// matmul_create say that the library cannot serve.
enum { FAKE_CODE_MEMORY = 2, FAKE_CODE_LAUNCH = 719, FAKE_CODE_NO_SERVICE = -1000 };

struct fake_fault {
    int32_t device;
    enum fake_call call;
    int64_t nth;  // of these calls for this device, from 1; 0: all goes well
    enum fake_trouble trouble;
    int code;
};

enum { FAKE_DEVICES_MAX = 8 };

struct fake_cuda_spec {
    int32_t n_devices;
    size_t said_nbytes[FAKE_DEVICES_MAX];  // free, says gpu_memory; 0: much
    size_t real_nbytes[FAKE_DEVICES_MAX];  // free for gpu_alloc; 0: much
    unsigned delay_us;                     // before an operation, at most
    double pass_seconds;                   // that a pass takes; 0: no more than it computes
    int32_t n_multiprocessors;             // of each device; 0: 12
    unsigned long long seed;
    bool no_library;  // matmul_choices_open fails
    bool hides;       // cuda_devices_find hangs
    struct fake_fault fault;
};

// One set of devices at a time. fake_cuda_stop lets go of what hangs, and ends their threads.
void fake_cuda_start(const struct fake_cuda_spec *spec);
void fake_cuda_stop(void);
void fake_cuda_release(void);

// Device `index`: compute capability 8.0, 12 multiprocessors, a name and a UUID of its own.
struct cuda_device fake_cuda_device(int32_t index);

int64_t fake_cuda_calls(int32_t device, enum fake_call call);
bool fake_cuda_struck(void);  // the fault has come

// Of passes that have taken pass_seconds and had a title: what they took, and from when to when.
struct fake_use {
    int64_t n_passes;
    double busy_seconds, begin, end;
};
struct fake_use fake_cuda_use(int32_t device);

// How many things are alive on all devices, libraries and products included, and what.
int64_t fake_cuda_alive(char text[256]);

// "", or which rule was broken first.
const char *fake_cuda_broken(void);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The emulator as its users see it: device memory, launches, schedules and faults. It knows no
// runtime API: streams, events and several devices are for a layer above, which takes launches over
// with on_launch(), keeps copies of their closures, and runs them with run() when their turn comes.
//
// Thread rule: any thread may call anything but the settings (set_..., on_launch), which are for
// before the first launch. Kernels run one at a time, each on the thread that calls run().
#ifndef WADER_TESTS_SIMT_EMULATOR_H
#define WADER_TESTS_SIMT_EMULATOR_H

#include <type_traits>

#include "language.h"

// ---- what kernel files need of the runtime API, with the toolkit's values

typedef struct CUstream_st *cudaStream_t;
enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchFailure = 719
};
extern "C" cudaError_t cudaGetLastError(void);  // of the calling thread's launches, then forgotten
extern "C" const char *cudaGetErrorString(cudaError_t error);

namespace simt {

// ---- device memory

// `nbytes` bytes aligned to 256, unwritten (filled with bytes of NaN), with unused addresses around
// them. NULL when there is none.
void *allocate(size_t nbytes);
// Addresses are not handed out again before all others have been. Ends the program when `memory`
// is not what allocate() returned; NULL is fine.
void release(void *memory);
// Copies between host and device. End the program when the device's side is not within one block
// of memory. What is written counts as written for the checks.
void write(void *to_device, const void *from, size_t nbytes);
void read(void *to, const void *from_device, size_t nbytes);
void copy(void *to_device, const void *from_device, size_t nbytes);
// For a layer that writes device memory in place.
void mark_written(void *device, size_t nbytes);

// ---- launches

struct kernel_launch {
    const char *name;
    dim3 grid, block;
    size_t shared_nbytes;
    cudaStream_t stream;
    const void *closure;  // the kernel and its arguments, which a copy of these bytes is too
    size_t closure_nbytes;
    void (*thread)(const void *closure);  // what one thread does
};

// Runs the kernel to its end on the calling thread. Returns a cudaError_t: cudaSuccess though there
// were faults, unless the launch was refused or abandoned.
int run(const kernel_launch &launch);

// What a launch does: checks its shape and passes it on. A launch of a shape that no device takes
// is a fault and goes nowhere.
int submit(const kernel_launch &launch);
void on_launch(int (*take)(const kernel_launch &launch));  // until then: run

template <typename Callable>
int launch(const char *name, dim3 grid, dim3 block, size_t shared_nbytes, cudaStream_t stream,
           Callable callable) {
    static_assert(std::is_trivially_copyable<Callable>::value, "arguments of a kernel");
    kernel_launch launch = {name,   grid,      block,           shared_nbytes,
                            stream, &callable, sizeof callable, nullptr};
    launch.thread = [](const void *closure) { (*static_cast<const Callable *>(closure))(); };
    return submit(launch);
}

// ---- schedules

enum class schedule { forward, reverse, random };
void set_schedule(schedule order, uint64_t seed);
// Only the last `n` blocks of each grid run; 0: all of them. So the far end of a grid can be seen
// that nobody could wait for.
void set_last_blocks(size_t n);
// Late: a cp.async copies when it is waited for. Early: when it is issued.
void set_async_copies(bool early);
void set_perturbed_math(bool perturbed);
// Takes SIMT_ORDER (forward, reverse, random:SEED), SIMT_CP_ASYNC (late, early) and SIMT_MATH
// (exact, perturbed) from the environment. NULL, or what is wrong with them.
const char *set_from_environment(void);

// ---- faults

enum class fault {
    out_of_bounds,
    uninitialised,
    misaligned,
    race,
    divergent_barrier,
    deadlock,
    mask,      // a lane outside its own mask
    mismatch,  // lanes that name each other in different collectives
    source,    // a shuffle from a lane that takes no part
    async_copy,
    shape,  // of a launch
    trap,
    crash,
    sanitizer,
    count
};
const char *fault_name(fault kind);
// Since the last faults_forget(). Each has been told on stderr when it was the first of its kind at
// its place in its launch.
long faults(fault kind);
long faults_in_all(void);
void faults_forget(void);
// Quiet ones are counted, not told: for tests that provoke them.
void set_quiet(bool quiet);
bool has_checker(void);  // in the check flavour

}  // namespace simt

#endif

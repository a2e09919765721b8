// SPDX-License-Identifier: Apache-2.0
//
// Launches: what shapes a device takes, and the blocks of a grid, one after the other.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>

#include "internal.h"

namespace simt {

thread_local const kernel_launch *running;
// The check flavour has another definition, which is taken then.
__attribute__((weak)) const checks *checker = nullptr;

bool has_checker(void) {
    return checker != nullptr;
}

static std::mutex one_kernel;
static size_t last_blocks;  // of a grid to run; 0: all
static int (*taker)(const kernel_launch &launch) = run;
static thread_local cudaError_t last_error = cudaSuccess;

// Without cudaFuncSetAttribute a kernel gets no more dynamic shared memory than that.
static const size_t SHARED_NBYTES_MAX = 48 << 10;

static const char *what_is_wrong(const kernel_launch &launch) {
    const dim3 b = launch.block, g = launch.grid;
    if (b.x == 0 || b.y == 0 || b.z == 0 || g.x == 0 || g.y == 0 || g.z == 0)
        return "an extent is 0";
    if ((uint64_t)b.x * b.y * b.z > THREADS_MAX) return "a block has more than 1024 threads";
    if (b.z > 64) return "a block is deeper than 64";
    if (g.x > INT32_MAX || g.y > 65535 || g.z > 65535) return "the grid is too large";
    if (launch.shared_nbytes > SHARED_NBYTES_MAX)
        return "more than 48 KiB of dynamic shared memory";
    return nullptr;
}

static int note(int error) {
    if (error != cudaSuccess) last_error = static_cast<cudaError_t>(error);
    return error;
}

int submit(const kernel_launch &launch) {
    const char *wrong = what_is_wrong(launch);
    if (wrong == nullptr) return note(taker(launch));
    const dim3 b = launch.block, g = launch.grid;
    forget_places();
    report(fault::shape, nullptr, nullptr,
           "of kernel %s: grid (%u,%u,%u), block (%u,%u,%u), %zu bytes shared: %s", launch.name,
           g.x, g.y, g.z, b.x, b.y, b.z, launch.shared_nbytes, wrong);
    return note(launch.shared_nbytes > SHARED_NBYTES_MAX ? cudaErrorInvalidValue
                                                         : cudaErrorInvalidConfiguration);
}

void on_launch(int (*take)(const kernel_launch &launch)) {
    taker = take;
}

void set_last_blocks(size_t n) {
    last_blocks = n;
}

// Number i of those that the schedule takes in turn. `step` is prime to n.
static size_t block_number(size_t i, size_t n, size_t first, size_t step) {
    if (block_order == schedule::forward) return i;
    if (block_order == schedule::reverse) return n - 1 - i;
    return (size_t)((first + (unsigned __int128)i * step) % n);
}

static size_t common_divisor(size_t a, size_t b) {
    while (b != 0) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int run_blocks(const kernel_launch &launch) {
    const dim3 g = launch.grid;
    const size_t n_all = (size_t)g.x * g.y * g.z;
    const size_t n = last_blocks == 0 || last_blocks > n_all ? n_all : last_blocks;
    size_t first = 0, step = 1;
    if (block_order == schedule::random) {
        first = random_number() % n;
        do {
            step = random_number() % n + 1;
        } while (common_divisor(step, n) != 1);
    }
    block_shape block = {};
    block.n_threads = launch.block.x * launch.block.y * launch.block.z;
    block.dynamic_shared = shared_window(launch.shared_nbytes);
    for (size_t i = 0; i < n; i++) {
        const size_t number = n_all - n + block_number(i, n, first, step);
        block.index = {(unsigned)(number % g.x), (unsigned)(number / g.x % g.y),
                       (unsigned)(number / g.x / g.y)};
        memset(block.dynamic_shared, 0xff, launch.shared_nbytes);
        if (!run_block(block)) return abandon_error;
    }
    return cudaSuccess;
}

int run(const kernel_launch &launch) {
    std::lock_guard<std::mutex> guard(one_kernel);
    install_crash_handler();
    forget_places();
    running = &launch;
    if (checker != nullptr) checker->on_launch();
    const int error = run_blocks(launch);
    running = nullptr;
    return error;
}

// ---- settings

const char *set_from_environment(void) {
    const char *order = getenv("SIMT_ORDER"), *copies = getenv("SIMT_CP_ASYNC");
    const char *math = getenv("SIMT_MATH");
    if (order == nullptr || strcmp(order, "forward") == 0) {
        set_schedule(schedule::forward, 0);
    } else if (strcmp(order, "reverse") == 0) {
        set_schedule(schedule::reverse, 0);
    } else if (strncmp(order, "random:", 7) == 0) {
        set_schedule(schedule::random, strtoull(order + 7, nullptr, 10));
    } else {
        return "SIMT_ORDER is none of forward, reverse, random:SEED";
    }
    if (copies != nullptr && strcmp(copies, "late") != 0 && strcmp(copies, "early") != 0)
        return "SIMT_CP_ASYNC is none of late, early";
    set_async_copies(copies != nullptr && strcmp(copies, "early") == 0);
    if (math != nullptr && strcmp(math, "exact") != 0 && strcmp(math, "perturbed") != 0)
        return "SIMT_MATH is none of exact, perturbed";
    set_perturbed_math(math != nullptr && strcmp(math, "perturbed") == 0);
    return nullptr;
}

}  // namespace simt

// Weak: a program may bring a runtime of its own, which has more codes and more calls that fail.
__attribute__((weak)) cudaError_t cudaGetLastError(void) {
    const cudaError_t error = simt::last_error;
    simt::last_error = cudaSuccess;
    return error;
}

__attribute__((weak)) const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "no error";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInvalidConfiguration:
            return "invalid configuration argument";
        case cudaErrorIllegalAddress:
            return "an illegal memory access was encountered";
        case cudaErrorLaunchFailure:
            return "unspecified launch failure";
    }
    return "unrecognized error code";
}

// SPDX-License-Identifier: Apache-2.0
//
// A stand-in for a host with NVIDIA GPUs, for tests: the functions of the CUDA runtime that
// cuda/runtime.cu and cuda/device.cu call, and a libcublasLt.so of its own (lt_*.cpp), which finds
// the functions below in the program that loads it. Kernels run on the SIMT emulator, products on
// the CPU.
//
// Work is done late and out of order: an operation is kept when it is enqueued and runs when
// somebody asks about a stream or an event, streams taking turns at random as far as events allow.
// What a real runtime would not forgive ends the program with a message and abort(): memory used
// after it was freed, ranges outside of an allocation, two operations on the same bytes that no
// event orders, pinned memory that changed between enqueueing and running, a stream of another
// device, something left over at exit.
//
// Environment (read once, at the first call)
//   STANDIN_DEVICES=1           how many; 0: a host without a driver
//   STANDIN_CC=9.0              compute capability      STANDIN_SMS=3    multiprocessors
//   STANDIN_MIXED=0             1: the last device has another name
//   STANDIN_MEMORY=256          MiB of each device      STANDIN_MEMORY_TOLD=  free MiB as
//                               cudaMemGetInfo tells them, where that is to be wrong
//   STANDIN_SEED=1              of the order of streams
//   STANDIN_FAIL=KIND:N[:CODE[:HOW]]  the N-th call (from 1, of all devices together) of a kind
//                               fails with CODE (a cudaError_t, a cublasStatus_t for product and
//                               choose). HOW: once (default), sticky (every later call on that
//                               device too, with the same code), late (the call succeeds, the
//                               operation fails when it runs, then as sticky)
//   STANDIN_HANG=KIND:N[:HOW]   the N-th call never returns; HOW late: the operation never runs
//   STANDIN_REPORT=PATH         JSON, written when a failure or hang comes, and at exit: the calls
//                               of each kind; whether it came ("fired"); launches; devices_used
//
// Kinds are the names of enum standin_call without STANDIN_, in small letters.
#ifndef WADER_TESTS_STANDIN_STANDIN_H
#define WADER_TESTS_STANDIN_STANDIN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum standin_call {
    STANDIN_DEVICE,   // what a device is, which one a thread uses, how much memory is free
    STANDIN_ALLOC,    // device memory
    STANDIN_PINNED,   // host memory
    STANDIN_STREAM,   // made, waits for an event
    STANDIN_EVENT,    // made, recorded, its time
    STANDIN_QUERY,    // of an event or a stream
    STANDIN_COPY,     // copies and zeros
    STANDIN_LAUNCH,   // a kernel
    STANDIN_PRODUCT,  // cublasLtMatmul
    STANDIN_CHOOSE,   // every other call of cublasLt that can fail
    STANDIN_GRAPH,    // capture begun and ended, made, launched
    STANDIN_CALLS
};

// Counts a call of this kind by the calling thread. 0: go on. Else the code to return.
// STANDIN_HANG may keep it here for ever. Freeing and destroying are not counted and never fail.
int standin_enter(enum standin_call kind);

// Bytes of device memory that an operation touches.
struct standin_range {
    const void *begin;
    size_t nbytes;
};
enum { STANDIN_RANGES_MAX = 8 };
struct standin_operation {
    enum standin_call kind;
    const char *name;  // static, for messages
    void (*run)(const void *closure);
    const void *closure;  // copied
    size_t closure_nbytes;
    struct standin_range reads[STANDIN_RANGES_MAX], writes[STANDIN_RANGES_MAX];
    int n_reads, n_writes;
};

struct CUstream_st;

// Enqueues, or adds to the graph that is being captured on `stream`. Checks the ranges and that the
// stream belongs to the device that the thread uses. Returns a cudaError_t. It does not count the
// call: standin_enter did.
int standin_enqueue(const struct standin_operation *operation, struct CUstream_st *stream);

// Ends the program with a message: what was done is wrong whatever a device makes of it.
void standin_misuse(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

// Handles of the library that are alive: +1 when one is made, -1 when it is destroyed. What is left
// at exit is a leak.
void standin_count_handles(int change);

#ifdef __cplusplus
}
#endif

#endif

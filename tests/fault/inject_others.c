// SPDX-License-Identifier: Apache-2.0
//
// Threads, processes, the clock, zlib; and two that lie without a word: a matrix product that is
// not computed, a character that is read as its neighbour.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/fault/inject.h"

// ---- threads, processes, time

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    ASK(FAULT_THREAD, fault.code);
    NEXT(pthread_create);
    return next(thread, attributes, run, argument);
}

pid_t fork(void) {
    ASK(FAULT_PROCESS, -1);
    NEXT(fork);
    return next();
}

int pipe2(int fds[2], int flags) {
    ASK(FAULT_PROCESS, -1);
    NEXT(pipe2);
    return next(fds, flags);
}

pid_t waitpid(pid_t child, int *status, int flags) {
    ASK(FAULT_PROCESS, -1);
    NEXT(waitpid);
    return next(child, status, flags);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    NEXT(clock_gettime);
    if (clock == CLOCK_REALTIME) {
        (void)fault_of(FAULT_CLOCK, __func__, __builtin_return_address(0));
    }
    const int result = next(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += fault_clock_shift();
    return result;
}

time_t time(time_t *out) {
    NEXT(time);
    (void)fault_of(FAULT_CLOCK, __func__, __builtin_return_address(0));
    const time_t now = next(NULL) + fault_clock_shift();
    if (out != NULL) *out = now;
    return now;
}

// ---- zlib

int inflate(z_stream *stream, int flush) {
    ASK(FAULT_INFLATE, fault.code);
    NEXT(inflate);
    return next(stream, flush);
}

int inflateInit2_(z_stream *stream, int bits, const char *version, int size) {
    ASK(FAULT_INFLATE, fault.code);
    NEXT(inflateInit2_);
    return next(stream, bits, version, size);
}

int inflateReset(z_stream *stream) {
    ASK(FAULT_INFLATE, fault.code);
    NEXT(inflateReset);
    return next(stream);
}

int deflate(z_stream *stream, int flush) {
    ASK(FAULT_DEFLATE, fault.code);
    NEXT(deflate);
    return next(stream, flush);
}

int deflateInit2_(z_stream *stream, int level, int method, int bits, int memory, int strategy,
                  const char *version, int size) {
    ASK(FAULT_DEFLATE, fault.code);
    NEXT(deflateInit2_);
    return next(stream, level, method, bits, memory, strategy, version, size);
}

// ---- lies

// oneDNN's and utf8proc's, without their headers.
int dnnl_primitive_execute(const void *primitive, void *stream, int n, const void *arguments);
ssize_t utf8proc_iterate(const uint8_t *text, ssize_t len, int32_t *code);

int dnnl_primitive_execute(const void *primitive, void *stream, int n, const void *arguments) {
    const struct fault fault = fault_of(FAULT_PRODUCT, __func__, __builtin_return_address(0));
    NEXT(dnnl_primitive_execute);
    return fault.effect == EFFECT_LIE ? 0 : next(primitive, stream, n, arguments);
}

ssize_t utf8proc_iterate(const uint8_t *text, ssize_t len, int32_t *code) {
    const struct fault fault = fault_of(FAULT_TEXT, __func__, __builtin_return_address(0));
    NEXT(utf8proc_iterate);
    const ssize_t n = next(text, len, code);
    if (fault.effect == EFFECT_LIE && n > 0) *code ^= 1;
    return n;
}

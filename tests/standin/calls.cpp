// SPDX-License-Identifier: Apache-2.0
//
// Calls: counted, made to fail or to hang where the environment asks for it; what is told of them.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "tests/standin/world.h"

namespace standin {

static thread_local int chosen_device = 0;
// What a call left for the next operation that its thread enqueues.
static thread_local struct {
    int code;
    bool is_endless;
} late;

int current_device(void) {
    return chosen_device;
}

void choose_device(int device) {
    chosen_device = device;
}

// splitmix64
uint64_t random_below(uint64_t n) {
    uint64_t z = the_world().random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % n;
}

// ---- failures

static void lose_device(int number, int code, int status) {
    world &w = the_world();
    device &lost = w.devices[(size_t)number];
    if (lost.lost_code != 0) return;
    lost.lost_code = code;
    lost.lost_status = status;
    for (CUstream_st &stream : w.streams) {
        if (stream.device == number) stream.queue.clear();
    }
    forget_history(number);
}

static bool is_of_cublas(standin_call kind) {
    return kind == STANDIN_PRODUCT || kind == STANDIN_CHOOSE;
}

// A status of cublasLt tells the runtime nothing but that a kernel failed, and the other way round.
void fail_device(int number, standin_call kind, int code) {
    const bool is_status = is_of_cublas(kind) && code <= STATUS_MAX;
    lose_device(number, is_status ? LAUNCH_FAILURE : code,
                is_status ? code : STATUS_EXECUTION_FAILED);
}

static int code_when_lost(const device &lost, standin_call kind) {
    return is_of_cublas(kind) ? lost.lost_status : lost.lost_code;
}

static bool is_due(const provocation &wanted, standin_call kind, long n) {
    return wanted.kind == kind && wanted.n == n;
}

// The n-th call of this kind. `*is_endless`: it is not to return.
static int provoke(standin_call kind, long n, int number, bool *is_endless) {
    world &w = the_world();
    const provocation &fail = w.settings.fail, &hang = w.settings.hang;
    int code = OK;
    if (is_due(hang, kind, n)) {
        w.has_fired = true;
        w.devices[(size_t)number].is_hung = true;
        *is_endless = hang.how != how::late;
        late.is_endless = hang.how == how::late;
    }
    if (is_due(fail, kind, n)) {
        w.has_fired = true;
        if (fail.how == how::sticky) {
            fail_device(number, kind, fail.code);
            code = code_when_lost(w.devices[(size_t)number], kind);
        } else if (fail.how == how::late) {
            late.code = fail.code;
        } else {
            code = fail.code;
        }
    }
    return code;
}

int enter(standin_call kind, int number) {
    world &w = the_world();
    bool is_endless = false;
    int code;
    {
        std::lock_guard<std::mutex> guard(w.lock);
        const long n = ++w.calls[kind];
        if (w.devices.empty()) return NO_DRIVER;
        if (number >= 0 && w.devices[(size_t)number].lost_code != 0)
            return code_when_lost(w.devices[(size_t)number], kind);
        code = provoke(kind, n, number < 0 ? chosen_device : number, &is_endless);
        if (is_due(w.settings.fail, kind, n) || is_due(w.settings.hang, kind, n)) write_report();
    }
    if (is_endless) hang();
    return code;
}

int lost_code(int number) {
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    return w.devices.empty() ? (int)NO_DRIVER : w.devices[(size_t)number].lost_code;
}

void take_late(work *work) {
    work->late_code = late.code;
    work->is_endless = late.is_endless;
    late = {};
}

void hang(void) {
    for (;;) pause();
}

// ---- the report

// Written beside its place first: whoever reads it never sees half of one.
void write_report(void) {
    world &w = the_world();
    if (w.settings.report == nullptr) return;
    const std::string beside = std::string(w.settings.report) + ".part";
    FILE *file = fopen(beside.c_str(), "w");
    if (file == nullptr) {
        perror(beside.c_str());
        return;
    }
    fprintf(file, "{\"calls\":{");
    for (int i = 0; i < STANDIN_CALLS; i++) {
        fprintf(file, "%s\"%s\":%ld", i == 0 ? "" : ",", call_name(i), w.calls[i].load());
    }
    int n_used = 0;
    for (const device &one : w.devices) n_used += one.has_worked;
    fprintf(file, "},\"fired\":%s,\"launches\":%ld,\"devices_used\":%d}\n",
            w.has_fired ? "true" : "false", w.n_launches.load(), n_used);
    if (fclose(file) != 0 || rename(beside.c_str(), w.settings.report) != 0)
        perror(w.settings.report);
}

}  // namespace standin

// ---- the contract of standin.h

extern "C" int standin_enter(enum standin_call kind) {
    return standin::enter(kind, standin::current_device());
}

extern "C" void standin_misuse(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "standin: misuse: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (STANDIN_SEED=%llu)\n",
            (unsigned long long)standin::the_world().settings.seed);
    va_end(arguments);
    standin::write_report();
    abort();
}

extern "C" void standin_count_handles(int change) {
    standin::the_world().n_handles += change;
}

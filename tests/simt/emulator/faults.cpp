// SPDX-License-Identifier: Apache-2.0
//
// Faults: told on stderr in one line, once a kind and place in a launch, and counted each time.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include "internal.h"

extern "C" char __executable_start;

namespace simt {

enum { LINES_MAX = 12 };                                // of one launch
static const char *const UNKNOWN = "program address ";  // no line of a kernel file

static std::atomic<long> counts[(int)fault::count];
static bool is_quiet;
static std::mutex lock;                                               // of `told`
static std::set<std::tuple<fault, const void *, const void *>> told;  // of the running launch

const char *fault_name(fault kind) {
    static const char *const names[] = {"out of bounds",
                                        "uninitialised read",
                                        "misaligned access",
                                        "data race",
                                        "divergent barrier",
                                        "deadlock",
                                        "lane outside mask",
                                        "mismatched collective",
                                        "absent source",
                                        "asynchronous copy",
                                        "launch refused",
                                        "trap",
                                        "crash",
                                        "sanitizer"};
    return names[(int)kind];
}

long faults(fault kind) {
    return counts[(int)kind];
}

long faults_in_all(void) {
    long n = 0;
    for (const auto &one : counts) n += one;
    return n;
}

void faults_forget(void) {
    for (auto &one : counts) one = 0;
}

void set_quiet(bool quiet) {
    is_quiet = quiet;
}

void forget_places(void) {
    std::lock_guard<std::mutex> guard(lock);
    told.clear();
}

void describe_thread(char *out, size_t cap) {
    if (running == nullptr) {
        snprintf(out, cap, "outside kernels");
        return;
    }
    size_t n = (size_t)snprintf(out, cap, "kernel %s", running->name);
    if (current == nullptr || n >= cap) return;
    const uint3 b = running_block().index, t = current->index;
    snprintf(out + n, cap - n, ", block (%u,%u,%u), thread (%u,%u,%u)", b.x, b.y, b.z, t.x, t.y,
             t.z);
}

// "path:line" of the innermost line of a kernel file and, where it was inlined, of the outermost
// one in a .cu file, from what addr2line says.
static void read_places(FILE *lines, char *out, size_t cap) {
    char line[1000], innermost[300] = "", kernel[300] = "";
    while (fgets(line, sizeof line, lines) != nullptr) {
        line[strcspn(line, " \n")] = '\0';
        const bool is_kernel_file = strstr(line, ".cu:") != nullptr;
        if (!is_kernel_file && strstr(line, ".cuh:") == nullptr) continue;
        // The last two parts of the path are enough.
        const char *from = line + strlen(line);
        for (int n_slashes = 0; from > line; from--) {
            if (from[-1] == '/' && ++n_slashes == 2) break;
        }
        if (innermost[0] == '\0') snprintf(innermost, sizeof innermost, "%.290s", from);
        if (is_kernel_file) snprintf(kernel, sizeof kernel, "%.290s", from);
    }
    if (kernel[0] == '\0' || strcmp(kernel, innermost) == 0) {
        snprintf(out, cap, "%s", innermost);
    } else {
        snprintf(out, cap, "%s (from %s)", innermost, kernel);
    }
}

static std::string find_place(const void *pc) {
    // An executable that is loaded anywhere begins at address 0 in its file, others where they lie.
    const uintptr_t start = (uintptr_t)&__executable_start;
    const uintptr_t address = (uintptr_t)pc - 1 - (start > 0x10000000 ? start : 0);
    char command[120], place[700] = "";
    snprintf(command, sizeof command, "addr2line -i -e /proc/%d/exe %#lx 2>/dev/null",
             (int)getpid(), (unsigned long)address);
    FILE *lines = popen(command, "r");
    if (lines != nullptr) {
        read_places(lines, place, sizeof place);
        pclose(lines);
    }
    if (place[0] == '\0') snprintf(place, sizeof place, "%s%#lx", UNKNOWN, (unsigned long)address);
    return place;
}

const char *place_of(const void *pc) {
    static std::map<const void *, std::string> &places = *new std::map<const void *, std::string>;
    std::string &place = places[pc];
    if (place.empty()) place = find_place(pc);
    return place.c_str();
}

bool is_place_known(const void *pc) {
    return strncmp(place_of(pc), UNKNOWN, strlen(UNKNOWN)) != 0;
}

bool is_news(fault kind, const void *pc, const void *other) {
    std::lock_guard<std::mutex> guard(lock);
    counts[(int)kind]++;
    return !is_quiet && told.size() < LINES_MAX && told.insert({kind, pc, other}).second;
}

static void tell(fault kind, const void *pc, const char *format, va_list arguments) {
    char who[300], what[3000];
    describe_thread(who, sizeof who);
    vsnprintf(what, sizeof what, format, arguments);
    fprintf(stderr, "simt: %s%s%s: %s: %s\n", who, pc == nullptr ? "" : ", ",
            pc == nullptr ? "" : place_of(pc), fault_name(kind), what);
}

void tell_fault(fault kind, const void *pc, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    tell(kind, pc, format, arguments);
    va_end(arguments);
}

void report(fault kind, const void *pc, const void *other, const char *format, ...) {
    if (!is_news(kind, pc, other)) return;
    va_list arguments;
    va_start(arguments, format);
    tell(kind, pc, format, arguments);
    va_end(arguments);
}

}  // namespace simt

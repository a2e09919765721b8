// SPDX-License-Identifier: Apache-2.0
//
// Faults: told on stderr in one line, once a kind and place in a launch, and counted each time.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <tuple>

#include "internal.h"

namespace simt {

enum { LINES_MAX = 12 };  // of one launch

static std::atomic<long> counts[(int)fault::count];
static bool is_quiet;
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

extern "C" char __executable_start;

// The text stays until the 16th call that follows.
const char *place_of(const void *pc) {
    static char texts[16][700];
    static int next;
    char *out = texts[next = (next + 1) % 16];
    // An executable that is loaded anywhere begins at address 0 in its file, others where they lie.
    const uintptr_t start = (uintptr_t)&__executable_start;
    const uintptr_t address = (uintptr_t)pc - 1 - (start > 0x10000000 ? start : 0);
    char command[120];
    snprintf(command, sizeof command, "addr2line -i -e /proc/%d/exe %#lx 2>/dev/null",
             (int)getpid(), (unsigned long)address);
    out[0] = '\0';
    FILE *lines = popen(command, "r");
    if (lines != nullptr) {
        read_places(lines, out, sizeof texts[0]);
        pclose(lines);
    }
    if (out[0] == '\0') snprintf(out, sizeof texts[0], "program address %#lx", (long)address);
    return out;
}

void report(fault kind, const void *pc, const void *other, const char *format, ...) {
    counts[(int)kind]++;
    if (is_quiet || told.size() >= LINES_MAX || !told.insert({kind, pc, other}).second) return;
    char who[300], what[3000];
    describe_thread(who, sizeof who);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    fprintf(stderr, "simt: %s%s%s: %s: %s\n", who, pc == nullptr ? "" : ", ",
            pc == nullptr ? "" : place_of(pc), fault_name(kind), what);
}

}  // namespace simt

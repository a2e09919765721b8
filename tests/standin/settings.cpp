// SPDX-License-Identifier: Apache-2.0
//
// What the environment asks for.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/standin/world.h"

namespace standin {

static const char *const call_names[] = {"device", "alloc",  "pinned",  "stream", "event", "query",
                                         "copy",   "launch", "product", "choose", "graph"};
static_assert(sizeof call_names / sizeof *call_names == STANDIN_CALLS, "a name for each kind");

const char *call_name(int kind) {
    return call_names[kind];
}

[[noreturn]] static void refuse(const char *name, const char *value) {
    fprintf(stderr, "standin: %s=%s is not what standin.h says\n", name, value);
    _exit(2);
}

static long read_number(const char *name, long otherwise, long min, long max) {
    const char *text = getenv(name);
    if (text == nullptr || *text == '\0') return otherwise;
    char *end;
    const long value = strtol(text, &end, 10);
    if (*end != '\0' || value < min || value > max) refuse(name, text);
    return value;
}

static int default_code(int kind) {
    if (kind == STANDIN_ALLOC || kind == STANDIN_PINNED) return OUT_OF_MEMORY;
    if (kind == STANDIN_PRODUCT) return STATUS_EXECUTION_FAILED;
    return kind == STANDIN_CHOOSE ? STATUS_INTERNAL_ERROR : LAUNCH_FAILURE;
}

// Cuts the next part off `*rest`. NULL: there is none.
static const char *next_part(char **rest) {
    return *rest == nullptr ? nullptr : strsep(rest, ":");
}

// "KIND:N[:CODE[:HOW]]", or "KIND:N[:HOW]" where there is no code.
static provocation read_provocation(const char *name, bool has_code) {
    provocation wanted = {-1, 0, 0, how::once};
    const char *value = getenv(name);
    if (value == nullptr || *value == '\0') return wanted;
    char text[100];
    snprintf(text, sizeof text, "%s", value);
    char *rest = text, *end;
    const char *kind = next_part(&rest), *n = next_part(&rest);
    for (int i = 0; i < STANDIN_CALLS; i++) {
        if (strcmp(kind, call_names[i]) == 0) wanted.kind = i;
    }
    if (wanted.kind < 0 || n == nullptr) refuse(name, value);
    wanted.n = strtol(n, &end, 10);
    if (*end != '\0' || wanted.n < 1) refuse(name, value);
    const char *code = has_code ? next_part(&rest) : nullptr, *how = next_part(&rest);
    wanted.code = default_code(wanted.kind);
    if (code != nullptr) {
        wanted.code = (int)strtol(code, &end, 10);
        if (*end != '\0' || wanted.code < 1) refuse(name, value);
    }
    if (how != nullptr && strcmp(how, "sticky") == 0 && has_code) {
        wanted.how = how::sticky;
    } else if (how != nullptr && strcmp(how, "late") == 0) {
        wanted.how = how::late;
    } else if (how != nullptr && (strcmp(how, "once") != 0 || !has_code)) {
        refuse(name, value);
    }
    const bool has_operation = wanted.kind == STANDIN_COPY || wanted.kind == STANDIN_LAUNCH ||
                               wanted.kind == STANDIN_PRODUCT || wanted.kind == STANDIN_GRAPH;
    if (rest != nullptr || (wanted.how == how::late && !has_operation)) refuse(name, value);
    return wanted;
}

static uint64_t read_seed(void) {
    const char *text = getenv("STANDIN_SEED");
    if (text != nullptr && strcmp(text, "random") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (uint64_t)getpid();
    }
    if (text == nullptr || *text == '\0') return 1;
    char *end;
    const uint64_t seed = strtoull(text, &end, 10);
    if (*end != '\0') refuse("STANDIN_SEED", text);
    return seed;
}

settings read_settings(void) {
    const size_t mib = (size_t)1 << 20;
    settings s = {};
    s.n_devices = (int)read_number("STANDIN_DEVICES", 1, 0, 64);
    s.major = 9;
    const char *capability = getenv("STANDIN_CC");
    if (capability != nullptr && *capability != '\0' &&
        sscanf(capability, "%d.%d", &s.major, &s.minor) != 2) {
        refuse("STANDIN_CC", capability);
    }
    s.n_multiprocessors = (int)read_number("STANDIN_SMS", 3, 1, 1000);
    s.is_mixed = read_number("STANDIN_MIXED", 0, 0, 1) != 0;
    s.memory_nbytes = (size_t)read_number("STANDIN_MEMORY", 256, 1, 8192) * mib;
    const long told = read_number("STANDIN_MEMORY_TOLD", -1, 0, 1 << 20);
    s.told_nbytes = told < 0 ? SIZE_MAX : (size_t)told * mib;
    s.seed = read_seed();
    s.fail = read_provocation("STANDIN_FAIL", true);
    s.hang = read_provocation("STANDIN_HANG", false);
    s.report = getenv("STANDIN_REPORT");
    return s;
}

}  // namespace standin

// SPDX-License-Identifier: Apache-2.0
//
// The stand-in's state from the first call to the program's end, and what must not be left then. A
// device that was lost or hangs excuses what is its own.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/standin/kernels.h"
#include "tests/standin/world.h"

namespace standin {

static void check_exit(void);

static world *make_world(void) {
    world *made = new world;  // never deleted: threads may be at work until the end
    take_launches();
    if (atexit(check_exit) != 0) abort();
    return made;
}

world &the_world(void) {
    static world *const made = make_world();
    return *made;
}

static bool is_excused(int device) {
    return the_world().devices[(size_t)device].is_excused();
}

static int n_leaks;

static void leak(const char *what, int device, size_t nbytes) {
    n_leaks++;
    fprintf(stderr, "standin: left over at exit: %s of device %d", what, device);
    fprintf(stderr, nbytes > 0 ? ", %zu bytes\n" : "\n", nbytes);
}

static void find_left_blocks(const char *what, const std::map<const char *, block> &blocks) {
    for (const auto &one : blocks) {
        if (!is_excused(one.second.device)) leak(what, one.second.device, one.second.nbytes);
    }
}

template <typename Handle>
static void find_left(const char *what, const std::deque<Handle> &handles) {
    for (const Handle &one : handles) {
        if (!one.is_destroyed && !is_excused(one.device)) leak(what, one.device, 0);
    }
}

static void check_unfinished(void) {
    for (const CUstream_st &stream : the_world().streams) {
        for (const auto &one : stream.queue) {
            if (one->work != nullptr && !is_excused(stream.device))
                standin_misuse("the program ends before %s is done", describe(*one));
        }
    }
}

static void find_left_handles(void) {
    const world &w = the_world();
    bool is_any_excused = false;
    for (const device &one : w.devices) is_any_excused = is_any_excused || one.is_excused();
    if (w.n_handles == 0 || (w.n_handles > 0 && is_any_excused)) return;
    n_leaks++;
    fprintf(stderr, "standin: left over at exit: %d handles of cublasLt\n", w.n_handles.load());
}

static void check_exit(void) {
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    write_report();
    check_unfinished();
    find_left_blocks("memory", w.memory);
    find_left_blocks("pinned memory", w.pinned);
    find_left("a stream", w.streams);
    find_left("an event", w.events);
    find_left("a graph", w.graphs);
    find_left("a graph that can be launched", w.execs);
    find_left_handles();
    if (n_leaks == 0) return;
    enum { LEAKED = 99 };
    fflush(stdout);
    _exit(LEAKED);
}

}  // namespace standin

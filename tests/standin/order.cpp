// SPDX-License-Identifier: Apache-2.0
//
// Which operation comes before which, and what must follow from that. The clock of an operation
// says how many of each stream are done before it is: those before it in its stream, and those
// before the events that its stream waited for. Each is compared when it is enqueued with those
// that nobody has seen done, whether they have run or not; so a fault shows however the streams
// happen to take turns. What one thread has seen done, every thread may build on.
#include <stdio.h>
#include <string.h>

#include "tests/standin/world.h"

namespace standin {

void join(vector_clock *into, const vector_clock &from) {
    if (into->size() < from.size()) into->resize(from.size());
    for (size_t i = 0; i < from.size(); i++) {
        if ((*into)[i] < from[i]) (*into)[i] = from[i];
    }
}

static bool is_before(const operation &earlier, const vector_clock &clock) {
    const size_t stream = earlier.stream->number;
    return stream < clock.size() && clock[stream] >= earlier.number;
}

const char *describe(const operation &operation) {
    static thread_local char texts[2][200];
    static thread_local int turn;
    char *text = texts[turn ^= 1];
    snprintf(text, sizeof texts[0], "%s (operation %llu of stream %zu, device %d)",
             operation.work->name, (unsigned long long)operation.number, operation.stream->number,
             operation.stream->device);
    return text;
}

static bool overlap(const standin_range &a, const standin_range &b) {
    const uintptr_t a_begin = (uintptr_t)a.begin, b_begin = (uintptr_t)b.begin;
    return a.nbytes > 0 && b.nbytes > 0 && a_begin < b_begin + b.nbytes &&
           b_begin < a_begin + a.nbytes;
}

static bool overlap(const std::vector<standin_range> &some,
                    const std::vector<standin_range> &others) {
    for (const standin_range &a : some) {
        for (const standin_range &b : others) {
            if (overlap(a, b)) return true;
        }
    }
    return false;
}

static void must_not_meet(const operation &earlier, const operation &later) {
    const work &a = *earlier.work, &b = *later.work;
    const char *did = nullptr, *does = nullptr;
    if (overlap(a.writes, b.writes)) {
        did = does = "writes";
    } else if (overlap(a.writes, b.reads)) {
        did = "writes", does = "reads";
    } else if (overlap(a.reads, b.writes)) {
        did = "reads", does = "writes";
    }
    if (did != nullptr)
        standin_misuse("%s %s what %s %s, and no stream, event or query orders the two",
                       describe(later), does, describe(earlier), did);
}

void order_operation(const std::shared_ptr<operation> &operation) {
    world &w = the_world();
    CUstream_st *stream = operation->stream;
    operation->number = ++stream->n_operations;
    if (operation->wait != nullptr) join(&stream->before, operation->wait->before);
    if (stream->before.size() <= stream->number) stream->before.resize(stream->number + 1);
    stream->before[stream->number] = operation->number;
    operation->before = stream->before;
    if (operation->record != nullptr) operation->record->before = stream->before;
    if (operation->work == nullptr) return;
    for (const auto &earlier : w.history) {
        if (!is_before(*earlier, operation->before)) must_not_meet(*earlier, *operation);
    }
    w.history.push_back(operation);
}

template <typename Predicate>
static void forget_if(Predicate predicate) {
    auto &history = the_world().history;
    size_t n = 0;
    for (size_t i = 0; i < history.size(); i++) {
        if (predicate(*history[i])) continue;
        if (n != i) history[n] = history[i];
        n++;
    }
    history.resize(n);
}

void note_seen(const vector_clock &before) {
    world &w = the_world();
    join(&w.host, before);
    forget_if([&](const operation &one) { return is_before(one, w.host); });
}

void forget_history(int device) {
    forget_if([&](const operation &one) { return one.stream->device == device; });
}

// ---- pinned memory

static uint64_t hash_bytes(const void *bytes, size_t nbytes) {
    const char *at = static_cast<const char *>(bytes);
    uint64_t hash = 0xcbf29ce484222325u, value;
    for (; nbytes >= 8; nbytes -= 8, at += 8) {
        memcpy(&value, at, 8);
        hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; nbytes > 0; nbytes--) hash = (hash ^ (unsigned char)*at++) * 0x100000001b3u;
    return hash;
}

static bool is_fill(const void *bytes, size_t nbytes) {
    const unsigned char *at = static_cast<const unsigned char *>(bytes);
    return nbytes == 0 || (at[0] == 0xff && memcmp(at, at + 1, nbytes - 1) == 0);
}

// Another operation that waits and touches the same bytes may change them by right.
void watch_pinned(operation *operation) {
    const work &copy = *operation->work;
    if (copy.pinned.nbytes == 0) return;
    for (const auto &other : the_world().history) {
        if (other.get() != operation && !other->is_done &&
            overlap(other->work->pinned, copy.pinned))
            return;
    }
    operation->is_watched = true;
    if (copy.is_pinned_written) {
        memset(const_cast<void *>(copy.pinned.begin), 0xff, copy.pinned.nbytes);
    } else {
        operation->pinned_hash = hash_bytes(copy.pinned.begin, copy.pinned.nbytes);
    }
}

void check_pinned(const operation &operation) {
    const work &copy = *operation.work;
    if (!operation.is_watched) return;
    if (copy.is_pinned_written && !is_fill(copy.pinned.begin, copy.pinned.nbytes))
        standin_misuse("the host wrote to the pinned memory that %s writes, before it was done",
                       describe(operation));
    if (!copy.is_pinned_written &&
        hash_bytes(copy.pinned.begin, copy.pinned.nbytes) != operation.pinned_hash)
        standin_misuse("the host wrote to the pinned memory that %s reads, before it was done",
                       describe(operation));
}

}  // namespace standin

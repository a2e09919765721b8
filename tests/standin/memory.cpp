// SPDX-License-Identifier: Apache-2.0
//
// Memory of devices, which is the emulator's with an owner, and pinned memory, which is the host's.
#include <stdlib.h>
#include <string.h>

#include "emulator.h"
#include "tests/standin/world.h"

namespace standin {

static const size_t PAGE = 4096;

// The block that `at` is in or behind. NULL: there is none.
static const std::pair<const char *const, block> *find(const std::map<const char *, block> &blocks,
                                                       const void *at) {
    auto next = blocks.upper_bound(static_cast<const char *>(at));
    return next == blocks.begin() ? nullptr : &*--next;
}

static bool is_within(const std::pair<const char *const, block> *found,
                      const standin_range &range) {
    if (found == nullptr) return false;
    const size_t before = (size_t)(static_cast<const char *>(range.begin) - found->first);
    return before <= found->second.nbytes && range.nbytes <= found->second.nbytes - before;
}

static bool is_at(const std::pair<const char *const, block> *found, const void *at) {
    return is_within(found, {at, 1});
}

// ---- of devices

int allocate(void **out, size_t nbytes) {
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    const int code = check_capture();
    if (code != OK) return code;
    const int number = current_device();
    device &owner = w.devices[(size_t)number];
    *out = nullptr;
    if (nbytes == 0) return OK;
    if (nbytes > w.settings.memory_nbytes - owner.used_nbytes) return OUT_OF_MEMORY;
    *out = simt::allocate(nbytes);
    if (*out == nullptr) return OUT_OF_MEMORY;
    const char *begin = static_cast<const char *>(*out);
    auto old = w.freed.lower_bound(begin);
    if (old != w.freed.begin() && is_at(&*std::prev(old), begin)) --old;
    while (old != w.freed.end() && old->first < begin + nbytes) old = w.freed.erase(old);
    w.memory[begin] = {nbytes, number};
    owner.used_nbytes += nbytes;
    return OK;
}

// As a device does, it waits for all of its work first.
int release(void *memory) {
    world &w = the_world();
    std::unique_lock<std::mutex> guard(w.lock);
    const int code = check_capture();
    if (code != OK || memory == nullptr) return code;
    auto found = w.memory.find(static_cast<const char *>(memory));
    if (found == w.memory.end())
        standin_misuse("%p is freed, which is no device memory, or no longer", memory);
    const block freed = found->second;
    if (freed.device != current_device())
        standin_misuse("memory of device %d is freed by a thread that uses device %d", freed.device,
                       current_device());
    if (!run_all(freed.device)) {
        guard.unlock();
        hang();
    }
    for (const CUstream_st &stream : w.streams) {
        if (stream.device == freed.device) note_seen(stream.before);
    }
    w.memory.erase(found);
    w.freed[static_cast<const char *>(memory)] = freed;
    simt::release(memory);
    device &owner = w.devices[(size_t)freed.device];
    owner.used_nbytes -= freed.nbytes;
    return owner.lost_code;
}

void must_be_memory(const char *name, const standin_range &range, int number) {
    world &w = the_world();
    const auto *found = find(w.memory, range.begin);
    if (!is_within(found, range)) {
        const bool was =
            !is_at(found, range.begin) && is_at(find(w.freed, range.begin), range.begin);
        standin_misuse("%s touches %zu bytes at %p, which are %s", name, range.nbytes, range.begin,
                       was ? "device memory that was freed" : "not within one block of memory");
    }
    if (found->second.device != number)
        standin_misuse("%s on device %d touches memory of device %d", name, number,
                       found->second.device);
}

// ---- pinned

int allocate_pinned(void **out, size_t nbytes, bool is_portable) {
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    const int code = check_capture();
    if (code != OK) return code;
    *out = nullptr;
    if (!is_portable) standin_misuse("pinned memory that is not portable");
    if (nbytes == 0) return OK;
    if (posix_memalign(out, PAGE, nbytes) != 0) return OUT_OF_MEMORY;
    memset(*out, 0xff, nbytes);
    w.pinned[static_cast<const char *>(*out)] = {nbytes, current_device()};
    return OK;
}

int release_pinned(void *memory) {
    world &w = the_world();
    std::lock_guard<std::mutex> guard(w.lock);
    const int code = check_capture();
    if (code != OK || memory == nullptr) return code;
    auto found = w.pinned.find(static_cast<const char *>(memory));
    if (found == w.pinned.end())
        standin_misuse("%p is freed, which is no pinned memory, or no longer", memory);
    for (const auto &one : w.history) {
        const standin_range &pinned = one->work->pinned;
        if (pinned.nbytes > 0 && is_at(&*found, pinned.begin))
            standin_misuse("pinned memory is freed that %s uses, which nobody has seen done",
                           describe(*one));
    }
    const int lost = w.devices[(size_t)found->second.device].lost_code;
    w.pinned.erase(found);
    free(memory);
    return lost;
}

void must_be_pinned(const char *name, const standin_range &range) {
    world &w = the_world();
    if (!is_within(find(w.pinned, range.begin), range))
        standin_misuse("%s touches %zu bytes at %p of the host, which are not pinned", name,
                       range.nbytes, range.begin);
}

// ---- copies

namespace {
struct copy_closure {
    standin::direction direction;
    void *to;
    const void *from;
    size_t nbytes;
};
}  // namespace

static void run_copy(const void *closure) {
    const copy_closure &copy = *static_cast<const copy_closure *>(closure);
    switch (copy.direction) {
        case direction::in:
            simt::write(copy.to, copy.from, copy.nbytes);
            break;
        case direction::out:
            simt::read(copy.to, copy.from, copy.nbytes);
            break;
        case direction::within:
            simt::copy(copy.to, copy.from, copy.nbytes);
            break;
        case direction::zero:
            simt::mark_written(copy.to, copy.nbytes);
            memset(copy.to, 0, copy.nbytes);
            break;
    }
}

std::shared_ptr<work> make_copy(standin::direction direction, void *to, const void *from,
                                size_t nbytes) {
    static const char *const names[] = {"a copy to the device", "a copy from the device",
                                        "a copy within the device", "zeros"};
    const copy_closure closure = {direction, to, from, nbytes};
    auto made = std::make_shared<work>();
    made->kind = STANDIN_COPY;
    made->name = names[(int)direction];
    made->run = run_copy;
    const char *bytes = reinterpret_cast<const char *>(&closure);
    made->closure.assign(bytes, bytes + sizeof closure);
    if (from != nullptr) made->reads.push_back({from, nbytes});
    made->writes.push_back({to, nbytes});
    if (direction == direction::in) made->pinned = {from, nbytes};
    if (direction == direction::out) made->pinned = {to, nbytes};
    made->is_pinned_written = direction == direction::out;
    return made;
}

void note_written(const work &work) {
    for (const standin_range &range : work.writes)
        simt::mark_written(const_cast<void *>(range.begin), range.nbytes);
}

}  // namespace standin

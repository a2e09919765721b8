// SPDX-License-Identifier: Apache-2.0
//
// Device memory: a stretch of addresses reserved once, in which each allocation has its place, with
// at least GAP unused bytes after it. Without the checker unused pages cannot be touched; with it
// they can, so that a kernel that was told off goes on. Under AddressSanitizer, the rest of an
// allocation's pages is poisoned.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>
#include <mutex>

#include "internal.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, nbytes)   ((void)(at), (void)(nbytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, nbytes) ((void)(at), (void)(nbytes))
#endif

// Bounds of the program's variables and of what comes before them, from the linker and the C
// library.
extern "C" char __data_start, _end;

namespace simt {

const size_t ARENA_NBYTES = (size_t)16 << 30;
static const size_t PAGE = 4096, GAP = 1 << 20, ALIGNMENT = 256;

struct allocation {
    size_t nbytes;
    char *pages;  // of its own
    size_t pages_nbytes;
};

static std::mutex lock;
// By address. Never destroyed: memory may be freed at the program's end.
static std::map<char *, allocation> &allocations = *new std::map<char *, allocation>;
static char *cursor;  // where to look for room

static unsigned char *reserve_arena(void) {
    const int protection = checker == nullptr ? PROT_NONE : PROT_READ | PROT_WRITE;
    void *memory =
        mmap(nullptr, ARENA_NBYTES, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("simt: device memory");
        abort();
    }
    return static_cast<unsigned char *>(memory);
}

unsigned char *arena(void) {
    static unsigned char *const memory = reserve_arena();
    return memory;
}

bool in_arena(const void *at) {
    return (uintptr_t)at - (uintptr_t)arena() < ARENA_NBYTES;
}

bool is_shared(const void *at) {
    return (uintptr_t)at - (uintptr_t)arena() < WINDOW_NBYTES ||
           (uintptr_t)at - (uintptr_t)&__data_start < (uintptr_t)(&_end - &__data_start);
}

// The last allocation that begins at or before `at`; end() where there is none.
static std::map<char *, allocation>::iterator find(const void *at) {
    auto next = allocations.upper_bound(static_cast<char *>(const_cast<void *>(at)));
    return next == allocations.begin() ? allocations.end() : --next;
}

// Room for `nbytes` of pages from `cursor` on, or NULL.
static char *find_room(size_t nbytes) {
    char *const end = reinterpret_cast<char *>(arena()) + ARENA_NBYTES;
    for (auto next = allocations.lower_bound(cursor);; next++) {
        char *const limit = next == allocations.end() ? end : next->second.pages;
        if (cursor <= limit && (size_t)(limit - cursor) >= nbytes + GAP) return cursor;
        if (next == allocations.end()) return nullptr;
        cursor = next->second.pages + next->second.pages_nbytes + GAP;
    }
}

// Lies at the end of its pages, but for the alignment.
void *allocate(size_t nbytes) {
    std::lock_guard<std::mutex> guard(lock);
    const size_t rounded = (nbytes + (nbytes == 0) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const size_t pages_nbytes = (rounded + PAGE - 1) / PAGE * PAGE;
    char *const begin = reinterpret_cast<char *>(arena()) + WINDOW_NBYTES + GAP;
    if (nbytes > ARENA_NBYTES) return nullptr;
    if (cursor == nullptr) cursor = begin;
    char *pages = find_room(pages_nbytes);
    if (pages == nullptr) {
        cursor = begin;
        pages = find_room(pages_nbytes);
    }
    if (pages == nullptr || mprotect(pages, pages_nbytes, PROT_READ | PROT_WRITE) != 0)
        return nullptr;
    char *const memory = pages + pages_nbytes - rounded;
    cursor = pages + pages_nbytes + GAP;
    memset(memory, 0xff, nbytes);
    ASAN_POISON_MEMORY_REGION(pages, (size_t)(memory - pages));
    ASAN_POISON_MEMORY_REGION(memory + nbytes, rounded - nbytes);
    allocations[memory] = {nbytes, pages, pages_nbytes};
    if (checker != nullptr) checker->on_content(memory, nbytes, content::fresh);
    return memory;
}

void release(void *memory) {
    if (memory == nullptr) return;
    std::lock_guard<std::mutex> guard(lock);
    auto found = allocations.find(static_cast<char *>(memory));
    if (found == allocations.end()) {
        fprintf(stderr, "simt: %p is freed, which is no device memory\n", memory);
        abort();
    }
    const allocation freed = found->second;
    allocations.erase(found);
    ASAN_UNPOISON_MEMORY_REGION(freed.pages, freed.pages_nbytes);
    madvise(freed.pages, freed.pages_nbytes, MADV_DONTNEED);
    if (checker != nullptr) {
        checker->on_content(memory, freed.nbytes, content::none);
    } else {
        mprotect(freed.pages, freed.pages_nbytes, PROT_NONE);
    }
}

// That all of it lies within one allocation.
static void must_be_device(const void *at, size_t nbytes) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = find(at);
    const char *begin = static_cast<const char *>(at);
    if (found != allocations.end() &&
        (size_t)(begin - found->first) + nbytes <= found->second.nbytes) {
        return;
    }
    fprintf(stderr, "simt: the host copies %zu bytes at %p, which are no device memory\n", nbytes,
            at);
    abort();
}

void mark_written(void *device, size_t nbytes) {
    must_be_device(device, nbytes);
    if (checker != nullptr) checker->on_content(device, nbytes, content::written);
}

void write(void *to_device, const void *from, size_t nbytes) {
    mark_written(to_device, nbytes);
    if (nbytes > 0) memcpy(to_device, from, nbytes);
}

void read(void *to, const void *from_device, size_t nbytes) {
    must_be_device(from_device, nbytes);
    if (nbytes > 0) memcpy(to, from_device, nbytes);
}

void copy(void *to_device, const void *from_device, size_t nbytes) {
    must_be_device(from_device, nbytes);
    mark_written(to_device, nbytes);
    if (nbytes > 0) memmove(to_device, from_device, nbytes);
}

// ---- dynamic shared memory

// As at the end of the window as it can be with an address that is a multiple of 16 and of no more,
// which is what DYNAMIC_SHARED asks for.
unsigned char *shared_window(size_t nbytes) {
    static const bool is_open = mprotect(arena(), WINDOW_NBYTES, PROT_READ | PROT_WRITE) == 0;
    if (!is_open) abort();
    unsigned char *const end = arena() + WINDOW_NBYTES - PAGE;
    unsigned char *memory = end - (nbytes + 31) / 32 * 32 - 16;
    ASAN_POISON_MEMORY_REGION(arena(), WINDOW_NBYTES);
    ASAN_UNPOISON_MEMORY_REGION(memory, nbytes);
    return memory;
}

// ---- for reports

static void describe_arena(const char *at, char *out, size_t cap) {
    std::lock_guard<std::mutex> guard(lock);
    if (at < reinterpret_cast<char *>(arena()) + WINDOW_NBYTES) {
        snprintf(out, cap, "byte %td of the %zu of dynamic shared memory",
                 at - reinterpret_cast<char *>(running_block().dynamic_shared),
                 running->shared_nbytes);
        return;
    }
    auto found = find(at);
    if (found != allocations.end() && at < found->first + found->second.nbytes + GAP) {
        snprintf(out, cap, "byte %td of %zu bytes of device memory", at - found->first,
                 found->second.nbytes);
        return;
    }
    auto next = allocations.upper_bound(const_cast<char *>(at));
    if (next != allocations.end()) {
        snprintf(out, cap, "byte %td of %zu bytes of device memory", at - next->first,
                 next->second.nbytes);
        return;
    }
    snprintf(out, cap, "device memory that is not allocated");
}

void describe_memory(const void *at, char *out, size_t cap) {
    if (in_arena(at)) {
        describe_arena(static_cast<const char *>(at), out, cap);
    } else {
        snprintf(out, cap, "address %p, which is no device memory", at);
    }
}

}  // namespace simt

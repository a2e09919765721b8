// SPDX-License-Identifier: Apache-2.0
//
// Data races. Time counts up at each barrier that is passed and at the begin of each block and
// launch; what a thread does carries the time at which it last passed one. Two accesses to a byte,
// one of them a write and not both atomic, are a race unless they are ordered, which they are
//   in one thread, and in different launches;
//   in one block, when the earlier one was done before the last __syncthreads;
//   in one warp, when a chain of __syncwarp leads from one to the other.
// Nothing else orders: no shuffle, no fence, no atomic, and nothing between blocks.
//
// A cell of two bytes keeps the last write of each and two reads, of different warps if there are
// such: a later write that is ordered after both is ordered after all, unless it meets some lanes
// of a warp and not others through __syncwarp with less than all lanes, or the reads were of single
// bytes.
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "checker.h"

namespace simt {

// An access in 64 bits, 0: none. From the upper end: time (32), site (19), whether it is atomic
// (1), bytes of the cell (2), thread (10). Not a struct of bit fields: compilers write those in
// parts.
typedef uint64_t stamp;

static inline stamp make_stamp(uint32_t time, uint32_t site, bool is_atomic, unsigned thread) {
    return (uint64_t)time << 32 | (uint64_t)site << 13 | (uint64_t)is_atomic << 12 | thread;
}
static inline stamp with_bytes(stamp self, unsigned bytes) {
    return self | (uint64_t)bytes << 10;
}
static inline uint32_t time_of(stamp self) {
    return (uint32_t)(self >> 32);
}
static inline uint32_t site_number_of(stamp self) {
    return (uint32_t)(self >> 13) & ((1u << 19) - 1);
}
static inline bool is_atomic(stamp self) {
    return (self >> 12 & 1) != 0;
}
static inline unsigned bytes_of(stamp self) {
    return (unsigned)(self >> 10) & 3;
}
static inline unsigned number_of(stamp self) {
    return (unsigned)self & 1023;
}
static inline unsigned warp_of(stamp self) {
    return number_of(self) / WARP_LANES;
}

struct cell {
    stamp writes[2];  // of each byte
    stamp read, other_read;
};

static cell *cells;  // by index / 2
static size_t cells_nbytes;

// ---- time

static uint32_t now = 1;
static uint32_t launch_time, block_time, barrier_time;  // of the last ones
static uint32_t warp_time[WARPS_MAX];                   // of its last barrier of all lanes
static uint32_t thread_time[THREADS_MAX];
// seen[w][l][k]: what lane k of warp w did at this time or before is ordered before what lane l
// does, by barriers of some lanes.
static uint32_t seen[WARPS_MAX][WARP_LANES][WARP_LANES];
static std::vector<std::pair<uint32_t, uint3>> &blocks =
    *new std::vector<std::pair<uint32_t, uint3>>;  // of the launch, by time

void races_open(size_t n_bytes) {
    cells_nbytes = n_bytes / 2 * sizeof(cell);
    cells = static_cast<cell *>(reserve(cells_nbytes));
}

void races_forget(size_t index, size_t nbytes) {
    const uintptr_t page = 4096;
    const uintptr_t begin = ((uintptr_t)&cells[index / 2] + page - 1) / page * page;
    const uintptr_t end = (uintptr_t)&cells[(index + nbytes) / 2] / page * page;
    if (begin < end) madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

void races_begin_launch(void) {
    // Long before time runs over, all is forgotten, which is what a launch does anyhow.
    if (now > UINT32_MAX / 2) {
        madvise(cells, cells_nbytes, MADV_DONTNEED);
        now = 1;
    }
    launch_time = ++now;
    blocks.clear();
}

void races_begin_block(void) {
    block_time = barrier_time = ++now;
    blocks.push_back({now, running_block().index});
    std::fill_n(thread_time, THREADS_MAX, now);
    std::fill_n(warp_time, (size_t)WARPS_MAX, now);
    memset(seen, 0, sizeof seen);
}

void races_block_barrier(void) {
    barrier_time = ++now;
    std::fill_n(thread_time, running_block().n_threads, now);
}

void races_warp_barrier(unsigned warp, uint32_t lanes) {
    uint32_t *const times = thread_time + warp * WARP_LANES;
    uint32_t joined[WARP_LANES] = {};
    now++;
    if (lanes == ~0u) {
        warp_time[warp] = now;
        std::fill_n(times, (size_t)WARP_LANES, now);
        return;
    }
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        for (int k = 0; k < WARP_LANES; k++) joined[k] = std::max(joined[k], seen[warp][lane][k]);
        joined[lane] = std::max(joined[lane], times[lane]);
    }
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        memcpy(seen[warp][lane], joined, sizeof joined);
        times[lane] = now;
    }
}

// ---- sites: numbers for return addresses

enum { SITES_MAX = 1 << 19, SITE_SLOTS = 1 << 16 };
static std::vector<const void *> &site_pcs = *new std::vector<const void *>(1, nullptr);
// From an address within the program, in a table of its lower bits.
static struct {
    const void *pc;
    uint32_t site;
} site_slots[SITE_SLOTS];

static uint32_t site_of(const void *pc) {
    auto *slot = &site_slots[(uintptr_t)pc % SITE_SLOTS];
    if (slot->pc == pc) return slot->site;
    auto found = std::find(site_pcs.begin(), site_pcs.end(), pc);
    if (found == site_pcs.end()) {
        if (site_pcs.size() == SITES_MAX) return 0;
        site_pcs.push_back(pc);
        found = site_pcs.end() - 1;
    }
    slot->pc = pc;
    slot->site = (uint32_t)(found - site_pcs.begin());
    return slot->site;
}

// ---- the check

static void tell(size_t index, size_t nbytes, bool is_write, stamp earlier, const void *pc,
                 const char *earlier_verb) {
    const void *earlier_pc = site_pcs[site_number_of(earlier)];
    if (!is_news(fault::race, pc, earlier_pc)) return;
    char where[300];
    describe_index(index, where, sizeof where);
    uint3 block = {};
    for (const auto &one : blocks) {
        if (one.first <= time_of(earlier)) block = one.second;
    }
    const uint3 t = thread_of(number_of(earlier))->index;
    tell_fault(fault::race, pc,
               "%s %zu bytes, %s, that block (%u,%u,%u), thread (%u,%u,%u) %s at %s, in no order",
               is_write ? "writes" : "reads", nbytes, where, block.x, block.y, block.z, t.x, t.y,
               t.z, earlier_verb, place_of(earlier_pc));
}

static inline bool is_unordered(stamp earlier, stamp self, bool is_shared) {
    const uint32_t time = time_of(earlier);
    if (time < launch_time) return false;
    if (time < block_time) return !is_shared;  // shared memory of an earlier block is gone
    if (time < barrier_time || number_of(earlier) == number_of(self)) return false;
    const unsigned warp = warp_of(self);
    if (warp_of(earlier) != warp) return true;
    return time >= warp_time[warp] &&
           seen[warp][number_of(self) % WARP_LANES][number_of(earlier) % WARP_LANES] < time;
}

static inline bool is_race(stamp earlier, stamp self, bool is_shared) {
    return is_unordered(earlier, self, is_shared) && (bytes_of(earlier) & bytes_of(self)) != 0 &&
           !(is_atomic(earlier) && is_atomic(self));
}

// Takes the place of a read that need not be remembered, if there is one.
static inline void remember_read(cell *cell, stamp self, bool is_shared) {
    if (!is_unordered(cell->read, self, is_shared)) {
        cell->read = self;
    } else if (!is_unordered(cell->other_read, self, is_shared) ||
               warp_of(cell->other_read) == warp_of(cell->read)) {
        cell->other_read = self;
    }
}

static inline void check_cell(cell *cell, stamp self, size_t index, size_t nbytes, bool is_write,
                              const void *pc) {
    const bool is_shared = is_shared_index(index);
    const unsigned bytes = bytes_of(self);
    if ((bytes & 1) && is_race(cell->writes[0], self, is_shared)) {
        tell(index, nbytes, is_write, cell->writes[0], pc, "writes");
    } else if ((bytes & 2) && is_race(cell->writes[1], self, is_shared)) {
        tell(index, nbytes, is_write, cell->writes[1], pc, "writes");
    }
    if (!is_write) {
        remember_read(cell, self, is_shared);
        return;
    }
    if (is_race(cell->read, self, is_shared)) {
        tell(index, nbytes, is_write, cell->read, pc, "reads");
    } else if (is_race(cell->other_read, self, is_shared)) {
        tell(index, nbytes, is_write, cell->other_read, pc, "reads");
    }
    if (bytes & 1) cell->writes[0] = self;
    if (bytes & 2) cell->writes[1] = self;
}

void check_races(size_t index, size_t nbytes, access kind, const void *pc) {
    const bool is_write = kind != access::read;
    const stamp self = make_stamp(thread_time[current->number], site_of(pc), kind == access::atomic,
                                  current->number);
    const size_t end = index + nbytes;
    size_t at = index;
    if (at % 2 != 0) {
        check_cell(&cells[at / 2], with_bytes(self, 2), index, nbytes, is_write, pc);
        at++;
    }
    for (; at + 2 <= end; at += 2)
        check_cell(&cells[at / 2], with_bytes(self, 3), index, nbytes, is_write, pc);
    if (at < end) check_cell(&cells[at / 2], with_bytes(self, 1), index, nbytes, is_write, pc);
}

}  // namespace simt

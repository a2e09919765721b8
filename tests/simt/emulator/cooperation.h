// SPDX-License-Identifier: Apache-2.0
//
// Barriers, votes and shuffles. Each call names its place in the source, which is what tells two
// barriers apart: a compiler may make several of one.
#ifndef WADER_TESTS_SIMT_COOPERATION_H
#define WADER_TESTS_SIMT_COOPERATION_H

#include <string.h>

#include <type_traits>

#include "language.h"

#define SIMT_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace simt {

struct barrier_votes {
    int n_true, n_threads;
};
barrier_votes block_barrier(bool vote, const char *file, int line);
void warp_barrier(uint32_t mask, const char *file, int line);
uint32_t ballot(uint32_t mask, bool vote, const char *file, int line);

struct value16 {
    uint64_t low, high;
};
// The value of lane `source` of this warp; a lane that takes no part is a fault. Lanes exchange
// when `form` is the same for all: the size of the value and which shuffle it is.
value16 shuffle(uint32_t mask, value16 value, unsigned form, int source, const char *file,
                int line);
enum shuffle_kind : unsigned { SHUFFLE_INDEX, SHUFFLE_XOR, SHUFFLE_UP, SHUFFLE_DOWN };
int lane(void);
[[noreturn]] void trap(void);
unsigned char *dynamic_shared(void);

// By value all along, so that nothing but registers changes hands.
template <typename T>
__forceinline__ T shuffle_any(shuffle_kind kind, uint32_t mask, T value, int source,
                              const char *file, int line) {
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 16, "type of a shuffle");
    value16 words = {0, 0};
    memcpy(&words, &value, sizeof(T));
    words = shuffle(mask, words, (unsigned)sizeof(T) << 2 | kind, source, file, line);
    memcpy(&value, &words, sizeof(T));
    return value;
}

}  // namespace simt

#define DYNAMIC_SHARED(type, name) \
    type *const name = reinterpret_cast<type *>(simt::dynamic_shared())

__forceinline__ void __trap() {
    simt::trap();
}

// ---- barriers

__forceinline__ void __syncthreads(SIMT_PLACE) {
    simt::block_barrier(false, file, line);
}
__forceinline__ int __syncthreads_or(int predicate, SIMT_PLACE) {
    return simt::block_barrier(predicate != 0, file, line).n_true > 0;
}
__forceinline__ int __syncthreads_and(int predicate, SIMT_PLACE) {
    const simt::barrier_votes votes = simt::block_barrier(predicate != 0, file, line);
    return votes.n_true == votes.n_threads;
}
__forceinline__ int __syncthreads_count(int predicate, SIMT_PLACE) {
    return simt::block_barrier(predicate != 0, file, line).n_true;
}
__forceinline__ void __syncwarp(unsigned mask = 0xffffffffu, SIMT_PLACE) {
    simt::warp_barrier(mask, file, line);
}
// Order between memory accesses comes from barriers alone here; a kernel that relies on a fence is
// reported as a race.
static inline void __threadfence() {}
static inline void __threadfence_block() {}

// ---- votes

__forceinline__ unsigned __ballot_sync(unsigned mask, int predicate, SIMT_PLACE) {
    return simt::ballot(mask, predicate != 0, file, line);
}
__forceinline__ int __any_sync(unsigned mask, int predicate, SIMT_PLACE) {
    return simt::ballot(mask, predicate != 0, file, line) != 0;
}
__forceinline__ int __all_sync(unsigned mask, int predicate, SIMT_PLACE) {
    return simt::ballot(mask, predicate == 0, file, line) == 0;
}
// A device may answer with any set of lanes that happen to run together. This is the smallest one.
__forceinline__ unsigned __activemask() {
    return 1u << simt::lane();
}

// ---- shuffles, within segments of `width` lanes

template <typename T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
                              SIMT_PLACE) {
    const int first = simt::lane() & ~(width - 1);
    return simt::shuffle_any(simt::SHUFFLE_INDEX, mask, value, first + (source & (width - 1)), file,
                             line);
}
template <typename T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int distance, int width = warpSize,
                                  SIMT_PLACE) {
    const int lane = simt::lane(), source = lane ^ distance;
    const bool is_beyond = source > (lane | (width - 1));
    return simt::shuffle_any(simt::SHUFFLE_XOR, mask, value, is_beyond ? lane : source, file, line);
}
template <typename T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = warpSize,
                                 SIMT_PLACE) {
    const int lane = simt::lane(), source = lane - (int)distance;
    const bool is_beyond = source < (lane & ~(width - 1));
    return simt::shuffle_any(simt::SHUFFLE_UP, mask, value, is_beyond ? lane : source, file, line);
}
template <typename T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = warpSize,
                                   SIMT_PLACE) {
    const int lane = simt::lane(), source = lane + (int)distance;
    const bool is_beyond = source > (lane | (width - 1));
    return simt::shuffle_any(simt::SHUFFLE_DOWN, mask, value, is_beyond ? lane : source, file,
                             line);
}

#endif

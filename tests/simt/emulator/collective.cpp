// SPDX-License-Identifier: Apache-2.0
//
// What the lanes of a warp do together. Each brings its part and waits; the last one resolves for
// all and goes on.
#include <string.h>

#include "internal.h"
#include "matrix.h"

namespace simt {

static bool is_same_place(const thread *a, const thread *b) {
    return a->line == b->line && (a->file == b->file || strcmp(a->file, b->file) == 0);
}

bool is_same_collective(const thread *a, const thread *b) {
    return a->kind == b->kind && a->mask == b->mask && a->form == b->form &&
           (!a->is_aligned || is_same_place(a, b));
}

bool release_lanes(thread *self) {
    thread *warp = thread_of(self->warp * WARP_LANES);
    const uint32_t lanes = self->mask & warps[self->warp].live;
    if ((lanes & ~warps[self->warp].at_collective) != 0) return false;
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        if (!is_same_collective(self, &warp[__builtin_ctz(rest)])) return false;
    }
    if (self->is_aligned && lanes != ~0u) {
        current = self;
        report(fault::source, self->pc, nullptr, "lane %d is not there, but the whole warp must be",
               __builtin_ctz(~lanes));
        abandon(cudaErrorLaunchFailure);
    }
    if (self->resolve != nullptr) self->resolve(warp, lanes);
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) wake(&warp[__builtin_ctz(rest)]);
    if (self->kind == collective::barrier && checker != nullptr)
        checker->on_warp_barrier(self->warp, lanes);
    return true;
}

void join(collective kind, uint32_t mask, void (*resolve)(thread *warp, uint32_t lanes),
          const char *file, int line) {
    thread *self = current;
    self->kind = kind;
    self->is_aligned = kind == collective::load_matrices || kind == collective::product;
    self->mask = mask;
    self->resolve = resolve;
    self->file = file;
    self->line = line;
    if (!(mask >> self->lane & 1)) {
        report(fault::mask, self->pc, nullptr, "lane %u is not in its own mask, %08x", self->lane,
               mask);
        abandon(cudaErrorLaunchFailure);
    }
    block_thread(state::at_collective);
    if (!release_lanes(self) || block_order == schedule::random) run_next();
}

// ---- barriers, votes, shuffles

void warp_barrier(uint32_t mask, const char *file, int line) {
    current->pc = __builtin_return_address(0);
    current->form = 0;
    join(collective::barrier, mask, nullptr, file, line);
}

static void resolve_vote(thread *warp, uint32_t lanes) {
    uint32_t ballot = 0;
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        const unsigned lane = (unsigned)__builtin_ctz(rest);
        ballot |= (uint32_t)warp[lane].vote << lane;
    }
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1)
        warp[__builtin_ctz(rest)].a[0] = ballot;
}

uint32_t ballot(uint32_t mask, bool vote, const char *file, int line) {
    thread *self = current;
    self->pc = __builtin_return_address(0);
    self->form = 0;
    self->vote = vote;
    join(collective::vote, mask, resolve_vote, file, line);
    return self->a[0];
}

static void resolve_shuffle(thread *warp, uint32_t lanes) {
    value16 values[WARP_LANES];
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        const unsigned lane = (unsigned)__builtin_ctz(rest);
        values[lane] = warp[lane].value;
    }
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
        thread *self = &warp[__builtin_ctz(rest)];
        if (lanes >> self->source & 1) {
            self->value = values[self->source];
            continue;
        }
        self->value = {~0ULL, ~0ULL};
        thread *resolver = current;
        current = self;
        report(fault::source, self->pc, nullptr,
               "shuffle from lane %d, which takes no part (mask %08x)", self->source, self->mask);
        current = resolver;
    }
}

value16 shuffle(uint32_t mask, value16 value, unsigned form, int source, const char *file,
                int line) {
    thread *self = current;
    self->pc = __builtin_return_address(0);
    self->form = form;
    self->value = value;
    self->source = source & (WARP_LANES - 1);
    join(collective::shuffle, mask, resolve_shuffle, file, line);
    return self->value;
}

// ---- matrices

static void resolve_load(thread *warp, uint32_t) {
    const void *rows[WARP_LANES];
    for (int i = 0; i < WARP_LANES; i++) rows[i] = warp[i].row;
    for (int lane = 0; lane < WARP_LANES; lane++) {
        const int g = lane / 4, t = lane % 4;
        thread *self = &warp[lane];
        const bool is_transposed = self->vote;
        for (int i = 0; i < 4; i++) {
            uint16_t pair[2];
            for (int k = 0; k < 2; k++) {
                const int row = is_transposed ? 2 * t + k : g,
                          column = is_transposed ? g : 2 * t + k;
                pair[k] = static_cast<const uint16_t *>(rows[8 * i + row])[column];
            }
            self->a[i] = (uint32_t)pair[0] | (uint32_t)pair[1] << 16;
        }
    }
}

uint4 load_matrices(const void *row, bool is_transposed, const char *file, int line) {
    thread *self = current;
    self->pc = __builtin_return_address(0);
    self->form = is_transposed;
    self->vote = is_transposed;
    self->row = row;
    if (!is_shared(row)) {
        char where[200];
        describe_memory(row, where, sizeof where);
        report(fault::out_of_bounds, self->pc, nullptr, "ldmatrix from %s", where);
        abandon(cudaErrorIllegalAddress);
    }
    if ((uintptr_t)row % 16 != 0) {
        report(fault::misaligned, self->pc, nullptr, "ldmatrix of a row at %p", row);
        abandon(cudaErrorIllegalAddress);
    }
    if (checker != nullptr) checker->on_access(row, 16, access::read, self->pc);
    join(collective::load_matrices, ~0u, resolve_load, file, line);
    return {self->a[0], self->a[1], self->a[2], self->a[3]};
}

static float value_of(uint32_t word, int upper, format format) {
    const uint16_t bits = (uint16_t)(upper ? word >> 16 : word);
    return format == format::half ? half_value(bits) : bfloat16_value(bits);
}

typedef float row8 __attribute__((vector_size(8 * sizeof(float))));

// Only local arrays and the warp's threads: what a sanitizer would add here is time, most of all.
__attribute__((no_sanitize("address", "undefined"))) static void resolve_product(thread *warp,
                                                                                 uint32_t) {
    const format operands = static_cast<format>(warp->source);
    float a[16][16];
    row8 b[16], d[16];
    for (int lane = 0; lane < WARP_LANES; lane++) {
        const thread *self = &warp[lane];
        const int g = lane / 4, t = lane % 4;
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < 4; i++)
                a[g + i % 2 * 8][2 * t + i / 2 * 8 + k] = value_of(self->a[i], k, operands);
            for (int i = 0; i < 2; i++) b[2 * t + 8 * i + k][g] = value_of(self->b[i], k, operands);
        }
        for (int i = 0; i < 4; i++) d[g + i / 2 * 8][2 * t + i % 2] = self->d[i];
    }
    for (int i = 0; i < 16; i++) {
        row8 sum = d[i];
        for (int k = 0; k < 16; k++) sum += a[i][k] * b[k];
        d[i] = sum;
    }
    for (int lane = 0; lane < WARP_LANES; lane++) {
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) warp[lane].d[i] = d[g + i / 2 * 8][2 * t + i % 2];
    }
}

float4 matrix_product(float d0, float d1, float d2, float d3, uint32_t a0, uint32_t a1, uint32_t a2,
                      uint32_t a3, uint32_t b0, uint32_t b1, format format, const char *file,
                      int line) {
    thread *self = current;
    self->pc = __builtin_return_address(0);
    self->form = 0;
    self->d[0] = d0, self->d[1] = d1, self->d[2] = d2, self->d[3] = d3;
    self->a[0] = a0, self->a[1] = a1, self->a[2] = a2, self->a[3] = a3;
    self->b[0] = b0, self->b[1] = b1;
    self->source = static_cast<int>(format);
    join(collective::product, ~0u, resolve_product, file, line);
    return {self->d[0], self->d[1], self->d[2], self->d[3]};
}

}  // namespace simt

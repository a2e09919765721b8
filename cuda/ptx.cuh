// SPDX-License-Identifier: Apache-2.0
//
// The instructions that CUDA C has no function for (PTX ISA 8.x, sections "Warp level matrix
// instructions" and "Data movement"). All lanes of a warp call them together, but for cp.async.
// The kernels use the products; ldmatrix and cp.async so far serve the emulator's own tests alone.
#ifndef WADER_CUDA_PTX_CUH
#define WADER_CUDA_PTX_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

// d += a b for a 16 x 16 tile a and a 16 x 8 tile b, sums in fp32. With g = lane / 4, t = lane % 4
// and two elements in a register, the lower index in the lower half:
//   a[0], a[1], a[2], a[3]   rows g, g + 8, g, g + 8; columns 2t, 2t, 2t + 8, 2t + 8 (and one on)
//   b[0], b[1]               rows 2t, 2t + 8 (and one on); column g
//   d[0], d[1], d[2], d[3]   rows g, g, g + 8, g + 8; columns 2t, 2t + 1, 2t, 2t + 1
// The last argument tells the format.
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2], __half) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    // sm_75 has the product of half the depth.
#pragma unroll
    for (int half = 0; half < 2; half++) {
        asm volatile(
            "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
            "{%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
    }
#endif
}

__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2], __nv_bfloat16) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    __trap();  // no bf16 before sm_80, and no wrong result either
#endif
}

// Four 8 x 8 tiles of 16-bit elements from shared memory: lane l gives the address of row l % 8 of
// tile l / 8 (16 bytes, aligned to 16). r[i] gets, of tile i, row g, columns 2t and 2t + 1; with
// _trans, column g, rows 2t and 2t + 1.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

// Copies 16 bytes, both ends aligned to 16, from global to shared memory while the thread goes on.
// The bytes are there for the copying thread after cp_async_wait<n>(), which waits until no more
// than n of its committed groups are under way; for others after a barrier that follows.
__device__ __forceinline__ void cp_async16(void *to_shared, const void *from_global) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(to_shared)),
                 "l"(from_global)
                 : "memory");
#else
    *static_cast<uint4 *>(to_shared) = *static_cast<const uint4 *>(from_global);
#endif
}

__device__ __forceinline__ void cp_async_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

template <int n_groups>
__device__ __forceinline__ void cp_async_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(n_groups) : "memory");
#endif
}

// Four floats to e4m3, rounded to nearest, ties to even, at most 448; NaN to 0x7F. The first in the
// lowest byte.
__device__ __forceinline__ uint32_t pack4_e4m3(float a, float b, float c, float d) {
    uint32_t word = 0;
#if __CUDA_ARCH__ >= 890
    asm volatile(
        "{ .reg .b16 low, high; "
        "cvt.rn.satfinite.e4m3x2.f32 low, %2, %1; "
        "cvt.rn.satfinite.e4m3x2.f32 high, %4, %3; "
        "mov.b32 %0, {low, high}; }"
        : "=r"(word)
        : "f"(a), "f"(b), "f"(c), "f"(d));
#else
    __trap();  // no e4m3 before sm_89, and no wrong result either
#endif
    return word;
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// mma.sync and ldmatrix under the names of cuda/ptx.cuh, which describes the layouts. Sums are
// rounded to fp32 after each product, in the order of the depth; what a device does lies within the
// error bounds of such a sum, in an order of its own.
#ifndef WADER_TESTS_SIMT_MATRIX_H
#define WADER_TESTS_SIMT_MATRIX_H

#include "cooperation.h"
#include "formats.h"

namespace simt {

enum class format { half, bfloat16 };
// The lane's part of d + a b. Arguments and result travel in registers.
float4 matrix_product(float d0, float d1, float d2, float d3, uint32_t a0, uint32_t a1, uint32_t a2,
                      uint32_t a3, uint32_t b0, uint32_t b1, format format, const char *file,
                      int line);
uint4 load_matrices(const void *row, bool is_transposed, const char *file, int line);

__forceinline__ void product_in_place(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                      format format, const char *file, int line) {
    const float4 sum = matrix_product(d[0], d[1], d[2], d[3], a[0], a[1], a[2], a[3], b[0], b[1],
                                      format, file, line);
    d[0] = sum.x, d[1] = sum.y, d[2] = sum.z, d[3] = sum.w;
}

}  // namespace simt

__forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                  __half, SIMT_PLACE) {
    simt::product_in_place(d, a, b, simt::format::half, file, line);
}
__forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                  __nv_bfloat16, SIMT_PLACE) {
    simt::product_in_place(d, a, b, simt::format::bfloat16, file, line);
}

__forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void *row, SIMT_PLACE) {
    const uint4 words = simt::load_matrices(row, false, file, line);
    r[0] = words.x, r[1] = words.y, r[2] = words.z, r[3] = words.w;
}
__forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, SIMT_PLACE) {
    const uint4 words = simt::load_matrices(row, true, file, line);
    r[0] = words.x, r[1] = words.y, r[2] = words.z, r[3] = words.w;
}

#endif

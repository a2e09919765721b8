// SPDX-License-Identifier: Apache-2.0
//
// The float formats that weights come in, which are read from little-endian bytes, and e4m3, in
// which a device multiplies them: 1 sign, 4 exponent (bias 7), 3 fraction; up to 448, no infinity.
#ifndef WADER_WEIGHTS_DTYPE_H
#define WADER_WEIGHTS_DTYPE_H

#include "weights/model.h"

size_t dtype_size(enum dtype dtype);       // bytes of one element
const char *dtype_name(enum dtype dtype);  // as safetensors writes it: "F32", "F16", "BF16"; "E4M3"

// n elements at `in` (any alignment), to float. No value is rounded; the payloads of NaN are kept.
void f16_to_float(const void *in, size_t n, float *out);
void bf16_to_float(const void *in, size_t n, float *out);
void e4m3_to_float(const void *in, size_t n, float *out);

// n floats to the bits of the other formats. Rounds to nearest, ties to even (IEEE 754), whatever
// is too large to infinity; subnormals are kept. A NaN gives a quiet NaN of the same sign and
// leading payload.
void float_to_f16(const float *in, size_t n, uint16_t *out);
void float_to_bf16(const float *in, size_t n, uint16_t *out);

// The same, but whatever is too large, infinity as well, to 448, and NaN to 0x7F: as
// cvt.rn.satfinite.e4m3x2.f32 does.
void float_to_e4m3(const float *in, size_t n, uint8_t *out);

#endif

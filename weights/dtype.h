// SPDX-License-Identifier: Apache-2.0
//
// The float formats that weights come in. All three are read from little-endian bytes.
#ifndef WADER_WEIGHTS_DTYPE_H
#define WADER_WEIGHTS_DTYPE_H

#include "weights/model.h"

size_t dtype_size(enum dtype dtype);       // bytes of one element
const char *dtype_name(enum dtype dtype);  // as safetensors writes it: "F32", "F16", "BF16"

// n elements at `in` (any alignment), to float. No value is rounded; the payloads of NaN are kept.
void f16_to_float(const void *in, size_t n, float *out);
void bf16_to_float(const void *in, size_t n, float *out);

// n floats to the bits of the other formats. Rounds to nearest, ties to even (IEEE 754), whatever
// is too large to infinity; subnormals are kept. A NaN gives a quiet NaN of the same sign and
// leading payload.
void float_to_f16(const float *in, size_t n, uint16_t *out);
void float_to_bf16(const float *in, size_t n, uint16_t *out);

#endif

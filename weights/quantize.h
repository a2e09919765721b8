// SPDX-License-Identifier: Apache-2.0
//
// Rows of numbers in e4m3 with one fp32 scale each: what an element stands for is its value times
// the row's scale. The rule, which kernels follow to the bit (cuda/quantize.cuh):
//   most  = the largest magnitude of the row, at least 2^-100; NaN does not count
//   scale = most / 448, in fp32
//   value = element * (448 / most), in fp32, rounded to e4m3: to nearest, ties to even, NaN to NaN
// So the largest element becomes 448, and a row depends on itself alone. A row with an infinity has
// that for its scale, and NaN and zeros for its values: nothing finite comes of it.
#ifndef WADER_WEIGHTS_QUANTIZE_H
#define WADER_WEIGHTS_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

// Writes n values and returns the scale.
float quantize_e4m3(const float *row, size_t n, uint8_t *values);

#endif

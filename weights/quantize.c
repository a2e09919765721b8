// SPDX-License-Identifier: Apache-2.0
#include "weights/quantize.h"

#include <math.h>

#include "weights/dtype.h"

static const float e4m3_most = 448;

float quantize_e4m3(const float *row, size_t n, uint8_t *values) {
    float most = 0x1p-100F;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(row[i]));
    const float factor = e4m3_most / most;
    for (size_t i = 0; i < n; i++) {
        const float value = row[i] * factor;
        float_to_e4m3(&value, 1, values + i);
    }
    return most / e4m3_most;
}

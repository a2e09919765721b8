// SPDX-License-Identifier: Apache-2.0
//
// Rounding to a binary format by its definition (IEEE 754), in double: slow, and unlike what
// converts in earnest.
#ifndef WADER_TESTS_SIMT_ROUND_REF_H
#define WADER_TESTS_SIMT_ROUND_REF_H

#include <math.h>

struct round_format {
    int precision;     // bits of the significand, the hidden one included
    int exponent_min;  // of normal values; the largest is 1 - exponent_min
};
static const struct round_format ROUND_HALF = {11, -14}, ROUND_BFLOAT16 = {8, -126};

// The nearest value of the format, ties to even. x must be exact, and not a NaN.
static inline double round_ref(double x, struct round_format format) {
    if (x == 0 || isinf(x)) return x;
    int exponent;
    frexp(x, &exponent);  // x = 0.1... * 2^exponent
    exponent = exponent - 1 < format.exponent_min ? format.exponent_min : exponent - 1;
    const int quantum = exponent - (format.precision - 1);
    const double rounded = ldexp(nearbyint(ldexp(x, -quantum)), quantum);
    return fabs(rounded) >= ldexp(1, 2 - format.exponent_min) ? copysign(INFINITY, x) : rounded;
}

// The value of an encoding of `16 - precision` exponent bits. Not for NaN.
static inline double decode_ref(unsigned bits, struct round_format format) {
    const int n_fraction = format.precision - 1;
    const unsigned fraction = bits & ((1u << n_fraction) - 1);
    const int exponent = (int)(bits & 0x7fffu) >> n_fraction;
    const double sign = bits & 0x8000u ? -1 : 1;
    if (exponent == 0) return sign * ldexp(fraction, format.exponent_min - n_fraction);
    if (exponent == 2 * (1 - format.exponent_min) + 1) return sign * INFINITY;
    return sign *
           ldexp((1u << n_fraction) + fraction, exponent - 1 + format.exponent_min - n_fraction);
}

#endif

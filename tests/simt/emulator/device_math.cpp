// SPDX-License-Identifier: Apache-2.0
#include "device_math.h"

#include "emulator.h"

namespace simt {

static bool is_perturbed;

void set_perturbed_math(bool perturbed) {
    is_perturbed = perturbed;
}

// Moves the result by a number of units that its own bits decide (a step of splitmix64).
float perturbed(float exact, float ulp_max) {
    if (!is_perturbed || !isfinite(exact) || exact == 0) return exact;
    uint64_t z = bits_of_float(exact) + 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    const int most = (int)ulp_max;
    const int units = (int)(z % (uint64_t)(2 * most + 1)) - most;
    const float moved = float_of_bits(bits_of_float(exact) + (uint32_t)units);
    // Beyond the range of normal values a unit is something else.
    return isnormal(exact) && isnormal(moved) && signbit(exact) == signbit(moved) ? moved : exact;
}

}  // namespace simt

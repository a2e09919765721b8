// SPDX-License-Identifier: Apache-2.0
//
// What a kernel file includes in place of CUDA's headers when a plain C++17 compiler compiles it
// (cuda/gpu.cuh does so): the part of CUDA C that the project's kernels use. What is missing does
// not compile.
//
// Nothing in these headers takes the address of a kernel's variable, so that arrays of a kernel
// stay in registers and an instrumented build sees the kernel's own accesses to memory alone.
#ifndef WADER_TESTS_SIMT_H
#define WADER_TESTS_SIMT_H

#if defined(__CUDACC__)
#error "nvcc brings the real thing"
#endif

#include "async_copy.h"
#include "atomics.h"
#include "cooperation.h"
#include "device_math.h"
#include "emulator.h"
#include "formats.h"
#include "language.h"
#include "matrix.h"

#endif

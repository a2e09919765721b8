// SPDX-License-Identifier: Apache-2.0
//
// What the files with functions of the CUDA runtime share: api_*.cpp, the only ones that see the
// toolkit's headers, which the emulator's contradict.
#ifndef WADER_TESTS_STANDIN_API_H
#define WADER_TESTS_STANDIN_API_H

#include <cuda_runtime_api.h>

#include "tests/standin/world.h"

namespace standin {

static inline cudaError_t result_of(int code) {
    return static_cast<cudaError_t>(note_error(code));
}

// Of a call that belongs to the device that the thread uses.
static inline int enter_here(standin_call kind) {
    return enter(kind, current_device());
}

}  // namespace standin

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The CUDA toolkit's host functions for fp16 and bf16, apart from the emulator's of the same names.
#ifndef WADER_TESTS_SIMT_TOOLKIT_FORMATS_H
#define WADER_TESTS_SIMT_TOOLKIT_FORMATS_H

#include <stdint.h>

// False where the program was built without its headers; then the others must not be called.
bool toolkit_is_there(void);
uint16_t toolkit_half(float x);
float toolkit_of_half(uint16_t bits);
uint16_t toolkit_bfloat16(float x);
float toolkit_of_bfloat16(uint16_t bits);

#endif

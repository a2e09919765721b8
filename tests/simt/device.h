// SPDX-License-Identifier: Apache-2.0
//
// Device memory for tests of kernels, in plain C, so that one test program runs on the emulator
// (device_simt.cpp) and, linked with a CUDA implementation of the same functions, on a device.
#ifndef WADER_TESTS_SIMT_DEVICE_H
#define WADER_TESTS_SIMT_DEVICE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Call first. False, with the reason, where there is no device: the test is to be skipped. The
// emulator takes its schedule from the environment: SIMT_ORDER (forward, reverse, random:SEED),
// SIMT_CP_ASYNC (late, early).
int device_open(const char **why_not);

// Memory of exactly this size, aligned to 256 bytes; what it holds is undefined (the emulator fills
// it with bytes of NaN and reports a kernel that reads it). Ends the program when there is none.
void *device_alloc(size_t nbytes);
void device_free(void *memory);  // NULL is fine

void device_write(void *to, const void *from, size_t nbytes);  // host to device
void device_read(void *to, const void *from, size_t nbytes);   // waits for all kernels first

// Whether kernel_attention takes bf16: the emulator does, devices from compute capability 8.0 on.
int device_multiplies_bf16(void);

// Whether kernels may write e4m3: the emulator's do, a device's from compute capability 8.9 on.
int device_writes_e4m3(void);

// From now on only the last `n` blocks of each grid run, 0: all. False where that cannot be: on a
// device.
int device_last_blocks(size_t n);

// Faults that kernels committed since the last call, each already told on stderr. 0 where all is
// well; on a device 1 when the last kernels failed.
long device_faults(void);

#ifdef __cplusplus
}
#endif

#endif

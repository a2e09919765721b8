// SPDX-License-Identifier: Apache-2.0
//
// device.h on the emulator.
#include <stdio.h>
#include <stdlib.h>

#include "emulator/emulator.h"
#include "tests/simt/device.h"

int device_open(const char **why_not) {
    const char *wrong = simt::set_from_environment();
    *why_not = nullptr;
    if (wrong == nullptr) return 1;
    // No reason to skip a test: it would pass for the wrong reason.
    fprintf(stderr, "simt: %s\n", wrong);
    exit(2);
}

void *device_alloc(size_t nbytes) {
    void *memory = simt::allocate(nbytes);
    if (memory == nullptr) {
        fprintf(stderr, "simt: no %zu bytes of device memory\n", nbytes);
        abort();
    }
    return memory;
}

void device_free(void *memory) {
    simt::release(memory);
}

void device_write(void *to, const void *from, size_t nbytes) {
    simt::write(to, from, nbytes);
}

void device_read(void *to, const void *from, size_t nbytes) {
    simt::read(to, from, nbytes);
}

int device_multiplies_bf16(void) {
    return 1;
}

int device_writes_e4m3(void) {
    return 1;
}

int device_last_blocks(size_t n) {
    simt::set_last_blocks(n);
    return 1;
}

long device_faults(void) {
    const long n = simt::faults_in_all();
    simt::faults_forget();
    return n;
}

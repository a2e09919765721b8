// SPDX-License-Identifier: Apache-2.0
//
// Memory and copies.
#include "tests/standin/api.h"

using namespace standin;

extern "C" cudaError_t cudaMalloc(void **out, size_t nbytes) {
    const int code = enter_here(STANDIN_ALLOC);
    return result_of(code != OK ? code : allocate(out, nbytes));
}

extern "C" cudaError_t cudaFree(void *memory) {
    return result_of(release(memory));
}

extern "C" cudaError_t cudaHostAlloc(void **out, size_t nbytes, unsigned flags) {
    const int code = enter_here(STANDIN_PINNED);
    if (code != OK) return result_of(code);
    return result_of(allocate_pinned(out, nbytes, flags == cudaHostAllocPortable));
}

extern "C" cudaError_t cudaFreeHost(void *memory) {
    return result_of(release_pinned(memory));
}

static cudaError_t copy(direction direction, void *to, const void *from, size_t nbytes,
                        cudaStream_t stream) {
    const int code = enter_here(STANDIN_COPY);
    if (code != OK) return result_of(code);
    std::lock_guard<std::mutex> guard(the_world().lock);
    if (nbytes == 0) return cudaSuccess;
    return result_of(enqueue(make_copy(direction, to, from, nbytes), stream));
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t nbytes,
                                       cudaMemcpyKind kind, cudaStream_t stream) {
    switch (kind) {
        case cudaMemcpyHostToDevice:
            return copy(direction::in, to, from, nbytes, stream);
        case cudaMemcpyDeviceToHost:
            return copy(direction::out, to, from, nbytes, stream);
        case cudaMemcpyDeviceToDevice:
            return copy(direction::within, to, from, nbytes, stream);
        default:
            standin_misuse("a copy that does not say from where to where");
    }
}

extern "C" cudaError_t cudaMemsetAsync(void *to, int value, size_t nbytes, cudaStream_t stream) {
    if (value != 0) standin_misuse("memory is filled with %d; zeros are all that we need", value);
    return copy(direction::zero, to, nullptr, nbytes, stream);
}

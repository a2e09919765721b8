// SPDX-License-Identifier: Apache-2.0
//
// cp.async under the names of cuda/ptx.cuh.
#ifndef WADER_TESTS_SIMT_ASYNC_COPY_H
#define WADER_TESTS_SIMT_ASYNC_COPY_H

namespace simt {
void async_copy16(void *to_shared, const void *from_global);
void async_commit(void);
void async_wait(int n_groups);
}  // namespace simt

static inline void cp_async16(void *to_shared, const void *from_global)
    __attribute__((always_inline));
static inline void cp_async16(void *to_shared, const void *from_global) {
    simt::async_copy16(to_shared, from_global);
}

static inline void cp_async_commit() {
    simt::async_commit();
}

template <int n_groups>
static inline void cp_async_wait() {
    simt::async_wait(n_groups);
}

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef WADER_TESTS_STANDIN_KERNELS_H
#define WADER_TESTS_STANDIN_KERNELS_H

namespace standin {

// From now on launches of the emulator are enqueued, and it runs in the order that its own
// environment variables ask for.
void take_launches(void);

}  // namespace standin

#endif

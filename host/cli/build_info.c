// SPDX-License-Identifier: Apache-2.0
#include "host/cli/build_info.h"

#include "wader_commit.h"  // made by the build

#ifdef __clang__
#define COMPILER "clang "
#else
#define COMPILER "gcc "
#endif

const char *build_commit(void) {
    return WADER_COMMIT;
}

const char *build_compiler(void) {
    return COMPILER __VERSION__;
}

// SPDX-License-Identifier: Apache-2.0
//
// What this program was built of and with.
#ifndef WADER_HOST_CLI_BUILD_INFO_H
#define WADER_HOST_CLI_BUILD_INFO_H

// The commit in hexadecimal, "-dirty" behind it where the sources were changed; or "unknown".
const char *build_commit(void);

// "gcc 12.2.0"
const char *build_compiler(void);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// How long a command takes to its first label: another process of this program is started and given
// one title, and its first row waited for.
#ifndef WADER_HOST_BENCH_STARTUP_H
#define WADER_HOST_BENCH_STARTUP_H

#include "host/base/base.h"

// Starts `argv` (with argv[0] for the program's own name) without WADER_ variables in its
// environment. Seconds from its start to its first line on stdout. STATUS_IO when it cannot be
// started, or ends without one.
enum status startup_seconds(char *const argv[], double *seconds, struct error *error);

#endif

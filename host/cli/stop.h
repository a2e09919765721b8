// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM, SIGINT and SIGHUP ask the program to stop; a second one makes it leave at once.
#ifndef WADER_HOST_CLI_STOP_H
#define WADER_HOST_CLI_STOP_H

#include <stdbool.h>

void stop_listen(void);
bool stop_asked(void);

#endif

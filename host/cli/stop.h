// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM, SIGINT and SIGHUP ask the program to stop; a second one makes it leave at once.
#ifndef WADER_HOST_CLI_STOP_H
#define WADER_HOST_CLI_STOP_H

#include <stdbool.h>

void stop_listen(void);
bool stop_asked(void);

// For what has nothing to finish or to save: from now on the first of these signals ends the
// program at once, with 75. stop_listen takes it back.
void stop_at_once(void);

#endif

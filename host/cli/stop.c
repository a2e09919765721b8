// SPDX-License-Identifier: Apache-2.0
#include "host/cli/stop.h"

#include <signal.h>
#include <unistd.h>

// The one thing a signal handler may touch.
static volatile sig_atomic_t asked;

static void on_signal(int number) {
    if (asked) _exit(128 + number);
    asked = 1;
}

void stop_listen(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

bool stop_asked(void) {
    return asked != 0;
}

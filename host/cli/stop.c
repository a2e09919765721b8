// SPDX-License-Identifier: Apache-2.0
#include "host/cli/stop.h"

#include <signal.h>
#include <unistd.h>

#include "host/base/base.h"
#include "host/cli/log.h"

// The one thing a signal handler may touch.
static volatile sig_atomic_t asked;

// Leaving takes a moment; should something hold it up (a terminal or pipe that takes no more of our
// messages), the alarm ends it within the time that is promised.
enum { LEAVE_SECONDS = 4 };

static void on_signal(int number) {
    if (asked) _exit(128 + number);
    asked = 1;
    alarm(LEAVE_SECONDS);
}

static void on_alarm(int number) {
    (void)number;
    _exit(STATUS_AGAIN);
}

static void leave(int number) {
    (void)number;
    log_from_handler(LOG_INFO, "stopped", "stopped by a signal", STATUS_AGAIN);
    _exit(STATUS_AGAIN);
}

// A shell may have told a background job to ignore a signal: then it is not ours to take.
static void listen_to(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler}, before;
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN) return;
    sigaction(number, &action, NULL);
}

void stop_listen(void) {
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    listen_to(SIGTERM, on_signal);
    listen_to(SIGINT, on_signal);
    listen_to(SIGHUP, on_signal);
}

void stop_at_once(void) {
    listen_to(SIGTERM, leave);
    listen_to(SIGINT, leave);
    listen_to(SIGHUP, leave);
}

bool stop_asked(void) {
    return asked != 0;
}

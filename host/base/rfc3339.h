// SPDX-License-Identifier: Apache-2.0
//
// Moments as RFC 3339 has them, in UTC. Neither locale nor time zone is asked, nothing is allocated
// or locked: a signal handler may call these too.
#ifndef WADER_HOST_BASE_RFC3339_H
#define WADER_HOST_BASE_RFC3339_H

#include <time.h>

enum { RFC3339_NBYTES = 32 };  // room, NUL included, for every year that has four digits

// "2026-12-01T02:50:00Z", and with milliseconds "2026-12-01T02:50:00.123Z". Returns `text`. Moments
// before 1970 or behind 9999 are shown as the nearest that can be.
char *rfc3339_seconds(time_t when, char text[RFC3339_NBYTES]);
char *rfc3339_milliseconds(struct timespec when, char text[RFC3339_NBYTES]);

#endif

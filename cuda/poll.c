// SPDX-License-Identifier: Apache-2.0
#include "cuda/poll.h"

#include <time.h>

// Far less than a batch takes, far more than a question costs.
enum { PAUSE_NS = 50000 };

void poll_pause(void) {
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    (void)nanosleep(&pause, NULL);
}

static bool goes_on(const struct poll *poll) {
    return poll->go_on == NULL || poll->go_on(poll->context);
}

// One of the two is NULL. The question itself may take so long that nobody waits any more.
static int poll_for(const struct poll *poll, struct CUevent_st *event, struct CUstream_st *stream) {
    while (goes_on(poll)) {
        bool done = false;
        const int code =
            event != NULL ? gpu_event_is_done(event, &done) : gpu_stream_is_done(stream, &done);
        if (code != 0) return code;
        if (done) {
            if (poll->done != NULL) poll->done(poll->context);
            return goes_on(poll) ? 0 : POLL_GIVEN_UP;
        }
        poll_pause();
    }
    return POLL_GIVEN_UP;
}

int poll_event(const struct poll *poll, struct CUevent_st *event) {
    return poll_for(poll, event, NULL);
}

int poll_stream(const struct poll *poll, struct CUstream_st *stream) {
    return poll_for(poll, NULL, stream);
}

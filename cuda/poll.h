// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a device by asking again and again: a wait inside the driver could not be given up.
#ifndef WADER_CUDA_POLL_H
#define WADER_CUDA_POLL_H

#include "cuda/runtime.h"

// Who waits. `done` is told that the wait came to its end; `go_on` is asked before every question
// to the device and after `done`. NULL: for ever, and nobody.
struct poll {
    bool (*go_on)(void *context);
    void (*done)(void *context);
    void *context;
};

// No code of the runtime: the wait was given up. Nothing may be freed that the device may still be
// using, nor anything touched that whoever gave up may have freed.
enum { POLL_GIVEN_UP = -1 };

// Until all that was enqueued before the event, or on the stream, is done. Return a code of
// runtime.h or POLL_GIVEN_UP.
int poll_event(const struct poll *poll, struct CUevent_st *event);
int poll_stream(const struct poll *poll, struct CUstream_st *stream);

void poll_pause(void);  // between two questions

#endif

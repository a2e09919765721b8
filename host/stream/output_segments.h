// SPDX-License-Identifier: Apache-2.0
//
// Full segments of a compressed output on their way to its file. A segment starts the deflate
// stream afresh, so threads deflate several at once; they are hashed and written in order, by
// whichever thread is done with the next one. The bytes are those of one thread. Private to
// output*.c.
//
// Thread rule: all of it is for the one thread that writes the output. What of `struct output`
// speaks of the file (nbytes, file_nbytes, crc, file_crc, hash, begin) is the segments' own until
// they are drained.
#ifndef WADER_HOST_STREAM_OUTPUT_SEGMENTS_H
#define WADER_HOST_STREAM_OUTPUT_SEGMENTS_H

#include "host/stream/output_state.h"

struct output_segments;

// STATUS_IO without memory or threads.
enum status output_segments_create(struct output *output, struct output_segments **out,
                                   struct error *error);

// Takes what output->segment holds, a whole segment; waits for room. Fails as output_write does,
// with what went wrong in this segment or in one before it.
enum status output_segments_hand(struct output_segments *segments, struct error *error);

// Waits until all that was handed is in the file. NULL has nothing on its way.
enum status output_segments_drain(struct output_segments *segments, struct error *error);

// Ends the threads; what is on its way may be left out. NULL is fine.
void output_segments_destroy(struct output_segments *segments);

#endif

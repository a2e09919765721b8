// SPDX-License-Identifier: Apache-2.0
//
// Reads a rejects file and fills chunks with the records in it, as if they came from their inputs:
// bytes, numbers and offsets are those of old.
#ifndef WADER_HOST_STREAM_REPLAY_H
#define WADER_HOST_STREAM_REPLAY_H

#include "host/base/base.h"
#include "host/stream/chunk.h"
#include "host/stream/input.h"
#include "host/stream/record.h"

struct replay;  // used by one thread

// Lines are read for records of up to `record_nbytes_max` bytes. `kind`: every record must have had
// this format, which one run can read; NULL where the caller knows better.
enum status replay_create(struct input *input, size_t record_nbytes_max,
                          const enum record_kind *kind, struct replay **out, struct error *error);
void replay_destroy(struct replay *replay);  // NULL is fine

// Fills `chunk` anew, which must take lines of record_nbytes_max bytes. A record of which the file
// has the beginning only is RECORD_TOO_LONG again. STATUS_INPUT names the line of the rejects file
// that is none.
enum status replay_fill(struct replay *replay, struct chunk *chunk, struct error *error);

// The format of the first record. STATUS_INPUT where there is none.
enum status replay_peek(const char *path, size_t record_nbytes_max, enum record_kind *kind,
                        struct error *error);

#endif

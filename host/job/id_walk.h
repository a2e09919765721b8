// SPDX-License-Identifier: Apache-2.0
//
// The ids that the rows of an input must have, in order: what each row begins with. Used by one
// thread.
#ifndef WADER_HOST_JOB_ID_WALK_H
#define WADER_HOST_JOB_ID_WALK_H

#include "host/job/commit_record.h"

struct id_walk;

// Reads `input` as the settings of the record say that it was read. STATUS_ROWS where they do not
// say; else as of input_open.
enum status id_walk_open(const char *input, const struct commit_record *record,
                         struct id_walk **out, struct error *error);
void id_walk_close(struct id_walk *walk);  // NULL is fine

// The bytes that the next row begins with, valid until the next call; *more is false behind the
// last record.
enum status id_walk_next(struct id_walk *walk, struct span *beginning, bool *more,
                         struct error *error);

#endif

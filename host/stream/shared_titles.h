// SPDX-License-Identifier: Apache-2.0
//
// Titles that a run has seen, so that identical ones are encoded once. A table of bounded size: of
// more titles than it has places, old ones are forgotten and, should they come again, encoded
// again.
//
// Two threads use it without a lock. The packer walks the records in order and gives titles places;
// the writer walks the same records in the same order behind it and alone touches the logits. A
// place that is given to another title is thereby overwritten exactly behind the last row that
// wanted what stood there.
#ifndef WADER_HOST_STREAM_SHARED_TITLES_H
#define WADER_HOST_STREAM_SHARED_TITLES_H

#include "host/stream/score_file.h"

struct shared_titles;

// Takes up to `nbytes` of memory, and no more than it uses. STATUS_IO.
enum status shared_titles_create(int32_t n_labels, size_t nbytes, struct shared_titles **out,
                                 struct error *error);
void shared_titles_destroy(struct shared_titles *shared);  // NULL is fine

// The packer's: the title's place, from 1 on. *is_there: the title has it since an earlier record;
// else it has it from this one on.
uint32_t shared_titles_place(struct shared_titles *shared, const struct score_key *key,
                             bool *is_there);

// The writer's: what stands at a place, [n_labels].
float *shared_titles_logits(struct shared_titles *shared, uint32_t place);

// Forgets all titles: for a table that a run left before both had walked to the end.
void shared_titles_forget(struct shared_titles *shared);

#endif

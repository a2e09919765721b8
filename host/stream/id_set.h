// SPDX-License-Identifier: Apache-2.0
//
// How many ids of an input came before in it, in bounded memory. Of each id a fingerprint of 64
// bits is kept, of at most `most` ids; once there are more, only those that match a kept one are
// known to be duplicates, and the count is a lower bound. Two ids of one fingerprint would be
// taken for duplicates: among n ids that happens once in 2^65 / n^2 inputs.
#ifndef WADER_HOST_STREAM_ID_SET_H
#define WADER_HOST_STREAM_ID_SET_H

#include "host/base/base.h"

// 64 MiB of fingerprints, an eighth of the places free.
enum { ID_SET_MOST = 7 << 20 };

struct id_set;  // used by one thread at a time

enum status id_set_create(size_t most, struct id_set **out, struct error *error);
void id_set_destroy(struct id_set *set);  // NULL is fine

// STATUS_IO when memory is short. Ids are compared byte for byte, as they stand in the input.
enum status id_set_add(struct id_set *set, struct span id, struct error *error);

// Ids that came before; and whether that is all of them, not "at least".
uint64_t id_set_duplicates(const struct id_set *set);
bool id_set_is_exact(const struct id_set *set);

#endif

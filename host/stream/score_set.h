// SPDX-License-Identifier: Apache-2.0
//
// The kept scores of a previous run (score_file.h), of all its outputs, to be looked up. The files
// are mapped, so memory is the page cache's; of each a row is used only where its whole key and its
// CRC are right. A title that is nowhere costs one look at each run of a million rows, about 0.1
// us.
#ifndef WADER_HOST_STREAM_SCORE_SET_H
#define WADER_HOST_STREAM_SCORE_SET_H

#include "host/stream/score_file.h"

// Filled by one thread, then looked into by any number.
struct score_set;

// `wanted`: what made the scores that are of use. STATUS_IO without memory.
enum status score_set_create(const struct score_identity *wanted, struct score_set **out,
                             struct error *error);
void score_set_destroy(struct score_set *set);  // NULL is fine

// Adds the file at `path`, which must have been kept beside an output with rows of that SHA-256 in
// hexadecimal. STATUS_ROWS, saying why, where it is missing, damaged, of another output, or was
// made by something else than what is wanted: nothing of it is used then. STATUS_IO without memory,
// and where the system does not give the file.
enum status score_set_add(struct score_set *set, const char *path, const char *output_sha256,
                          struct error *error);

// Whether a file of kept scores at `path`, which need not be there, is whole as far as its ends and
// its size tell, and was kept for rows of that SHA-256. STATUS_ROWS, saying why it is not;
// STATUS_IO where the system does not give it. The rows in it have a CRC each, looked at when they
// are used.
enum status score_file_check(const char *path, const char *output_sha256, struct error *error);

// The logits [n_labels] of a title, or NULL; they live as long as the set. `*hint` is where the
// caller's last search ended, 0 at first. `*same_id`: they stand in a row of this id.
const float *score_set_find(struct score_set *set, const struct score_key *key, uint64_t id,
                            size_t *hint, bool *same_id);
bool score_set_has_id(const struct score_set *set, uint64_t id, size_t *hint);

uint64_t score_set_rows(const struct score_set *set);     // in all files
uint64_t score_set_damaged(const struct score_set *set);  // rows that were found and not used

#endif

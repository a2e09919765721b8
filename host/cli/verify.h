// SPDX-License-Identifier: Apache-2.0
//
// What `wader verify` and `wader merge` share: running a verification and printing what it found.
#ifndef WADER_HOST_CLI_VERIFY_H
#define WADER_HOST_CLI_VERIFY_H

#include "host/cli/catalog.h"
#include "host/job/verify_set.h"

// A set of the plan's outputs, whose strings it refers to. verify_set_free and free(set->items)
// release it.
enum status verify_begin(const struct options *options, const struct plan *plan,
                         struct verify_set *set, struct error *error);

// verify_set_run with progress on stderr, ended by a signal.
enum status verify_run(const struct options *options, struct verify_set *set, struct error *error);

// How many are not good.
size_t verify_count_faults(const struct verify_set *set);

// One line for each output that is not good: "partial   NAME: what".
void verify_add_faults(const struct verify_set *set, struct buffer *out);
// All of them, as members of a JSON object.
void verify_add_json(const struct verify_set *set, struct buffer *out);

// STATUS_OK, or with what it is to end: STATUS_ROWS; STATUS_INPUT or STATUS_IO where something
// could not be read.
enum status verify_conclude(const struct verify_set *set, struct error *error);

#endif

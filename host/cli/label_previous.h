// SPDX-License-Identifier: Apache-2.0
//
// `wader label --previous`: opening what an earlier run kept, and what is said of it.
//
// Kept scores that are damaged, or were made by anything that may give other bits, are left aside
// with a warning that says why, and their titles are computed again: a catalog is not left
// unlabelled because of last night's files. What cannot be meant is refused: a PATH that is not
// there, or that holds no finished output. So is what the system does not give this time: to run
// the command again costs less than to compute every title.
#ifndef WADER_HOST_CLI_LABEL_PREVIOUS_H
#define WADER_HOST_CLI_LABEL_PREVIOUS_H

#include "host/cli/label_run.h"

// What makes the logits of this run. Waits for the model's hashes. STATUS_IO.
enum status scores_identity(const struct engine *engine, struct provenance_task *provenance,
                            struct score_identity *identity, struct error *error);

// The scores kept beside options->previous, a file, or beside the outputs in it, a directory; NULL
// without that option. STATUS_USAGE where there is no finished output, STATUS_INPUT where a
// directory cannot be listed, STATUS_IO.
enum status open_previous(const struct options *options, const struct score_identity *wanted,
                          struct score_set **out, struct error *error);

// How many ids of the previous run came no more; an id that comes several times is counted each
// time. False where that cannot be told: without one, or where this run did not see all inputs.
bool previous_removed(const struct job *job, uint64_t *n_removed);

// Notes behind a run: where its logits came from.
void tell_reuse(const struct job *job);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// How `wader eval` takes its inputs in. Private to eval*.c.
#ifndef WADER_HOST_CLI_EVAL_RUN_H
#define WADER_HOST_CLI_EVAL_RUN_H

#include "host/cli/label_setup.h"
#include "host/job/evaluation.h"
#include "host/job/gold.h"

struct eval {
    const struct options *options;
    struct engine engine;
    struct gold_labels labels;
    struct evaluation evaluation;
    uint64_t n_truncated, n_ill_formed;
    uint8_t *members;    // [n_labels], of the record at hand
    char *scratch;       // [RECORD_NBYTES_MAX], its label without JSON's escapes
    struct output *svg;  // NULL: none is asked for
};

// STATUS_USAGE where `path` or what the command line says of fields cannot be.
enum status eval_check_input(const struct options *options, const char *path, struct error *error);

// Adds all titles of an input to the evaluation. STATUS_INPUT names the first record that cannot be
// used. A signal ends the program here, with STATUS_AGAIN.
enum status eval_input(struct eval *eval, const char *path, struct error *error);

#endif

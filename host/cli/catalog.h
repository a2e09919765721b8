// SPDX-License-Identifier: Apache-2.0
//
// The inputs and outputs that a command line names, for the commands about a whole catalog; and how
// their findings are printed.
#ifndef WADER_HOST_CLI_CATALOG_H
#define WADER_HOST_CLI_CATALOG_H

#include "host/base/buffer.h"
#include "host/cli/options.h"
#include "host/job/plan.h"

// --shard, or all of it where there is none.
enum status catalog_shard(const struct options *options, struct shard *shard, struct error *error);

// What `wader status` and `wader merge` are about: with -o OUT all words are inputs, else the first
// one is OUT.
struct catalog_words {
    const char *output;
    char *const *inputs;  // [n_inputs]
    int n_inputs;
};
enum status catalog_words(const struct options *options, struct catalog_words *words,
                          struct error *error);

// The outputs that label would write for these words, this share of them; nothing needs to be
// there. Without inputs: those that stand in the directory OUT, or the file OUT itself; their
// inputs are "".
enum status catalog_plan(const struct options *options, const struct catalog_words *words,
                         struct plan *plan, struct error *error);

// Appends the outputs of a directory, or a file itself, with "" for inputs.
enum status catalog_add_outputs(const char *path, struct plan *plan, struct error *error);

// A name for people: what a terminal would act on, and a line break, becomes '?'.
void catalog_add_name(struct buffer *out, const char *name);

// `text` to stdout, all of it or STATUS_IO.
enum status catalog_print(const struct buffer *text, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The commands: each takes the parsed options and returns its exit code, with the message for
// anything but 0 in `error`.
#ifndef WADER_HOST_CLI_COMMANDS_H
#define WADER_HOST_CLI_COMMANDS_H

#include "host/base/base.h"
#include "host/cli/options.h"
#include "host/stream/pipeline.h"
#include "weights/model.h"

// A filter whose input pauses for this long hands on the rows it has.
enum { IDLE_MS = 20 };

enum status command_label(const struct options *options, struct error *error);
enum status command_retry(const struct options *options, struct error *error);
enum status command_tokenize(const struct options *options, struct error *error);
enum status command_convert(const struct options *options, struct error *error);
enum status command_info(const struct options *options, struct error *error);
enum status command_eval(const struct options *options, struct error *error);
enum status command_diff(const struct options *options, struct error *error);
enum status command_bench(const struct options *options, struct error *error);
enum status command_plan(const struct options *options, struct error *error);
enum status command_status(const struct options *options, struct error *error);
enum status command_verify(const struct options *options, struct error *error);
enum status command_merge(const struct options *options, struct error *error);

// `wader label`; or, where the input is a rejects file, `wader retry` once it is known what was
// rejected: input_format is not INPUT_AUTO then.
enum status label_inputs(const struct options *options, enum replay_what replay,
                         struct error *error);

// --max-length, or its default; STATUS_USAGE where the model has no position for so many tokens.
// tokenize may ask for 0, no limit.
enum status choose_max_length(const struct options *options, const struct bert_config *config,
                              int32_t *max_length, struct error *error);

#endif

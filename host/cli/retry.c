// SPDX-License-Identifier: Apache-2.0
//
// `wader retry`: `wader label` on the records of a rejects file.
#include <string.h>
#include <sys/stat.h>

#include "host/cli/commands.h"
#include "host/cli/label_setup.h"
#include "host/stream/pipeline.h"
#include "host/stream/replay.h"

enum status command_retry(const struct options *options, struct error *error) {
    const char *path = options->n_inputs == 1 ? options->inputs[0] : "-";
    struct stat info;
    if (strcmp(path, "-") == 0 || (stat(path, &info) == 0 && !S_ISREG(info.st_mode))) {
        return error_set(error, STATUS_USAGE,
                         "give retry one file that --on-bad reject wrote: OUT.rejects.jsonl.gz");
    }
    enum status status = check_record_bytes(options, error);
    if (status != STATUS_OK) return status;
    if (options->input_format != INPUT_AUTO) {
        return label_inputs(options, REPLAY_ANY_FORMAT, error);
    }
    // The records' format is not told by the name of the file that they were rejected to.
    struct options known = *options;
    enum record_kind kind = RECORD_TEXT;
    status = replay_peek(path, (size_t)options->max_record_bytes, &kind, error);
    known.input_format = INPUT_TEXT + (int)kind;
    return status == STATUS_OK ? label_inputs(&known, REPLAY_SAME_FORMAT, error) : status;
}

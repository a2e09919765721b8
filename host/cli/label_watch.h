// SPDX-License-Identifier: Apache-2.0
//
// What `wader label` does with records beside labelling them: it shows some of the bad ones, writes
// all of those to the rejects file, and counts ids that came before.
#ifndef WADER_HOST_CLI_LABEL_WATCH_H
#define WADER_HOST_CLI_LABEL_WATCH_H

#include "host/base/buffer.h"
#include "host/stream/id_set.h"
#include "host/stream/input.h"
#include "host/stream/output.h"
#include "host/stream/pipeline.h"

struct watch {
    const struct input *input;
    const struct record_format *format;
    size_t record_nbytes_max;
    bool quiet, verbose;
    struct output *rejects;  // NULL: none are written
    struct id_set *ids;      // NULL: not counted
    uint64_t n_bad, n_ill_formed, n_rejects;
    struct buffer line;  // freed by the caller
};

// `watch` outlives the run. The writer of the pipeline changes it until the run is over.
struct record_watcher record_watcher_of(struct watch *watch);

// Says once that text looks like JSON records.
struct first_line_reader text_checker_of(struct watch *watch);

#endif

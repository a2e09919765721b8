// SPDX-License-Identifier: Apache-2.0
//
// What `wader label` makes of one input beside its rows: the rejects file, the count of duplicate
// ids, the survey of a damaged input; and what is said about them in the end.
#ifndef WADER_HOST_CLI_LABEL_EXTRAS_H
#define WADER_HOST_CLI_LABEL_EXTRAS_H

#include "host/cli/label_watch.h"
#include "host/cli/options.h"
#include "host/job/commit.h"
#include "host/stream/salvage.h"

// A zeroed struct is none; extras_close may follow any of the calls.
struct extras {
    const char *output;      // its path, or "-"
    struct id_set *ids;      // NULL: not counted
    struct salvage salvage;  // zeros without --salvage
    struct watch watch;
};

// Makes ready what `options` ask for, before there is an output. STATUS_AGAIN when a signal came
// while a damaged input was looked through.
enum status extras_open(const struct options *options, const char *input_path,
                        const char *output_path, struct extras *extras, struct error *error);

// Gives `input`, which nothing was read of, its rules, and takes up what an earlier run made of its
// first records, `before`. `rejects` is NULL where --on-bad is not reject. All that is pointed to
// outlives the run. STATUS_AGAIN when a signal came while ids were counted again.
enum status extras_begin(struct extras *extras, const struct options *options, struct input *input,
                         const char *input_path, const struct record_format *format,
                         struct output *rejects, const struct totals *before, struct error *error);
void extras_close(struct extras *extras);

// For the commit record, once the run is over.
struct marks extras_marks(const struct extras *extras);

// Notes and warnings, once the rows are safe.
void extras_tell(const struct extras *extras, const struct options *options,
                 const struct totals *totals);

// STATUS_ROWS where the rows are those of a damaged input only.
enum status extras_result(const struct extras *extras, struct error *error);

#endif

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
    struct output *rejects;  // NULL: --on-bad is not reject
    struct id_set *ids;      // NULL: not counted
    struct salvage salvage;  // zeros without --salvage
    struct watch watch;
};

// Opens what `options` ask for and gives `input` its rules. `format`, like all others, outlives the
// run. STATUS_AGAIN when a signal came while a damaged input was looked through.
enum status extras_open(const struct options *options, struct input *input, const char *input_path,
                        const char *output_path, const struct record_format *format,
                        struct extras *extras, struct error *error);
void extras_close(struct extras *extras);

// For the commit record, once the run is over.
struct marks extras_marks(const struct extras *extras);

// Notes and warnings, once the rows are safe.
void extras_tell(const struct extras *extras, const struct options *options,
                 const struct totals *totals);

// STATUS_ROWS where the rows are those of a damaged input only.
enum status extras_result(const struct extras *extras, struct error *error);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "host/cli/label_extras.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/report.h"
#include "host/cli/stop.h"
#include "host/stream/recount.h"

enum status extras_open(const struct options *options, const char *input_path,
                        const char *output_path, struct extras *extras, struct error *error) {
    enum status status = STATUS_OK;
    *extras = (struct extras){.output = output_path};
    if (options->salvage) {
        status = salvage_survey(input_path, (enum trailing)options->trailing, stop_asked,
                                &extras->salvage, error);
    }
    if (status == STATUS_OK && options->count_duplicates) {
        status = id_set_create(ID_SET_MOST, &extras->ids, error);
    }
    return status;
}

enum status extras_begin(struct extras *extras, const struct options *options, struct input *input,
                         const char *input_path, const struct record_format *format,
                         struct output *rejects, const struct totals *before, struct error *error) {
    input_set_rules(input, (struct input_rules){.trailing = (enum trailing)options->trailing,
                                                .plain_nbytes_max = extras->salvage.plain_nbytes});
    extras->watch = (struct watch){
        .input = input,
        .format = format,
        .record_nbytes_max = (size_t)options->max_record_bytes,
        .quiet = options->quiet,
        .verbose = options->verbose,
        .rejects = rejects,
        .n_rejects = rejects != NULL ? totals_bad(before) : 0,
        .ids = extras->ids,
    };
    if (extras->ids == NULL || before->records == 0) return STATUS_OK;
    return recount_ids(input_path, format, (size_t)options->max_record_bytes, before->records,
                       stop_asked, extras->ids, error);
}

void extras_close(struct extras *extras) {
    id_set_destroy(extras->ids);
    buffer_free(&extras->watch.line);
    *extras = (struct extras){0};
}

struct marks extras_marks(const struct extras *extras) {
    return (struct marks){
        .rejects = extras->watch.n_rejects > 0 ? extras->watch.rejects : NULL,
        .n_rejects = extras->watch.n_rejects,
        .ids = extras->ids,
        .salvage = &extras->salvage,
        .trailing = input_trailing(extras->watch.input),
    };
}

void extras_tell(const struct extras *extras, const struct options *options,
                 const struct totals *totals) {
    const char *name = input_name(extras->watch.input);
    const struct input_trailing trailing = input_trailing(extras->watch.input);
    char count[32];
    if (options->quiet) return;
    if (totals->read == 0) report_warning("%s: there is no record in it", name);
    if (trailing.found && options->trailing == TRAILING_WARN) {
        report_warning(
            "%s: what follows the gzip data, from compressed byte %llu on, was left aside", name,
            (unsigned long long)trailing.compressed_at);
    }
    if (extras->ids != NULL) {
        report_note("%s: %s%s ids came before in it", name,
                    id_set_is_exact(extras->ids) ? "" : "at least ",
                    with_commas(id_set_duplicates(extras->ids), count));
    }
    if (extras->watch.n_rejects > 0) {
        report_note("%s: %s records are in %s" REJECTS_SUFFIX "; `wader retry` replays them", name,
                    with_commas(extras->watch.n_rejects, count), extras->output);
    }
}

enum status extras_result(const struct extras *extras, struct error *error) {
    const struct salvage *salvage = &extras->salvage;
    if (!salvage->damaged) return STATUS_OK;
    char unchecked[80] = "";
    if (salvage->unchecked > 0) {
        snprintf(unchecked, sizeof unchecked, ", %llu of them with bytes that no CRC vouches for",
                 (unsigned long long)salvage->unchecked);
    }
    return error_set(
        error, STATUS_ROWS, "%s: %s; the %llu whole records before it are labelled%s%s",
        input_name(extras->watch.input), salvage->reason, (unsigned long long)salvage->records,
        unchecked, strcmp(extras->output, "-") == 0 ? "" : ", and the commit record says so");
}

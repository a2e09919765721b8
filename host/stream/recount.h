// SPDX-License-Identifier: Apache-2.0
//
// What a run that goes on inside an input counts again of the records before: their ids.
#ifndef WADER_HOST_STREAM_RECOUNT_H
#define WADER_HOST_STREAM_RECOUNT_H

#include "host/stream/id_set.h"
#include "host/stream/record.h"

// Adds the ids of the first `n_records` records of the file at `path`, in order, to `set`; lines
// longer than `record_nbytes_max` have none. STATUS_INPUT where there are not so many,
// STATUS_AGAIN when `stop`, asked now and then, says so; else as input_read and id_set_add.
enum status recount_ids(const char *path, const struct record_format *format,
                        size_t record_nbytes_max, uint64_t n_records, bool (*stop)(void),
                        struct id_set *set, struct error *error);

#endif

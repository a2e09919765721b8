// SPDX-License-Identifier: Apache-2.0
//
// Walks the rows of an output as its bytes come by: counts them, and where asked for compares their
// ids and counts their labels. Used by one thread.
#ifndef WADER_HOST_JOB_ROW_SCAN_H
#define WADER_HOST_JOB_ROW_SCAN_H

#include "host/job/id_walk.h"
#include "host/job/label_tally.h"

struct row_scan {
    bool is_tsv, has_header;
    struct id_walk *ids;        // or NULL
    struct label_tally *tally;  // or NULL
    uint64_t n_rows;            // complete ones, without the header
    bool in_row, past_header;
    struct buffer carry;  // the beginning of a row whose end has not come
};

// STATUS_ROWS, naming the row, for one that is not what it must be; what id_walk_next gives.
enum status row_scan_feed(struct row_scan *scan, struct span bytes, struct error *error);
// Behind the last byte.
enum status row_scan_end(struct row_scan *scan, struct error *error);
void row_scan_free(struct row_scan *scan);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// OLD or NEW: an output, or a directory of them, as one run of rows. A directory's outputs come in
// the order of their inputs' names, so two runs over one catalog come in one order, gzip or not.
#ifndef WADER_HOST_JOB_DIFF_SIDE_H
#define WADER_HOST_JOB_DIFF_SIDE_H

#include "host/job/diff_file.h"

struct diff_side {
    const char *path;
    bool is_directory;
    char **files;  // [n_files], at least 1
    size_t n_files, n_recorded;
    uint64_t nbytes;  // of all of them
    // The first record, and what of it does not hold for others.
    struct commit_record record;
    bool many_models, many_tokenizers, many_settings;
    // Every id is a line's number, which means a line only together with its file.
    bool numbers_lines;
    bool names_files;  // set by the caller: ids become "FILE:ID"
    // private
    struct diff_file *file;
    size_t next;
    uint64_t behind_nbytes;  // of files that are read
    struct buffer id;
};

// Lists the outputs of `path` and reads their commit records. STATUS_INPUT where there is none, or
// a record does not fit its output; STATUS_USAGE where an input has two outputs there.
enum status diff_side_open(const char *path, struct diff_side *side, struct error *error);
void diff_side_close(struct diff_side *side);

// The next row, as diff_file_next.
enum status diff_side_next(struct diff_side *side, struct diff_row *row, bool *found,
                           struct error *error);

// How many bytes of the files, as they lie there, are read.
uint64_t diff_side_at(const struct diff_side *side);

// The column names of the file that the last row came from, as diff_file_header.
struct span diff_side_header(const struct diff_side *side);

#endif

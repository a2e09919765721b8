// SPDX-License-Identifier: Apache-2.0
//
// One output, read row by row. Its end is reached in good order only: the gzip whole, the last row
// with its end of line, and bytes, rows and SHA-256 those of the commit record where there is one.
// Rows handed out before must not be trusted until then.
#ifndef WADER_HOST_JOB_DIFF_FILE_H
#define WADER_HOST_JOB_DIFF_FILE_H

#include "host/job/commit_record.h"
#include "host/job/diff_row.h"

enum { ROW_NBYTES_MAX = 64 << 20 };  // a longer row is refused: memory is bounded by it

struct diff_file;  // used by one thread

// The record beside an output. STATUS_INPUT where it cannot be read or is damaged, or tells another
// size than the output has. commit_record_free releases it, after a failure too.
enum status diff_file_record(const char *path, struct commit_record *record, bool *is_there,
                             struct error *error);

// STATUS_INPUT when it cannot be opened. JSONL or TSV is told by the name, else by the first byte.
enum status diff_file_open(const char *path, struct diff_file **out, struct error *error);
void diff_file_close(struct diff_file *file);         // NULL is fine
uint64_t diff_file_at(const struct diff_file *file);  // bytes of the file (compressed) so far

// The next row, whose text lives until the next call; *found is false at the end. STATUS_INPUT for
// damage, naming file, row and offset.
enum status diff_file_next(struct diff_file *file, struct diff_row *row, bool *found,
                           struct error *error);

// TSV's line of column names, once the first row was asked for; {NULL, 0} where there is none.
struct span diff_file_header(const struct diff_file *file);

#endif

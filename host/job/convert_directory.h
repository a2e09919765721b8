// SPDX-License-Identifier: Apache-2.0
//
// A directory of plain files that appears whole or not at all. It is filled under a name of its own
// (hidden, unique to the attempt) beside the name it is to have; each file is synced, then the
// directory, then one rename gives it its name. The lock of commit.h stands beside it meanwhile, so
// two runs do not write one directory, and what a dead attempt left is swept by the next.
#ifndef WADER_HOST_JOB_CONVERT_DIRECTORY_H
#define WADER_HOST_JOB_CONVERT_DIRECTORY_H

#include "host/base/base.h"

struct convert_directory;  // used by one thread

// STATUS_USAGE when something of that name is there, unless `replace`: then it must be a directory
// that is empty or a model's, config.json and plain files beside it, for all of it will be deleted.
// STATUS_LOCKED when another run writes it, STATUS_IO when it cannot be made.
enum status convert_directory_open(const char *path, bool replace, struct convert_directory **out,
                                   struct error *error);

// One file after the other, each once: begin, write, end. STATUS_IO when the system refuses.
enum status convert_directory_begin(struct convert_directory *directory, const char *name,
                                    struct error *error);
enum status convert_directory_write(struct convert_directory *directory, const char *bytes,
                                    size_t nbytes, struct error *error);
enum status convert_directory_end(struct convert_directory *directory, struct error *error);

// Gives it its name. After a failure what had the name before has it still, or again.
enum status convert_directory_commit(struct convert_directory *directory, struct error *error);

// Leaves nothing behind unless convert_directory_commit succeeded. NULL is fine.
void convert_directory_close(struct convert_directory *directory);

#endif

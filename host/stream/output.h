// SPDX-License-Identifier: Apache-2.0
//
// Where rows go: stdout, or a file that appears whole or not at all. A file is written under a name
// of its own (hidden, unique to the attempt) in the same directory; output_commit makes it durable
// and gives it its name in one rename. The bytes depend on the rows alone: zlib is fed blocks of a
// fixed size whatever sizes the rows came in, and the gzip header holds no time and no name.
#ifndef WADER_HOST_STREAM_OUTPUT_H
#define WADER_HOST_STREAM_OUTPUT_H

#include "host/base/base.h"
#include "host/base/sha256.h"

struct output;  // used by one thread, but for output_abandon

// `path` is "-" for stdout. A path ending in .gz is compressed. STATUS_IO when it cannot be made.
enum status output_open(const char *path, struct output **out, struct error *error);

// The same into `fd`, which is the output's from then on; nothing is renamed or synced. For who
// wants the work done and not the file.
enum status output_open_fd(int fd, bool compress, struct output **out, struct error *error);

// STATUS_IO when the system refuses the bytes; STATUS_PIPE when the reader of stdout went away.
enum status output_write(struct output *output, const char *bytes, size_t n, struct error *error);

// Sends what was written on its way, where that does not change the bytes: plain stdout.
enum status output_flush(struct output *output, struct error *error);

// Writes and syncs the rest: what may still fail for want of room, while an earlier output of that
// name stands untouched. Nothing more can be written; output_commit comes next.
enum status output_complete(struct output *output, struct error *error);

// Completes it where that is still to do, renames, syncs the directory. After a failure the file is
// not there.
enum status output_commit(struct output *output, struct error *error);

// Leaves nothing behind unless output_commit succeeded. NULL is fine.
void output_close(struct output *output);

// SHA-256 of the uncompressed bytes, and their number; valid after output_complete.
const char *output_sha256(const struct output *output);
uint64_t output_nbytes(const struct output *output);

// The size of the file, compressed where it is; valid once output_complete succeeded.
uint64_t output_file_nbytes(const struct output *output);

// Removes the unfinished file at once; for a signal's way out, while another thread may be writing.
void output_abandon(struct output *output);

// Removes the unfinished files that dead attempts at `path` left. The caller knows that none lives.
void output_sweep(const char *path);

#endif

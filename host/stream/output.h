// SPDX-License-Identifier: Apache-2.0
//
// Where rows go: stdout, or a file that appears whole or not at all. A file is written under a name
// of its own (hidden, unique to the attempt) in the same directory; output_commit makes it durable
// and gives it its name in one rename. The bytes depend on the rows alone: zlib is fed blocks of a
// fixed size whatever sizes the rows came in, and the gzip header holds no time and no name.
//
// A file can be gone on with by another process, which gives the same bytes. For that the deflate
// stream starts afresh, at a byte boundary, behind every OUTPUT_SEGMENT_NBYTES of plain bytes, in
// every run alike; that costs less than 0.5 % of the size, and lets two threads of the output's own
// deflate. What stands before such a place in the
// file never changes; what came since is held as plain bytes until the segment is full.
#ifndef WADER_HOST_STREAM_OUTPUT_H
#define WADER_HOST_STREAM_OUTPUT_H

#include "host/base/base.h"
#include "host/base/sha256.h"

struct output;  // used by one thread, but for output_abandon and output_sync

// `path` is "-" for stdout. A path ending in .gz is compressed. STATUS_IO when it cannot be made.
enum status output_open(const char *path, struct output **out, struct error *error);

// The same into `fd`, which is the output's from then on; nothing is renamed or synced. For who
// wants the work done and not the file.
enum status output_open_fd(int fd, bool compress, struct output **out, struct error *error);

// STATUS_IO when the system refuses the bytes, these or earlier ones; STATUS_PIPE when the reader
// of stdout went away.
enum status output_write(struct output *output, const char *bytes, size_t n, struct error *error);

// Sends what was written on its way, where that does not change the bytes: plain stdout.
enum status output_flush(struct output *output, struct error *error);

// Writes and syncs the rest: what may still fail for want of room, while an earlier output of that
// name stands untouched. Nothing more can be written; output_commit comes next.
enum status output_complete(struct output *output, struct error *error);

enum {
    OUTPUT_SEGMENT_NBYTES = 512 * 1024,
    OUTPUT_PACKERS = 2,  // threads of a compressed file's own: deflating is half of a row's work
};

// The beginning of a segment.
struct output_place {
    uint64_t nbytes;           // plain bytes before it
    uint64_t file_nbytes;      // and what they are in the file
    uint32_t crc;              // CRC-32 of the plain bytes, where the output is compressed
    uint32_t file_crc;         // and of those in the file
    struct sha256_state hash;  // of the plain bytes
};

// Where an output stands after a row: all that another process needs besides the file.
struct output_point {
    struct output_place begin;  // of the segment
    uint32_t tail_nbytes;       // what it holds
    char tail[OUTPUT_SEGMENT_NBYTES];
};

// Tells where the output stands; by the thread that writes. Files only. Fails as output_write does.
enum status output_point(struct output *output, struct output_point *point, struct error *error);

// Makes what points told so far speak of safe on the disk; any thread, while another one writes.
// STATUS_IO where that fails: then the output is lost. STATUS_LOCKED where somebody removed the
// unfinished file: another attempt has taken over.
enum status output_sync(struct output *output, struct error *error);

// The name of the unfinished file, without its directory.
const char *output_temporary(const struct output *output);

// Opens an output that goes on at `point` of the unfinished file `temporary` (a name in the
// directory of `path`). The bytes before it are copied, and checked: whoever wrote that file may
// still be alive, on another machine, and write on. Where it is gone, what has the name `path` may
// be it: an attempt may have died while it committed. STATUS_INPUT where the file is not there, is
// shorter or was altered; STATUS_AGAIN where `stop`, asked now and then, says so; STATUS_IO.
enum status output_resume(const char *path, const char *temporary, const struct output_point *point,
                          bool (*stop)(void), struct output **out, struct error *error);

// How many plain bytes were written to it so far, by whichever attempts.
uint64_t output_written(const struct output *output);

// Reads bytes that were written to an uncompressed output file, of which so many are there. By the
// thread that writes. STATUS_IO where the file does not give them.
enum status output_read_back(const struct output *output, uint64_t offset, void *bytes, size_t n,
                             struct error *error);

// Completes it where that is still to do, renames, syncs the directory. After a failure the file is
// not there.
enum status output_commit(struct output *output, struct error *error);

// Removes what an earlier run committed at `path`, which may be gone already; NULL is a path that
// there was no memory for. STATUS_IO.
enum status output_remove(const char *path, struct error *error);

// Lets output_close leave the unfinished file, for output_resume in another process.
void output_keep(struct output *output);

// Leaves nothing behind unless output_commit succeeded, or output_keep said so. NULL is fine.
void output_close(struct output *output);

// SHA-256 of the uncompressed bytes, and their number; valid after output_complete.
const char *output_sha256(const struct output *output);
uint64_t output_nbytes(const struct output *output);

// The size of the file, compressed where it is; valid once output_complete succeeded.
uint64_t output_file_nbytes(const struct output *output);

// Removes the unfinished file at once; for a signal's way out, while another thread may be writing.
void output_abandon(struct output *output);

// Removes the unfinished files that dead attempts at `path` left, but for the one named `keep`
// (NULL: none). The caller knows that none lives.
void output_sweep(const char *path, const char *keep);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What an output is made of, private to output*.c.
#ifndef WADER_HOST_STREAM_OUTPUT_STATE_H
#define WADER_HOST_STREAM_OUTPUT_STATE_H

#include <zlib.h>

#include "host/stream/output.h"

enum { PACKED_NBYTES = 64 * 1024, OUTPUT_BLOCK_NBYTES = 256 * 1024 };
_Static_assert(OUTPUT_SEGMENT_NBYTES % OUTPUT_BLOCK_NBYTES == 0, "a segment ends with a block");

struct output_segments;

struct output {
    const char *shown;  // the name for messages
    char *path;         // NULL: stdout
    char *temporary;
    int fd;
    bool compress;
    z_stream deflater;  // of the last segment
    bool deflater_ready;
    struct output_segments *segments;  // those before it; NULL while there are none
    uint64_t taken;                    // plain bytes of whole segments
    bool complete, committed, kept;
    struct sha256 *hash;
    char sha256[SHA256_HEX_LEN + 1];
    uint64_t nbytes, file_nbytes;  // handed on to the file, plain and as they are there
    uint32_t crc, file_crc;        // of these
    struct output_place begin;     // of the segment
    size_t handed, segment_len;
    char segment[OUTPUT_SEGMENT_NBYTES];  // plain bytes; uncompressed, `handed` are in the file
    unsigned char packed[PACKED_NBYTES];
};

// Takes `path` and opens a temporary file of a new name for it.
enum status output_open_file(struct output *output, const char *path, struct error *error);

// Begins the new file with the first `nbytes` of another in its directory, or of what has the
// output's own name where that is gone; their CRC-32 must be `crc`. Statuses as output_resume's.
enum status output_copy_prefix(struct output *output, const char *temporary, uint64_t nbytes,
                               uint32_t crc, bool (*stop)(void), struct error *error);

// Writes to the file as it is. STATUS_IO, STATUS_PIPE.
enum status output_write_raw(struct output *output, const void *bytes, size_t n,
                             struct error *error);

// Of the parameters that the bytes of outputs depend on. False without memory.
bool output_start_deflater(z_stream *deflater);

enum status output_write_header(struct output *output, struct error *error);

// All that was written is in the file: a segment begins here.
void output_begin_segment(struct output *output);

// The directory part of `path`, with its slash; "./" where it has none. NULL without memory.
char *output_directory_of(const char *path);

// STATUS_IO with errno's reason, and that nothing is left behind.
enum status output_failed(const struct output *output, const char *doing, struct error *error);

#endif

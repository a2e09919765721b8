// SPDX-License-Identifier: Apache-2.0
//
// Going on in the middle of an input, in another process, without inflating or hashing again what
// came before: DEFLATE can be entered between two of its blocks by whoever knows the 32 KiB before.
// The strictness stays: the CRC and the length of the member that was entered are checked, over
// all of it, and the hash in the end is that of the whole file.
#ifndef WADER_HOST_STREAM_INPUT_POINT_H
#define WADER_HOST_STREAM_INPUT_POINT_H

#include "host/stream/input.h"

enum { INPUT_WINDOW_NBYTES = 32 * 1024 };

enum input_place {
    INPUT_AT_START,
    INPUT_IN_PLAIN,   // anywhere in a file that is no gzip
    INPUT_IN_MEMBER,  // between two DEFLATE blocks
    INPUT_PLACES,
};

struct input_point {
    enum input_place place;
    int n_bits;              // INPUT_IN_MEMBER: of the last byte consumed, still to come; 0 to 7
    uint64_t plain_nbytes;   // handed out before it
    uint64_t file_nbytes;    // consumed before it
    uint64_t member_nbytes;  // plain bytes of the member so far, and their CRC-32
    uint32_t member_crc;
    uint32_t window_nbytes;    // at most INPUT_WINDOW_NBYTES
    struct sha256_state hash;  // of the file's first hash.nbytes bytes; not less than file_nbytes
    unsigned char window[INPUT_WINDOW_NBYTES];  // the plain bytes before it
};

// From now on the input notes where it could be gone on with. Before the first input_read. Takes
// about 70 KB. STATUS_IO without memory.
enum status input_keep_points(struct input *input, struct error *error);

// The last place known at or before `plain_nbytes`, of which the input has handed out no more than
// INPUT_POINT_BEHIND beyond. How far before: up to INPUT_POINT_SPACING and one DEFLATE block, which
// is some 100 KB in what zlib writes, though the format sets no limit.
enum { INPUT_POINT_BEHIND = 128 * 1024, INPUT_POINT_SPACING = 256 * 1024 };
void input_point(const struct input *input, uint64_t plain_nbytes, struct input_point *point);

// Makes the first input_read go on at `point`, taken of the same file. STATUS_INPUT where it cannot
// be one of this file; STATUS_IO.
enum status input_resume(struct input *input, const struct input_point *point, struct error *error);

// Plain bytes handed out, those before the point it was resumed at among them.
uint64_t input_plain_nbytes(const struct input *input);

#endif

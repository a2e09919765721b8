// SPDX-License-Identifier: Apache-2.0
//
// An input from inside, private to input*.c. States of the reading side:
//   START    nothing looked at yet
//   PLAIN    no gzip: bytes are handed on as they are
//   MEMBER   inside a gzip member
//   TRAILER  at the end of a member that another process began
//   BETWEEN  after a member: the next byte begins another member, or padding, or is an error
//   PADDING  zeros to the end
//   REST     nothing more is handed out; the file is read to its end for its hash
//   END
#ifndef WADER_HOST_STREAM_INPUT_STATE_H
#define WADER_HOST_STREAM_INPUT_STATE_H

#include <stdatomic.h>
#include <zlib.h>

#include "host/stream/input_point.h"

enum { READ_NBYTES = 256 * 1024 };

enum input_state { START, PLAIN, MEMBER, TRAILER, BETWEEN, PADDING, REST, END };

struct input {
    char *name;
    int fd;
    bool may_wait;  // a pipe, a terminal: the next byte is up to somebody else
    atomic_bool cancelled;
    uint64_t total_nbytes;
    int64_t mtime_ns;
    struct input_rules rules;
    bool begun;  // input_read was called
    enum input_state state;
    z_stream inflater;  // next_in/avail_in are the unconsumed part of `raw`, in every state
    bool inflater_ready;
    bool raw_ended;         // read() said so
    uint64_t plain_nbytes;  // handed out
    struct input_damage damage;
    struct input_trailing trailing;
    _Atomic uint64_t read_nbytes, consumed_nbytes;
    struct sha256 *hash;
    struct sha256_state hash_at_end;  // before it was finished
    char sha256[SHA256_HEX_LEN + 1];
    bool headless;        // the member was begun by another process: see input_resume
    uint32_t member_crc;  // of such a member, what zlib counts of others
    uint64_t member_nbytes;
    struct input_point *marks;  // [2], where inflating could go on; NULL: nobody wants to know
    int n_marks, newest;
    unsigned char raw[READ_NBYTES];
};

// Makes `n` unconsumed raw bytes available, or all there are before the end of the file.
enum status input_fill(struct input *input, unsigned n, struct error *error);

// Offset in the file of the next byte that nobody has looked at.
unsigned long long input_raw_offset(const struct input *input);

// Feeds the hash with `n` bytes that were read at read_nbytes, which does not count them yet.
void input_hash(struct input *input, const unsigned char *bytes, size_t n);

// After each call of inflate, which gave `n` bytes: counts them, marks the place where it is one.
void input_inflated(struct input *input, const char *bytes, size_t n);

// One step of the states above, with a raw byte there or none left. May hand out bytes, or not.
enum status input_step(struct input *input, char *bytes, size_t cap, size_t *n,
                       struct error *error);

#endif

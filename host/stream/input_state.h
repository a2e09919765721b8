// SPDX-License-Identifier: Apache-2.0
//
// An input from inside, private to input*.c. States of the reading side:
//   START    nothing looked at yet
//   PLAIN    no gzip: bytes are handed on as they are
//   MEMBER   inside a gzip member
//   BETWEEN  after a member: the next byte begins another member, or padding, or is an error
//   PADDING  zeros to the end
//   REST     nothing more is handed out; the file is read to its end for its hash
//   END
#ifndef WADER_HOST_STREAM_INPUT_STATE_H
#define WADER_HOST_STREAM_INPUT_STATE_H

#include <stdatomic.h>
#include <zlib.h>

#include "host/stream/input.h"

enum { READ_NBYTES = 256 * 1024 };

enum input_state { START, PLAIN, MEMBER, BETWEEN, PADDING, REST, END };

struct input {
    char *name;
    int fd;
    bool may_wait;  // a pipe, a terminal: the next byte is up to somebody else
    atomic_bool cancelled;
    uint64_t total_nbytes;
    int64_t mtime_ns;
    struct input_rules rules;
    enum input_state state;
    z_stream inflater;  // next_in/avail_in are the unconsumed part of `raw`, in every state
    bool inflater_ready;
    bool raw_ended;         // read() said so
    uint64_t plain_nbytes;  // handed out
    struct input_damage damage;
    struct input_trailing trailing;
    _Atomic uint64_t read_nbytes, consumed_nbytes;
    struct sha256 *hash;
    char sha256[SHA256_HEX_LEN + 1];
    unsigned char raw[READ_NBYTES];
};

// Makes `n` unconsumed raw bytes available, or all there are before the end of the file.
enum status input_fill(struct input *input, unsigned n, struct error *error);

// Offset in the file of the next byte that nobody has looked at.
unsigned long long input_raw_offset(const struct input *input);

// One step of the states above, with a raw byte there or none left. May hand out bytes, or not.
enum status input_step(struct input *input, char *bytes, size_t cap, size_t *n,
                       struct error *error);

#endif

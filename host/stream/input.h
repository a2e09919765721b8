// SPDX-License-Identifier: Apache-2.0
//
// A file or stdin as plain bytes, inflated where it is gzip (RFC 1952). What it is, is told by its
// first bytes, not by its name; but a name ending in .gz promises gzip.
//
// Strict where zlib's own file interface is not: several members are one stream, wherever a member
// is cut; an input that ends inside a member, a bad CRC or length, and bytes after the last member
// that are not all zeros are errors. Zeros after the last member (tape and block padding) are fine.
// Bytes handed out before such an error is found must not be trusted: nothing may be committed
// before the end was reached. (salvage.h tells which of them still may be, where that is wanted.)
#ifndef WADER_HOST_STREAM_INPUT_H
#define WADER_HOST_STREAM_INPUT_H

#include "host/base/base.h"
#include "host/base/sha256.h"

struct input;  // used by one thread, but for the calls that say otherwise

// Opens `path`, or stdin for "-". STATUS_INPUT when it cannot be opened or is not something to read
// from. Reading starts with the first input_read.
enum status input_open(const char *path, struct input **out, struct error *error);
void input_close(struct input *input);  // NULL is fine

// What to do about bytes behind the last gzip member that are no zeros. Both of the lenient ones
// read them, for the hash, and hand out nothing of them.
enum trailing { TRAILING_ERROR, TRAILING_WARN, TRAILING_IGNORE };

struct input_rules {
    enum trailing trailing;
    uint64_t plain_nbytes_max;  // hand out no more, and look for no damage behind; 0: no limit
};

// Before the first input_read. Without it: TRAILING_ERROR, no limit.
void input_set_rules(struct input *input, struct input_rules rules);

// Up to `cap` bytes, at least 1, into `bytes`. `*n` is 0 only at the end, which is reached in good
// order only. STATUS_INPUT for damaged data, naming the file and the offset in it; STATUS_IO where
// the system failed to read. After an error the input is only good for closing.
enum status input_read(struct input *input, char *bytes, size_t cap, size_t *n,
                       struct error *error);

// What input_read found wrong with gzip data, once it has returned STATUS_INPUT.
enum damage {
    DAMAGE_NONE,       // something else: no gzip data was read
    DAMAGE_TRUNCATED,  // the file ends inside a member
    DAMAGE_CORRUPT,    // no deflate data, or a wrong CRC or length: somewhere in a member
    DAMAGE_TRAILING,   // all members are whole, then come other bytes
};
struct input_damage {
    enum damage kind;
    uint64_t compressed_at;   // where it was seen
    uint64_t checked_nbytes;  // plain bytes of the members before, whose CRC held
};
struct input_damage input_damage(const struct input *input);

// The bytes that TRAILING_WARN and TRAILING_IGNORE let pass. Valid once the end was reached.
struct input_trailing {
    bool found;
    uint64_t compressed_at;
};
struct input_trailing input_trailing(const struct input *input);

// Whether it is gzip; valid once a byte was read, or the end.
bool input_is_gzip(const struct input *input);

// Whether it is a regular file, whose bytes another input_open finds again.
bool input_can_be_reopened(const struct input *input);

// Whether the next input_read would have to wait for another program for longer than `wait_ms`.
// Files never do.
bool input_would_wait(const struct input *input, int wait_ms);

// Makes an input_read that waits for another program, now or later, end with STATUS_AGAIN. May be
// called from another thread.
void input_cancel(struct input *input);

// What to call it in a message: the path, or "stdin".
const char *input_name(const struct input *input);

// The whole file's size, 0 where that cannot be known; and how much of it was consumed so far
// (compressed bytes). The latter may be asked from another thread.
uint64_t input_total_nbytes(const struct input *input);
uint64_t input_consumed_nbytes(const struct input *input);

// When the file was last written to, as it was when it was opened, in ns since the epoch; and
// whether that and its size still hold: STATUS_INPUT when somebody wrote to it meanwhile.
int64_t input_mtime_ns(const struct input *input);
enum status input_check_unchanged(const struct input *input, struct error *error);

// SHA-256 of the bytes as they stand in the file. Valid once the end was reached.
const char *input_sha256(const struct input *input);

// What zlib is told: the largest window (15), and a gzip header and trailer (16).
enum { GZIP_WINDOW_BITS = 15 + 16 };

// The suffix that tells gzip by name.
bool name_ends_in_gz(const char *name);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The floor that every part of wader stands on: how a call fails, how bytes are passed, arithmetic
// that cannot overflow. It includes nothing of ours.
#ifndef WADER_HOST_BASE_BASE_H
#define WADER_HOST_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WADER_VERSION "0.1.0"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

// How a call ended. The values are wader's exit codes, so an error keeps its meaning all the way up
// to the shell; README documents them for scripts.
enum status {
    STATUS_OK = 0,      // everything asked for was done
    STATUS_ROWS = 1,    // finished, but more rows or files failed than the limits allow
    STATUS_USAGE = 2,   // the command line makes no sense
    STATUS_INPUT = 3,   // the input data is damaged or is not what it says it is
    STATUS_IO = 4,      // the system failed us: output, reading, memory
    STATUS_LOCKED = 5,  // another run is writing the same output
    STATUS_MODEL = 6,   // the model or the device cannot be used
    STATUS_DRIFT = 7,   // done, and what was asked to be watched has changed too much
    STATUS_AGAIN = 75,  // stopped early, nothing lost: run the same command again
    STATUS_PIPE = 141,  // whoever read our stdout went away
};

// Where in the data a fault is, for programs that read messages; zeros where that is not known.
struct error_place {
    size_t file_nbytes;     // the message begins with so many bytes of the file's name
    bool has_record;        // of the next two
    uint64_t record, byte;  // from 1; where it begins, in plain bytes
    bool has_compressed;    // of the next one
    uint64_t compressed_byte;
};

// One message, in plain words: what is wrong, where, and what to do about it. Written by the call
// that found the fault, printed once, at the top. A call that returns STATUS_OK leaves it alone.
struct error {
    char text[1024];
    struct error_place place;
};

// Formats the message into `error` (cut to fit) and returns `status`, so that a failing call reads
// `return error_set(error, STATUS_INPUT, "...", ...)`. `error` may be NULL: the message is dropped.
// Its place is not known then.
enum status error_set(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Tells the place of the message that was just set, where there is an `error`; returns `status`.
enum status error_at(struct error *error, enum status status, struct error_place place);

// Some bytes of somebody else's. Not NUL-terminated; `ptr` may be NULL only where `len` is 0.
struct span {
    const char *ptr;
    size_t len;
};

// All of `text` but its NUL.
struct span span_text(const char *text);

bool span_equal(struct span span, const char *text);
bool span_ends_in(struct span span, const char *suffix);

// The value of a hexadecimal digit, 0 to 15, or -1.
static inline int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// `*out = a * b` and `*out = a + b`; false, with `*out` untouched, where that overflows.
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

// malloc and calloc of n elements of `size` bytes, overflow checked, with an error that says what
// the memory was for. On failure `*out` is NULL and the status STATUS_IO. free() releases it.
enum status alloc_array(void **out, size_t n, size_t size, const char *what, struct error *error);
enum status alloc_zeroed(void **out, size_t n, size_t size, const char *what, struct error *error);

// When a file was last written to, in ns since the epoch.
struct stat;
int64_t stat_mtime_ns(const struct stat *info);

// A whole file, mapped read-only. The bytes live until file_map_close. A file that shrinks while it
// is mapped ends the process with SIGBUS, as for every program that maps files.
struct file_map {
    const char *bytes;
    size_t nbytes;
    uint64_t inode;  // which file it was, and when last written: see file_map_is_current
    int64_t mtime_ns;
};

// STATUS_MODEL when the file is missing, unreadable, or not a regular file: only model files are
// mapped. An empty file maps to {NULL, 0}.
enum status file_map_open(const char *path, struct file_map *map, struct error *error);
void file_map_close(struct file_map *map);

// Whether `path` still leads to the file that was mapped, and nobody has written to it since.
bool file_map_is_current(const char *path, const struct file_map *map);

// Seconds on a clock that never goes back, from an arbitrary start.
double now_seconds(void);

enum { PATH_NBYTES_MAX = 4096 };  // room for a path, NUL included: Linux takes no longer ones

// Writes "dir/name" to `path`. STATUS_USAGE where `cap` is too small.
enum status path_join(char *path, size_t cap, const char *dir, const char *name,
                      struct error *error);

// What stands behind the last slash of `path`, a part of it.
const char *path_base(const char *path);

// A new string: the directory of `path`, then its base name between `prefix` and `suffix`. NULL
// without memory.
char *path_beside(const char *path, const char *prefix, const char *suffix);

#ifdef __cplusplus
}
#endif

#endif

// SPDX-License-Identifier: Apache-2.0
//
// States of the reading side:
//   START    nothing looked at yet
//   PLAIN    no gzip: bytes are handed on as they are
//   MEMBER   inside a gzip member
//   BETWEEN  after a member: the next byte begins another member, or padding, or is an error
//   PADDING  zeros to the end
//   END
#include "host/stream/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { READ_NBYTES = 256 * 1024, CANCEL_MS = 100 };

enum input_state { START, PLAIN, MEMBER, BETWEEN, PADDING, END };

struct input {
    char *name;
    int fd;
    bool may_wait;  // a pipe, a terminal: the next byte is up to somebody else
    atomic_bool cancelled;
    uint64_t total_nbytes;
    int64_t mtime_ns;
    enum input_state state;
    z_stream inflater;  // next_in/avail_in are the unconsumed part of `raw`, in every state
    bool inflater_ready;
    bool raw_ended;  // read() said so
    _Atomic uint64_t read_nbytes, consumed_nbytes;
    struct sha256 *hash;
    char sha256[SHA256_HEX_LEN + 1];
    unsigned char raw[READ_NBYTES];
};

bool name_ends_in_gz(const char *name) {
    return span_ends_in(span_text(name), ".gz");
}

enum status input_open(const char *path, struct input **out, struct error *error) {
    *out = NULL;
    const bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(error, STATUS_INPUT, "%s: %s", path, strerror(errno));
    struct stat info = {0};
    if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
        enum status status =
            error_set(error, STATUS_INPUT, "%s: %s", is_stdin ? "stdin" : path,
                      S_ISDIR(info.st_mode) ? "is a directory" : "is closed; give an input");
        if (!is_stdin) close(fd);
        return status;
    }
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "an input", error);
    if (status != STATUS_OK) {
        if (!is_stdin) close(fd);
        return status;
    }
    struct input *input = memory;
    input->fd = fd;
    input->may_wait = !S_ISREG(info.st_mode);
    input->total_nbytes = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    input->mtime_ns = stat_mtime_ns(&info);
    status = sha256_create(&input->hash, error);
    if (status == STATUS_OK) {
        input->name = strdup(is_stdin ? "stdin" : path);
        if (input->name == NULL) status = error_set(error, STATUS_IO, "out of memory");
    }
    if (status != STATUS_OK) {
        input_close(input);
        return status;
    }
    *out = input;
    return STATUS_OK;
}

void input_close(struct input *input) {
    if (input == NULL) return;
    if (input->inflater_ready) inflateEnd(&input->inflater);
    if (input->fd != STDIN_FILENO) close(input->fd);
    sha256_destroy(input->hash);
    free(input->name);
    free(input);
}

// Offset in the file of the next byte that nobody has looked at.
static unsigned long long raw_offset(const struct input *input) {
    return (unsigned long long)input->read_nbytes - input->inflater.avail_in;
}

// Waits until there is something to read. Looks up now and then for input_cancel.
static enum status await_readable(struct input *input, struct error *error) {
    struct pollfd readable = {.fd = input->fd, .events = POLLIN};
    while (!input->cancelled) {
        const int n = poll(&readable, 1, CANCEL_MS);
        if (n > 0 || (n < 0 && errno != EINTR)) return STATUS_OK;
    }
    return error_set(error, STATUS_AGAIN, "%s: reading was called off", input->name);
}

// Reads once, behind the unconsumed raw bytes (there is room: they are few or none). At the end of
// the file it says so in `raw_ended`.
static enum status read_raw(struct input *input, struct error *error) {
    z_stream *inflater = &input->inflater;
    if (inflater->avail_in == 0) inflater->next_in = input->raw;
    unsigned char *at = input->raw + (inflater->next_in - input->raw) + inflater->avail_in;
    for (;;) {
        enum status status = input->may_wait ? await_readable(input, error) : STATUS_OK;
        if (status != STATUS_OK) return status;
        ssize_t n = read(input->fd, at, sizeof input->raw - (size_t)(at - input->raw));
        if (n > 0) {
            sha256_update(input->hash, at, (size_t)n);
            inflater->avail_in += (uInt)n;
            input->read_nbytes += (uint64_t)n;
            return STATUS_OK;
        }
        if (n == 0) {
            input->raw_ended = true;
            return sha256_finish(input->hash, input->sha256, error);
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            return error_set(error, STATUS_IO, "%s: reading at byte %llu: %s", input->name,
                             raw_offset(input), strerror(errno));
        }
    }
}

// Makes `n` unconsumed raw bytes available, or all there are before the end of the file.
static enum status fill(struct input *input, uInt n, struct error *error) {
    enum status status = STATUS_OK;
    while (status == STATUS_OK && input->inflater.avail_in < n && !input->raw_ended) {
        status = read_raw(input, error);
    }
    return status;
}

// Names what is known not to be a catalog by its first bytes; NULL for anything else.
static const char *foreign_format(const unsigned char *bytes, size_t n) {
    static const struct {
        const char *name;
        size_t len;
        unsigned char magic[6];
    } formats[] = {
        {"zstd (decompress it with `zstd -dc`)", 4, {0x28, 0xb5, 0x2f, 0xfd}},
        {"xz (decompress it with `xz -dc`)", 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
        {"bzip2 (decompress it with `bzip2 -dc`)", 3, {'B', 'Z', 'h'}},
        {"a zip archive (unpack it with `unzip -p`)", 4, {'P', 'K', 3, 4}},
        {"Parquet (convert it to JSONL first)", 4, {'P', 'A', 'R', '1'}},
        {"lz4 (decompress it with `lz4 -dc`)", 4, {4, 0x22, 0x4d, 0x18}},
        {"compress's .Z (decompress it with `gzip -dc`)", 2, {0x1f, 0x9d}},
        {"UTF-16 text (convert it with `iconv -f UTF-16 -t UTF-8`)", 2, {0xff, 0xfe}},
        {"UTF-16 text (convert it with `iconv -f UTF-16 -t UTF-8`)", 2, {0xfe, 0xff}},
    };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (n >= formats[i].len && memcmp(bytes, formats[i].magic, formats[i].len) == 0) {
            return formats[i].name;
        }
    }
    return NULL;
}

static enum status start(struct input *input, struct error *error) {
    // A pipe may deliver its first bytes one by one. Six tell every format, and only what could be
    // one is waited for: a filter must answer a short line.
    static const char first_bytes[] = {4, 0x1f, 0x28, (char)0xfd, 'B', 'P', (char)0xff, (char)0xfe};
    enum status status = fill(input, 1, error);
    if (status == STATUS_OK && input->inflater.avail_in > 0 &&
        memchr(first_bytes, *input->inflater.next_in, sizeof first_bytes) != NULL) {
        status = fill(input, 6, error);
    }
    if (status != STATUS_OK) return status;
    const unsigned char *bytes = input->inflater.next_in;
    const size_t n = input->inflater.avail_in;
    if (n >= 1 && bytes[0] == 0x1f && (n == 1 || bytes[1] == 0x8b)) {
        if (inflateInit2(&input->inflater, GZIP_WINDOW_BITS) != Z_OK) {
            return error_set(error, STATUS_IO, "%s: out of memory for zlib", input->name);
        }
        input->inflater_ready = true;
        input->state = MEMBER;
        return STATUS_OK;
    }
    const char *foreign = n > 0 ? foreign_format(bytes, n) : NULL;
    if (foreign != NULL) {
        return error_set(error, STATUS_INPUT, "%s: this is %s, not gzip or plain UTF-8 text",
                         input->name, foreign);
    }
    if (name_ends_in_gz(input->name)) {
        return error_set(error, STATUS_INPUT,
                         "%s: the name ends in .gz, but %s; give it again or rename it",
                         input->name,
                         n == 0 ? "the file is empty (a gzip of nothing has 20 bytes)"
                                : "its first bytes are not gzip's (1f 8b)");
    }
    input->state = PLAIN;
    return STATUS_OK;
}

static enum status inflate_some(struct input *input, char *bytes, size_t cap, size_t *n,
                                struct error *error) {
    z_stream *inflater = &input->inflater;
    if (inflater->avail_in == 0 && input->raw_ended) {
        return error_set(error, STATUS_INPUT,
                         "%s: truncated: the file ends at compressed byte %llu, inside a gzip "
                         "member; fetch it again",
                         input->name, raw_offset(input));
    }
    inflater->next_out = (unsigned char *)bytes;
    inflater->avail_out = (uInt)(cap > READ_NBYTES ? READ_NBYTES : cap);
    const size_t asked = inflater->avail_out;
    int result = inflate(inflater, Z_NO_FLUSH);
    *n = asked - inflater->avail_out;
    if (result == Z_STREAM_END) {
        input->state = BETWEEN;
    } else if (result == Z_MEM_ERROR) {
        return error_set(error, STATUS_IO, "%s: out of memory for zlib", input->name);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return error_set(error, STATUS_INPUT, "%s: damaged gzip data at compressed byte %llu: %s",
                         input->name, raw_offset(input),
                         inflater->msg != NULL ? inflater->msg : "a preset dictionary is needed");
    }
    return STATUS_OK;
}

// After a member: another one, zeros to the end, the end, or an error.
static enum status after_member(struct input *input, struct error *error) {
    z_stream *inflater = &input->inflater;
    if (inflater->avail_in == 0) {
        input->state = END;
        return STATUS_OK;
    }
    if (input->state == BETWEEN && *inflater->next_in == 0x1f) {
        if (inflateReset(inflater) != Z_OK) {
            return error_set(error, STATUS_IO, "%s: zlib cannot start a member", input->name);
        }
        input->state = MEMBER;
        return STATUS_OK;
    }
    input->state = PADDING;
    while (inflater->avail_in > 0 && *inflater->next_in == 0) {
        inflater->next_in++;
        inflater->avail_in--;
    }
    if (inflater->avail_in > 0) {
        return error_set(error, STATUS_INPUT,
                         "%s: the gzip data is followed by other bytes, from compressed byte %llu "
                         "on; cut them off or fetch the file again",
                         input->name, raw_offset(input));
    }
    return STATUS_OK;
}

static enum status step(struct input *input, char *bytes, size_t cap, size_t *n,
                        struct error *error) {
    z_stream *inflater = &input->inflater;
    switch (input->state) {
        case START:
            return start(input, error);
        case PLAIN:
            if (inflater->avail_in == 0) {
                input->state = END;
                return STATUS_OK;
            }
            *n = inflater->avail_in < cap ? inflater->avail_in : cap;
            memcpy(bytes, inflater->next_in, *n);
            inflater->next_in += *n;
            inflater->avail_in -= (uInt)*n;
            return STATUS_OK;
        case MEMBER:
            return inflate_some(input, bytes, cap, n, error);
        case BETWEEN:
        case PADDING:
            return after_member(input, error);
        case END:
            break;
    }
    return STATUS_OK;
}

enum status input_read(struct input *input, char *bytes, size_t cap, size_t *n,
                       struct error *error) {
    assert(cap > 0);
    *n = 0;
    while (*n == 0 && input->state != END) {
        enum status status = fill(input, 1, error);
        if (status == STATUS_OK) status = step(input, bytes, cap, n, error);
        input->consumed_nbytes = input->read_nbytes - input->inflater.avail_in;
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

bool input_would_wait(const struct input *input, int wait_ms) {
    if (!input->may_wait || input->inflater.avail_in > 0 || input->raw_ended) return false;
    struct pollfd readable = {.fd = input->fd, .events = POLLIN};
    return poll(&readable, 1, wait_ms) == 0;
}

void input_cancel(struct input *input) {
    input->cancelled = true;
}

const char *input_name(const struct input *input) {
    return input->name;
}

int64_t input_mtime_ns(const struct input *input) {
    return input->mtime_ns;
}

enum status input_check_unchanged(const struct input *input, struct error *error) {
    struct stat info;
    if (input->may_wait ||
        (fstat(input->fd, &info) == 0 && (uint64_t)info.st_size == input->total_nbytes &&
         stat_mtime_ns(&info) == input->mtime_ns)) {
        return STATUS_OK;
    }
    return error_set(error, STATUS_INPUT,
                     "%s: somebody wrote to it while it was read; run this again when it is whole",
                     input->name);
}

uint64_t input_total_nbytes(const struct input *input) {
    return input->total_nbytes;
}

uint64_t input_consumed_nbytes(const struct input *input) {
    return input->consumed_nbytes;
}

const char *input_sha256(const struct input *input) {
    return input->sha256;
}

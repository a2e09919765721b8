// SPDX-License-Identifier: Apache-2.0
#include "host/stream/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/stream/input_state.h"

enum { CANCEL_MS = 100 };

bool name_ends_in_gz(const char *name) {
    return span_ends_in(span_text(name), ".gz");
}

// Tells that the message that was just set begins with the file's name.
static enum status fault_of(const char *name, struct error *error) {
    return error_at(error, STATUS_INPUT, (struct error_place){.file_nbytes = strlen(name)});
}

enum status input_open(const char *path, struct input **out, struct error *error) {
    *out = NULL;
    const bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)error_set(error, STATUS_INPUT, "%s: %s", path, strerror(errno));
        return fault_of(path, error);
    }
    struct stat info = {0};
    if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
        const char *what = S_ISDIR(info.st_mode) ? "is a directory"
                           : errno == EBADF      ? "is closed; give an input"
                                                 : strerror(errno);
        const char *name = is_stdin ? "stdin" : path;
        (void)error_set(error, STATUS_INPUT, "%s: %s", name, what);
        if (!is_stdin) close(fd);
        return fault_of(name, error);
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
    free(input->marks);
    free(input->name);
    free(input);
}

unsigned long long input_raw_offset(const struct input *input) {
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

// Reads once, behind the unconsumed raw bytes, which are few or none. At the end of the file it
// says so in `raw_ended`.
static enum status read_raw(struct input *input, struct error *error) {
    z_stream *inflater = &input->inflater;
    if (inflater->avail_in > 0) memmove(input->raw, inflater->next_in, inflater->avail_in);
    inflater->next_in = input->raw;
    unsigned char *at = input->raw + inflater->avail_in;
    for (;;) {
        enum status status = input->may_wait ? await_readable(input, error) : STATUS_OK;
        if (status != STATUS_OK) return status;
        ssize_t n = read(input->fd, at, sizeof input->raw - (size_t)(at - input->raw));
        if (n > 0) {
            input_hash(input, at, (size_t)n);
            inflater->avail_in += (uInt)n;
            input->read_nbytes += (uint64_t)n;
            return STATUS_OK;
        }
        if (n == 0) {
            input->raw_ended = true;
            sha256_save(input->hash, &input->hash_at_end);
            return sha256_finish(input->hash, input->sha256, error);
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
            return error_set(error, STATUS_IO, "%s: reading at byte %llu: %s", input->name,
                             input_raw_offset(input), strerror(errno));
        }
    }
}

enum status input_fill(struct input *input, unsigned n, struct error *error) {
    enum status status = STATUS_OK;
    while (status == STATUS_OK && input->inflater.avail_in < n && !input->raw_ended) {
        status = read_raw(input, error);
    }
    return status;
}

void input_set_rules(struct input *input, struct input_rules rules) {
    assert(!input->begun);
    input->rules = rules;
}

enum status input_read(struct input *input, char *bytes, size_t cap, size_t *n,
                       struct error *error) {
    assert(cap > 0);
    *n = 0;
    input->begun = true;
    const uint64_t limit = input->rules.plain_nbytes_max;
    while (*n == 0 && input->state != END) {
        if (limit > 0 && input->plain_nbytes == limit) input->state = REST;
        if (limit > 0 && cap > limit - input->plain_nbytes) cap = limit - input->plain_nbytes;
        enum status status = input_fill(input, 1, error);
        if (status == STATUS_OK) status = input_step(input, bytes, cap, n, error);
        input->plain_nbytes += *n;
        input->consumed_nbytes = input->read_nbytes - input->inflater.avail_in;
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

struct input_damage input_damage(const struct input *input) {
    return input->damage;
}

struct input_trailing input_trailing(const struct input *input) {
    return input->trailing;
}

bool input_is_gzip(const struct input *input) {
    return input->inflater_ready;
}

bool input_can_be_reopened(const struct input *input) {
    return !input->may_wait;
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
    if (input->may_wait) return STATUS_OK;
    if (fstat(input->fd, &info) != 0) {
        (void)error_set(error, STATUS_INPUT, "%s: %s", input->name, strerror(errno));
        return fault_of(input->name, error);
    }
    if ((uint64_t)info.st_size == input->total_nbytes && stat_mtime_ns(&info) == input->mtime_ns) {
        return STATUS_OK;
    }
    (void)error_set(error, STATUS_INPUT,
                    "%s: somebody wrote to it while it was read; run this again when it is whole",
                    input->name);
    return fault_of(input->name, error);
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

// SPDX-License-Identifier: Apache-2.0
//
// Rows to bytes: blocks, segments, gzip. The file around them is output_file.c's.
#include "host/stream/output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/stream/input.h"
#include "host/stream/output_segments.h"

// The last two are zlib's own defaults, written out because the bytes of outputs depend on them.
enum { GZIP_LEVEL = 6, GZIP_MEM_LEVEL = 8, RAW_WINDOW_BITS = -15 };

// RFC 1952: no flags, no time, made on Unix.
static const unsigned char gzip_header[] = {0x1f, 0x8b, Z_DEFLATED, 0, 0, 0, 0, 0, 0, 3};

bool output_start_deflater(z_stream *deflater) {
    return deflateInit2(deflater, GZIP_LEVEL, Z_DEFLATED, RAW_WINDOW_BITS, GZIP_MEM_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

enum status output_write_header(struct output *output, struct error *error) {
    return output_write_raw(output, gzip_header, sizeof gzip_header, error);
}

static enum status start_deflater(struct output *output, struct error *error) {
    output->compress = true;
    output->deflater_ready = output_start_deflater(&output->deflater);
    if (output->deflater_ready) return STATUS_OK;
    return error_set(error, STATUS_IO, "%s: out of memory for zlib", output->shown);
}

static enum status create(int fd, const char *shown, struct output **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "an output", error);
    if (status != STATUS_OK) return status;
    struct output *output = memory;
    output->fd = fd;
    output->shown = shown;
    status = sha256_create(&output->hash, error);
    if (status == STATUS_OK) {
        sha256_save(output->hash, &output->begin.hash);
        *out = output;
    } else {
        free(output);
    }
    return status;
}

enum status output_open_fd(int fd, bool compress, struct output **out, struct error *error) {
    enum status status = create(fd, "an open file", out, error);
    if (status == STATUS_OK && compress) status = start_deflater(*out, error);
    if (status == STATUS_OK) return STATUS_OK;
    if (*out != NULL) (*out)->fd = -1;
    output_close(*out);
    *out = NULL;
    return status;
}

enum status output_open(const char *path, struct output **out, struct error *error) {
    struct output *output;
    enum status status = create(STDOUT_FILENO, "stdout", &output, error);
    *out = NULL;
    if (status != STATUS_OK) return status;
    if (strcmp(path, "-") != 0) status = output_open_file(output, path, error);
    if (status == STATUS_OK && name_ends_in_gz(path)) status = start_deflater(output, error);
    if (status != STATUS_OK) {
        output_close(output);
        return status;
    }
    *out = output;
    return STATUS_OK;
}

enum status output_resume(const char *path, const char *temporary, const struct output_point *point,
                          bool (*stop)(void), struct output **out, struct error *error) {
    struct output *output;
    enum status status = output_open(path, &output, error);
    *out = NULL;
    if (status != STATUS_OK) return status;
    const struct output_place *begin = &point->begin;
    status =
        output_copy_prefix(output, temporary, begin->file_nbytes, begin->file_crc, stop, error);
    if (status == STATUS_OK) {
        output->begin = *begin;
        output->nbytes = output->taken = begin->nbytes;
        output->crc = begin->crc;
        sha256_restore(output->hash, &begin->hash);
        status = output_write(output, point->tail, point->tail_nbytes, error);
    }
    if (status != STATUS_OK) {
        output_close(output);
        return status;
    }
    *out = output;
    return STATUS_OK;
}

enum status output_write_raw(struct output *output, const void *bytes, size_t n,
                             struct error *error) {
    const char *at = bytes;
    while (n > 0) {
        ssize_t written = write(output->fd, at, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            // Whoever started us may have made the pipe non-blocking.
            struct pollfd writable = {.fd = output->fd, .events = POLLOUT};
            poll(&writable, 1, -1);
            continue;
        }
        if (written < 0 && errno == EPIPE && output->path == NULL) {
            return error_set(error, STATUS_PIPE, "stdout: whoever read it went away");
        }
        if (written < 0) {
            return output_failed(output, "writing", error);
        }
        output->file_nbytes += (uint64_t)written;
        if (output->path != NULL) {
            output->file_crc =
                (uint32_t)crc32_z(output->file_crc, (const Bytef *)at, (size_t)written);
        }
        at += written;
        n -= (size_t)written;
    }
    return STATUS_OK;
}

// A block of the last segment through zlib.
static enum status deflate_block(struct output *output, char *bytes, size_t n, int flush,
                                 struct error *error) {
    z_stream *deflater = &output->deflater;
    output->crc = (uint32_t)crc32_z(output->crc, (const Bytef *)bytes, n);
    sha256_update(output->hash, bytes, n);
    output->nbytes += n;
    deflater->next_in = (Bytef *)bytes;
    deflater->avail_in = (uInt)n;
    do {
        deflater->next_out = output->packed;
        deflater->avail_out = PACKED_NBYTES;
        // Z_BUF_ERROR: there was nothing to do.
        const int result = deflate(deflater, flush);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
            return error_set(error, STATUS_IO, "%s: zlib failed", output->shown);
        }
        enum status status =
            output_write_raw(output, output->packed, PACKED_NBYTES - deflater->avail_out, error);
        if (status != STATUS_OK) return status;
    } while (deflater->avail_out == 0);
    return STATUS_OK;
}

// CRC and length, as RFC 1952 ends a member.
static enum status write_trailer(struct output *output, struct error *error) {
    unsigned char trailer[8];
    const uint32_t words[] = {output->crc, (uint32_t)output->nbytes};
    for (int i = 0; i < 8; i++) trailer[i] = (unsigned char)(words[i / 4] >> 8 * (i % 4));
    return output_write_raw(output, trailer, sizeof trailer, error);
}

// The last segment, and how a member ends.
static enum status deflate_rest(struct output *output, struct error *error) {
    enum status status = STATUS_OK;
    size_t at = 0;
    if (output->nbytes == 0) status = output_write_header(output, error);
    for (; status == STATUS_OK && output->segment_len - at >= OUTPUT_BLOCK_NBYTES;
         at += OUTPUT_BLOCK_NBYTES) {
        status =
            deflate_block(output, output->segment + at, OUTPUT_BLOCK_NBYTES, Z_NO_FLUSH, error);
    }
    if (status == STATUS_OK) {
        status =
            deflate_block(output, output->segment + at, output->segment_len - at, Z_FINISH, error);
    }
    return status == STATUS_OK ? write_trailer(output, error) : status;
}

void output_begin_segment(struct output *output) {
    output->begin.nbytes = output->nbytes;
    output->begin.file_nbytes = output->file_nbytes;
    output->begin.crc = output->crc;
    output->begin.file_crc = output->file_crc;
    sha256_save(output->hash, &output->begin.hash);
}

// Plain: what the segment holds since the last block.
static enum status write_block(struct output *output, struct error *error) {
    const char *block = output->segment + output->handed;
    const size_t n = output->segment_len - output->handed;
    sha256_update(output->hash, block, n);
    output->nbytes += n;
    output->handed += n;
    return output_write_raw(output, block, n, error);
}

// Small outputs need no threads.
static enum status hand_segment(struct output *output, struct error *error) {
    enum status status = output->segments != NULL
                             ? STATUS_OK
                             : output_segments_create(output, &output->segments, error);
    return status == STATUS_OK ? output_segments_hand(output->segments, error) : status;
}

// The segment holds whole blocks.
static enum status hand_on(struct output *output, struct error *error) {
    const bool is_full = output->segment_len == OUTPUT_SEGMENT_NBYTES;
    enum status status = STATUS_OK;
    if (!output->compress) status = write_block(output, error);
    if (!is_full || status != STATUS_OK) return status;
    if (output->compress) {
        status = hand_segment(output, error);
    } else {
        output_begin_segment(output);
    }
    output->segment_len = output->handed = 0;
    output->taken += OUTPUT_SEGMENT_NBYTES;
    return status;
}

enum status output_write(struct output *output, const char *bytes, size_t n, struct error *error) {
    while (n > 0) {
        const size_t room = OUTPUT_BLOCK_NBYTES - output->segment_len % OUTPUT_BLOCK_NBYTES;
        const size_t part = n < room ? n : room;
        memcpy(output->segment + output->segment_len, bytes, part);
        output->segment_len += part;
        bytes += part;
        n -= part;
        if (output->segment_len % OUTPUT_BLOCK_NBYTES == 0) {
            enum status status = hand_on(output, error);
            if (status != STATUS_OK) return status;
        }
    }
    return STATUS_OK;
}

enum status output_flush(struct output *output, struct error *error) {
    if (output->path != NULL || output->compress || output->segment_len == output->handed) {
        return STATUS_OK;
    }
    return write_block(output, error);
}

enum status output_point(struct output *output, struct output_point *point, struct error *error) {
    enum status status = output_segments_drain(output->segments, error);
    if (status != STATUS_OK) return status;
    point->begin = output->begin;
    point->tail_nbytes = (uint32_t)output->segment_len;
    memcpy(point->tail, output->segment, output->segment_len);
    return STATUS_OK;
}

enum status output_complete(struct output *output, struct error *error) {
    enum status status = output_segments_drain(output->segments, error);
    if (status == STATUS_OK) {
        status = output->compress ? deflate_rest(output, error) : write_block(output, error);
    }
    if (status == STATUS_OK) status = sha256_finish(output->hash, output->sha256, error);
    if (status != STATUS_OK) return status;
    if (output->path != NULL) status = output_sync(output, error);
    if (status != STATUS_OK) return status;
    const int fd = output->fd;
    output->fd = -1;
    if (close(fd) != 0) return output_failed(output, "closing", error);
    output->complete = true;
    return STATUS_OK;
}

uint64_t output_written(const struct output *output) {
    return output->taken + output->segment_len;
}

void output_keep(struct output *output) {
    output->kept = true;
}

void output_close(struct output *output) {
    if (output == NULL) return;
    output_segments_destroy(output->segments);
    if (output->deflater_ready) deflateEnd(&output->deflater);
    if (output->fd >= 0 && output->fd != STDOUT_FILENO) close(output->fd);
    if (!output->kept) output_abandon(output);
    sha256_destroy(output->hash);
    free(output->temporary);
    free(output->path);
    free(output);
}

const char *output_sha256(const struct output *output) {
    return output->sha256;
}

uint64_t output_file_nbytes(const struct output *output) {
    return output->file_nbytes;
}

uint64_t output_nbytes(const struct output *output) {
    return output->nbytes;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/stream/input_point.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/stream/input_state.h"

enum { RAW_WINDOW_BITS = -15, AT_BLOCK_END = 128, IN_LAST_BLOCK = 64, BITS_MASK = 63 };
_Static_assert(INPUT_POINT_SPACING > INPUT_POINT_BEHIND, "two marks are enough");

enum status input_keep_points(struct input *input, struct error *error) {
    void *memory;
    assert(input->state == START);
    enum status status = alloc_zeroed(&memory, 2, sizeof *input->marks, "an input", error);
    if (status == STATUS_OK) input->marks = memory;
    return status;
}

void input_hash(struct input *input, const unsigned char *bytes, size_t n) {
    // Behind input_resume the first bytes were hashed before.
    const uint64_t known = input->hash_at_end.nbytes, at = input->read_nbytes;
    const uint64_t again = known > at ? known - at : 0;
    if (again >= n) return;
    sha256_update(input->hash, bytes + again, n - (size_t)again);
}

// Notes the place behind `n` plain bytes that input->plain_nbytes does not count yet.
static void mark(struct input *input, size_t n) {
    z_stream *inflater = &input->inflater;
    const uint64_t plain_nbytes = input->plain_nbytes + n;
    if (input->n_marks > 0 &&
        plain_nbytes - input->marks[input->newest].plain_nbytes < INPUT_POINT_SPACING) {
        return;
    }
    const int place = input->n_marks > 0 ? 1 - input->newest : 0;
    struct input_point *point = &input->marks[place];
    uInt window_nbytes = INPUT_WINDOW_NBYTES;
    if (inflateGetDictionary(inflater, point->window, &window_nbytes) != Z_OK) return;
    point->place = INPUT_IN_MEMBER;
    point->n_bits = inflater->data_type & BITS_MASK;
    point->plain_nbytes = plain_nbytes;
    point->file_nbytes = input->read_nbytes - inflater->avail_in;
    point->member_crc = input->headless ? input->member_crc : (uint32_t)inflater->adler;
    point->member_nbytes = input->headless ? input->member_nbytes : inflater->total_out;
    point->window_nbytes = window_nbytes;
    input->newest = place;
    if (input->n_marks < 2) input->n_marks++;
}

void input_inflated(struct input *input, const char *bytes, size_t n) {
    if (input->headless) {
        input->member_crc = (uint32_t)crc32_z(input->member_crc, (const Bytef *)bytes, n);
        input->member_nbytes += n;
    }
    const int where = input->inflater.data_type;
    if (input->marks != NULL && (where & AT_BLOCK_END) && !(where & IN_LAST_BLOCK) &&
        (where & BITS_MASK) < 8) {
        mark(input, n);
    }
}

void input_point(const struct input *input, uint64_t plain_nbytes, struct input_point *point) {
    const struct input_point *marked = NULL;
    assert(plain_nbytes <= input->plain_nbytes);
    if (input->n_marks > 0) marked = &input->marks[input->newest];
    if (marked != NULL && marked->plain_nbytes > plain_nbytes) {
        marked = input->n_marks > 1 ? &input->marks[1 - input->newest] : NULL;
    }
    if (marked != NULL && marked->plain_nbytes <= plain_nbytes) {
        *point = *marked;
    } else if (input->state != START && !input->inflater_ready) {
        point->place = INPUT_IN_PLAIN;
        point->plain_nbytes = point->file_nbytes = plain_nbytes;
        point->n_bits = 0;
        point->member_crc = point->window_nbytes = 0;
        point->member_nbytes = 0;
    } else {
        *point = (struct input_point){.place = INPUT_AT_START};
    }
    if (point->place == INPUT_AT_START) return;
    if (input->raw_ended) {
        point->hash = input->hash_at_end;
    } else {
        sha256_save(input->hash, &point->hash);
    }
}

static enum status no_point(const struct input *input, struct error *error) {
    return error_set(error, STATUS_INPUT, "%s: this place is none of it", input->name);
}

static enum status enter_member(struct input *input, const struct input_point *point,
                                struct error *error) {
    z_stream *inflater = &input->inflater;
    unsigned char last = 0;
    if (point->n_bits > 0 && (point->file_nbytes == 0 ||
                              pread(input->fd, &last, 1, (off_t)point->file_nbytes - 1) != 1)) {
        return no_point(input, error);
    }
    if (inflateInit2(inflater, RAW_WINDOW_BITS) != Z_OK) {
        return error_set(error, STATUS_IO, "%s: out of memory for zlib", input->name);
    }
    input->inflater_ready = true;
    if ((point->n_bits > 0 &&
         inflatePrime(inflater, point->n_bits, last >> (8 - point->n_bits)) != Z_OK) ||
        inflateSetDictionary(inflater, point->window, point->window_nbytes) != Z_OK) {
        return no_point(input, error);
    }
    input->headless = true;
    input->member_crc = point->member_crc;
    input->member_nbytes = point->member_nbytes;
    input->state = MEMBER;
    return STATUS_OK;
}

enum status input_resume(struct input *input, const struct input_point *point,
                         struct error *error) {
    assert(input->state == START && input->read_nbytes == 0);
    if (point->place == INPUT_AT_START) return STATUS_OK;
    if (!input_can_be_reopened(input) || point->hash.nbytes < point->file_nbytes ||
        point->hash.nbytes > input->total_nbytes || point->n_bits < 0 || point->n_bits > 7 ||
        point->window_nbytes > INPUT_WINDOW_NBYTES ||
        (point->place == INPUT_IN_PLAIN && point->plain_nbytes != point->file_nbytes)) {
        return no_point(input, error);
    }
    if (lseek(input->fd, (off_t)point->file_nbytes, SEEK_SET) < 0) {
        return error_set(error, STATUS_IO, "%s: going to byte %llu: %s", input->name,
                         (unsigned long long)point->file_nbytes, strerror(errno));
    }
    if (point->place == INPUT_IN_PLAIN) {
        input->state = PLAIN;
    } else {
        enum status status = enter_member(input, point, error);
        if (status != STATUS_OK) return status;
        if (input->marks != NULL) {
            input->marks[0] = *point;
            input->n_marks = 1;
        }
    }
    input->plain_nbytes = point->plain_nbytes;
    input->read_nbytes = point->file_nbytes;
    input->consumed_nbytes = point->file_nbytes;
    input->hash_at_end = point->hash;
    sha256_restore(input->hash, &point->hash);
    return STATUS_OK;
}

uint64_t input_plain_nbytes(const struct input *input) {
    return input->plain_nbytes;
}

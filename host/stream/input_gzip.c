// SPDX-License-Identifier: Apache-2.0
//
// An input's states: what it is, its gzip members, and what stands behind the last one.
#include <string.h>

#include "host/stream/foreign.h"
#include "host/stream/input_state.h"

// Remembers what is wrong; the message is the caller's.
static void note_damage(struct input *input, enum damage kind) {
    input->damage.kind = kind;
    input->damage.compressed_at = input_raw_offset(input);
}

static enum status start(struct input *input, struct error *error) {
    // A pipe may deliver its first bytes one by one. Only while they could be the beginning of
    // something else is there any waiting for more: a filter must answer a short line.
    z_stream *inflater = &input->inflater;
    enum status status = input_fill(input, 1, error);
    for (unsigned n = 2; n <= FOREIGN_NBYTES_MAX && status == STATUS_OK; n++) {
        if (inflater->avail_in + 1 < n) break;
        const bool gzip = n == 2 && *inflater->next_in == 0x1f;
        if (!gzip && !foreign_is_open(inflater->next_in, inflater->avail_in)) break;
        status = input_fill(input, n, error);
    }
    if (status != STATUS_OK) return status;
    const unsigned char *bytes = inflater->next_in;
    const size_t n = inflater->avail_in;
    if (n >= 1 && bytes[0] == 0x1f && (n == 1 || bytes[1] == 0x8b)) {
        if (inflateInit2(inflater, GZIP_WINDOW_BITS) != Z_OK) {
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

static void hand_on_plain(struct input *input, char *bytes, size_t cap, size_t *n) {
    z_stream *inflater = &input->inflater;
    *n = inflater->avail_in < cap ? inflater->avail_in : cap;
    memcpy(bytes, inflater->next_in, *n);
    inflater->next_in += *n;
    inflater->avail_in -= (uInt)*n;
    if (*n == 0) input->state = END;
}

// Tells the place of a fault that names the file and the byte in it.
static enum status fault_at(const struct input *input, uint64_t compressed_byte,
                            struct error *error) {
    return error_at(error, STATUS_INPUT,
                    (struct error_place){.file_nbytes = strlen(input->name),
                                         .has_compressed = true,
                                         .compressed_byte = compressed_byte});
}

static enum status truncated(struct input *input, struct error *error) {
    note_damage(input, DAMAGE_TRUNCATED);
    input->damage.compressed_at += input->inflater.avail_in;
    (void)error_set(error, STATUS_INPUT,
                    "%s: truncated at compressed byte %llu: the file ends inside a gzip member; "
                    "fetch it again",
                    input->name, (unsigned long long)input->damage.compressed_at);
    return fault_at(input, input->damage.compressed_at, error);
}

// Bytes that came before a fault are handed out first: how many records they hold is told.
static enum status inflate_some(struct input *input, char *bytes, size_t cap, size_t *n,
                                struct error *error) {
    z_stream *inflater = &input->inflater;
    if (inflater->avail_in == 0 && input->raw_ended && input->damage.kind == DAMAGE_NONE) {
        return truncated(input, error);
    }
    inflater->next_out = (unsigned char *)bytes;
    inflater->avail_out = (uInt)(cap > READ_NBYTES ? READ_NBYTES : cap);
    const size_t asked = inflater->avail_out;
    int result = inflate(inflater, input->marks != NULL ? Z_BLOCK : Z_NO_FLUSH);
    *n = asked - inflater->avail_out;
    input_inflated(input, bytes, *n);
    if (result == Z_STREAM_END) {
        input->state = input->headless ? TRAILER : BETWEEN;
        if (!input->headless) input->damage.checked_nbytes = input->plain_nbytes + *n;
    } else if (result == Z_MEM_ERROR) {
        return error_set(error, STATUS_IO, "%s: out of memory for zlib", input->name);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        note_damage(input, DAMAGE_CORRUPT);  // zlib says the same again when it is asked again
        if (*n > 0) return STATUS_OK;
        (void)error_set(error, STATUS_INPUT, "%s: damaged gzip data at compressed byte %llu: %s",
                        input->name, input_raw_offset(input),
                        inflater->msg != NULL ? inflater->msg : "a preset dictionary is needed");
        return fault_at(input, input_raw_offset(input), error);
    }
    return STATUS_OK;
}

// Behind the member that this process has not seen the beginning of, zlib does not look at CRC and
// length.
static enum status check_trailer(struct input *input, struct error *error) {
    z_stream *inflater = &input->inflater;
    enum status status = input_fill(input, 8, error);
    if (status != STATUS_OK) return status;
    if (inflater->avail_in < 8) return truncated(input, error);
    uint32_t words[2] = {0, 0};
    for (int i = 0; i < 8; i++) words[i / 4] |= (uint32_t)inflater->next_in[i] << 8 * (i % 4);
    if (words[0] != input->member_crc || words[1] != (uint32_t)input->member_nbytes) {
        note_damage(input, DAMAGE_CORRUPT);
        (void)error_set(
            error, STATUS_INPUT, "%s: damaged gzip data at compressed byte %llu: %s", input->name,
            input_raw_offset(input),
            words[0] != input->member_crc ? "incorrect data check" : "incorrect length check");
        return fault_at(input, input_raw_offset(input), error);
    }
    inflater->next_in += 8;
    inflater->avail_in -= 8;
    input->headless = false;
    input->state = BETWEEN;
    input->damage.checked_nbytes = input->plain_nbytes;
    return STATUS_OK;
}

static void skip_zeros(z_stream *inflater) {
    while (inflater->avail_in > 0 && *inflater->next_in == 0) {
        inflater->next_in++;
        inflater->avail_in--;
    }
}

// Where other bytes are let pass, only both of gzip's first bytes begin a member.
static enum status begins_member(struct input *input, bool *begins, struct error *error) {
    const bool both = input->rules.trailing != TRAILING_ERROR;
    enum status status = both ? input_fill(input, 2, error) : STATUS_OK;
    const z_stream *inflater = &input->inflater;
    *begins = *inflater->next_in == 0x1f &&
              (!both || (inflater->avail_in > 1 && inflater->next_in[1] == 0x8b));
    return status;
}

// After a member: another one, zeros to the end, the end, or something else.
static enum status after_member(struct input *input, struct error *error) {
    z_stream *inflater = &input->inflater;
    if (inflater->avail_in == 0) {
        input->state = END;
        return STATUS_OK;
    }
    if (input->state == BETWEEN) {
        bool begins;
        enum status status = begins_member(input, &begins, error);
        if (status != STATUS_OK) return status;
        if (begins && inflateReset2(inflater, GZIP_WINDOW_BITS) != Z_OK) {
            return error_set(error, STATUS_IO, "%s: zlib cannot start a member", input->name);
        }
        input->state = begins ? MEMBER : PADDING;
        if (begins) return STATUS_OK;
    }
    skip_zeros(inflater);
    if (inflater->avail_in == 0) return STATUS_OK;
    if (input->rules.trailing != TRAILING_ERROR) {
        input->trailing =
            (struct input_trailing){.found = true, .compressed_at = input_raw_offset(input)};
        input->state = REST;
        return STATUS_OK;
    }
    note_damage(input, DAMAGE_TRAILING);
    (void)error_set(error, STATUS_INPUT,
                    "%s: the gzip data is followed by other bytes, from compressed byte %llu on; "
                    "fetch the file again, or let them pass with --trailing warn",
                    input->name, input_raw_offset(input));
    return fault_at(input, input_raw_offset(input), error);
}

enum status input_step(struct input *input, char *bytes, size_t cap, size_t *n,
                       struct error *error) {
    z_stream *inflater = &input->inflater;
    switch (input->state) {
        case START:
            return start(input, error);
        case PLAIN:
            hand_on_plain(input, bytes, cap, n);
            break;
        case MEMBER:
            return inflate_some(input, bytes, cap, n, error);
        case TRAILER:
            return check_trailer(input, error);
        case BETWEEN:
        case PADDING:
            return after_member(input, error);
        case REST:
            if (inflater->avail_in == 0) input->state = END;
            inflater->next_in += inflater->avail_in;
            inflater->avail_in = 0;
            break;
        case END:
            break;
    }
    return STATUS_OK;
}

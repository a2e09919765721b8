// SPDX-License-Identifier: Apache-2.0
#include "host/stream/output_segments.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 6 };

// A place in the ring. Deflate adds less than a thousandth to what it cannot make smaller.
struct place {
    bool is_packed;
    uint32_t crc;  // of the plain bytes
    size_t packed_nbytes;
    enum status status;  // of deflating
    char plain[OUTPUT_SEGMENT_NBYTES];
    unsigned char packed[OUTPUT_SEGMENT_NBYTES + OUTPUT_SEGMENT_NBYTES / 64];
};

struct packer {
    struct output_segments *segments;
    pthread_t thread;
    z_stream deflater;
    bool has_deflater, has_thread;
};

struct output_segments {
    struct output *output;
    struct place *places;  // [PLACES]
    struct packer packers[OUTPUT_PACKERS];
    pthread_mutex_t mutex;  // guards all below, and is_packed
    pthread_cond_t changed;
    bool quit, writes;  // writes: some thread, the segment n_written
    uint64_t n_handed, n_taken, n_written;
    enum status status;  // the first failure: nothing is written behind it
    struct error error;
};

// ---- one segment

// As one thread would feed it, block by block.
static enum status pack(z_stream *deflater, struct place *place) {
    if (deflateReset(deflater) != Z_OK) return STATUS_IO;
    place->crc = (uint32_t)crc32_z(0, (const Bytef *)place->plain, sizeof place->plain);
    deflater->next_out = place->packed;
    deflater->avail_out = sizeof place->packed;
    for (size_t at = 0; at < sizeof place->plain; at += OUTPUT_BLOCK_NBYTES) {
        const bool is_last = at + OUTPUT_BLOCK_NBYTES == sizeof place->plain;
        deflater->next_in = (Bytef *)place->plain + at;
        deflater->avail_in = OUTPUT_BLOCK_NBYTES;
        if (deflate(deflater, is_last ? Z_FULL_FLUSH : Z_NO_FLUSH) != Z_OK ||
            deflater->avail_in > 0 || deflater->avail_out == 0) {
            return STATUS_IO;
        }
    }
    place->packed_nbytes = sizeof place->packed - deflater->avail_out;
    return STATUS_OK;
}

static enum status put(struct output *output, const struct place *place, struct error *error) {
    if (place->status != STATUS_OK) {
        return error_set(error, place->status, "%s: zlib failed", output->shown);
    }
    enum status status = output->nbytes == 0 ? output_write_header(output, error) : STATUS_OK;
    if (status == STATUS_OK) {
        status = output_write_raw(output, place->packed, place->packed_nbytes, error);
    }
    if (status != STATUS_OK) return status;
    sha256_update(output->hash, place->plain, sizeof place->plain);
    output->crc = (uint32_t)crc32_combine(output->crc, place->crc, sizeof place->plain);
    output->nbytes += sizeof place->plain;
    output_begin_segment(output);
    return STATUS_OK;
}

// ---- the threads

// With the mutex: writes what is packed and next, unless another thread does.
static void write_ready(struct output_segments *segments) {
    while (!segments->writes && segments->n_written < segments->n_taken) {
        struct place *place = &segments->places[segments->n_written % PLACES];
        if (!place->is_packed) return;
        segments->writes = true;
        if (segments->status == STATUS_OK && !segments->quit) {
            struct error error;
            pthread_mutex_unlock(&segments->mutex);
            const enum status status = put(segments->output, place, &error);
            pthread_mutex_lock(&segments->mutex);
            segments->status = status;
            if (status != STATUS_OK) segments->error = error;
        }
        place->is_packed = segments->writes = false;
        segments->n_written++;
        pthread_cond_broadcast(&segments->changed);
    }
}

static void *run(void *argument) {
    struct packer *packer = argument;
    struct output_segments *segments = packer->segments;
    pthread_mutex_lock(&segments->mutex);
    while (!segments->quit) {
        if (segments->n_taken == segments->n_handed) {
            pthread_cond_wait(&segments->changed, &segments->mutex);
            continue;
        }
        struct place *place = &segments->places[segments->n_taken++ % PLACES];
        pthread_mutex_unlock(&segments->mutex);
        place->status = pack(&packer->deflater, place);
        pthread_mutex_lock(&segments->mutex);
        place->is_packed = true;
        write_ready(segments);
    }
    pthread_mutex_unlock(&segments->mutex);
    return NULL;
}

static enum status start(struct packer *packer, struct error *error) {
    const char *shown = packer->segments->output->shown;
    packer->has_deflater = output_start_deflater(&packer->deflater);
    if (!packer->has_deflater) {
        return error_set(error, STATUS_IO, "%s: out of memory for zlib", shown);
    }
    const int reason = pthread_create(&packer->thread, NULL, run, packer);
    packer->has_thread = reason == 0;
    if (reason == 0) return STATUS_OK;
    return error_set(error, STATUS_IO, "%s: cannot start a thread: %s", shown, strerror(reason));
}

enum status output_segments_create(struct output *output, struct output_segments **out,
                                   struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "an output", error);
    if (status != STATUS_OK) return status;
    struct output_segments *segments = memory;
    segments->output = output;
    pthread_mutex_init(&segments->mutex, NULL);
    pthread_cond_init(&segments->changed, NULL);
    status = alloc_array(&memory, PLACES, sizeof *segments->places, "an output", error);
    if (status == STATUS_OK) segments->places = memory;
    for (int i = 0; i < PLACES && status == STATUS_OK; i++) segments->places[i].is_packed = false;
    for (int i = 0; i < OUTPUT_PACKERS && status == STATUS_OK; i++) {
        segments->packers[i].segments = segments;
        status = start(&segments->packers[i], error);
    }
    if (status != STATUS_OK) {
        output_segments_destroy(segments);
        return status;
    }
    *out = segments;
    return STATUS_OK;
}

void output_segments_destroy(struct output_segments *segments) {
    if (segments == NULL) return;
    pthread_mutex_lock(&segments->mutex);
    segments->quit = true;
    pthread_cond_broadcast(&segments->changed);
    pthread_mutex_unlock(&segments->mutex);
    for (int i = 0; i < OUTPUT_PACKERS; i++) {
        struct packer *packer = &segments->packers[i];
        if (packer->has_thread) pthread_join(packer->thread, NULL);
        if (packer->has_deflater) deflateEnd(&packer->deflater);
    }
    pthread_cond_destroy(&segments->changed);
    pthread_mutex_destroy(&segments->mutex);
    free(segments->places);
    free(segments);
}

// ---- for the thread that writes the output

// With the mutex; the failure is told each time.
static enum status outcome(const struct output_segments *segments, struct error *error) {
    if (segments->status != STATUS_OK && error != NULL) *error = segments->error;
    return segments->status;
}

enum status output_segments_hand(struct output_segments *segments, struct error *error) {
    pthread_mutex_lock(&segments->mutex);
    while (segments->n_handed - segments->n_written == PLACES) {
        pthread_cond_wait(&segments->changed, &segments->mutex);
    }
    const enum status status = outcome(segments, error);
    pthread_mutex_unlock(&segments->mutex);
    if (status != STATUS_OK) return status;
    struct place *place = &segments->places[segments->n_handed % PLACES];
    memcpy(place->plain, segments->output->segment, sizeof place->plain);
    pthread_mutex_lock(&segments->mutex);
    segments->n_handed++;
    pthread_cond_broadcast(&segments->changed);
    pthread_mutex_unlock(&segments->mutex);
    return STATUS_OK;
}

enum status output_segments_drain(struct output_segments *segments, struct error *error) {
    if (segments == NULL) return STATUS_OK;
    pthread_mutex_lock(&segments->mutex);
    while (segments->n_written < segments->n_handed) {
        pthread_cond_wait(&segments->changed, &segments->mutex);
    }
    const enum status status = outcome(segments, error);
    pthread_mutex_unlock(&segments->mutex);
    return status;
}

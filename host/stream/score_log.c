// SPDX-License-Identifier: Apache-2.0
#include "host/stream/score_log.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct score_log {
    struct output *output;
    int32_t n_labels;
    size_t row_nbytes;
    uint32_t run_rows;
    uint32_t n_in_run;  // rows of the run that is being written
    uint64_t n_rows;
    uint64_t *slots;         // [score_slots(run_rows)], of one table after the other
    struct score_key *keys;  // [run_rows]
    uint64_t *id_keys;       // [run_rows]
    char *row;               // [row_nbytes]
};

static enum status make_arrays(struct score_log *log, struct error *error) {
    const size_t n_slots = score_slots(log->run_rows);
    void *memory;
    enum status status = alloc_zeroed(&memory, n_slots, 8, "kept scores", error);
    if (status != STATUS_OK) return status;
    log->slots = memory;
    status = alloc_zeroed(&memory, log->run_rows, sizeof *log->keys, "kept scores", error);
    if (status != STATUS_OK) return status;
    log->keys = memory;
    status = alloc_zeroed(&memory, log->run_rows, sizeof *log->id_keys, "kept scores", error);
    if (status != STATUS_OK) return status;
    log->id_keys = memory;
    status = alloc_zeroed(&memory, log->row_nbytes, 1, "kept scores", error);
    log->row = memory;
    return status;
}

// ---- the tables of a run

// Made when the run is complete: how many slots there are follows from its rows.
static void fill_titles(const struct score_log *log, uint64_t *slots, size_t n_slots) {
    memset(slots, 0, n_slots * sizeof *slots);
    for (uint32_t i = 0; i < log->n_in_run; i++) {
        const struct score_key *key = &log->keys[i];
        const uint64_t tag = score_tag(key);
        size_t at = score_home(key->words[0], n_slots);
        for (size_t left = score_probes(n_slots); left > 0; left--) {
            // One of this tag is this title, or hides it: then it is computed again.
            if (slots[at] != 0 && (slots[at] ^ tag) < (uint64_t)1 << SCORE_ROW_BITS) break;
            if (slots[at] == 0) {
                slots[at] = tag | (i + 1);
                break;
            }
            if (++at == n_slots) at = 0;
        }
    }
}

static void fill_ids(const struct score_log *log, uint64_t *slots, size_t n_slots) {
    memset(slots, 0, n_slots * sizeof *slots);
    for (uint32_t i = 0; i < log->n_in_run; i++) {
        const uint64_t id = log->id_keys[i];
        size_t at = score_home(id, n_slots);
        for (size_t left = score_probes(n_slots); left > 0 && slots[at] != id; left--) {
            if (slots[at] == 0) {
                slots[at] = id;
                break;
            }
            if (++at == n_slots) at = 0;
        }
    }
}

static enum status end_run(struct score_log *log, struct error *error) {
    const size_t n_slots = score_slots(log->n_in_run), nbytes = n_slots * sizeof *log->slots;
    if (log->n_in_run == 0) return STATUS_OK;
    fill_titles(log, log->slots, n_slots);
    enum status status = output_write(log->output, (const char *)log->slots, nbytes, error);
    if (status != STATUS_OK) return status;
    fill_ids(log, log->slots, n_slots);
    log->n_in_run = 0;
    return output_write(log->output, (const char *)log->slots, nbytes, error);
}

// ---- rows

static void remember(struct score_log *log, const struct score_key *key, uint64_t id) {
    log->keys[log->n_in_run] = *key;
    log->id_keys[log->n_in_run] = id;
    log->n_in_run++;
    log->n_rows++;
}

enum status score_log_add(struct score_log *log, const struct record *record, const float *logits,
                          struct error *error) {
    const size_t crc_at = score_crc_at(log->n_labels);
    char *row = log->row;
    memcpy(row, &record->key, sizeof record->key);
    memcpy(row + sizeof record->key, &record->id_key, sizeof record->id_key);
    memcpy(row + sizeof record->key + sizeof record->id_key, logits,
           (size_t)log->n_labels * sizeof *logits);
    const uint32_t crc = (uint32_t)crc32_z(0, (const Bytef *)row, crc_at);
    memcpy(row + crc_at, &crc, sizeof crc);
    remember(log, &record->key, record->id_key);
    enum status status = output_write(log->output, row, log->row_nbytes, error);
    if (status == STATUS_OK && log->n_in_run == log->run_rows) status = end_run(log, error);
    return status;
}

enum status score_log_finish(struct score_log *log, const struct score_identity *made_by,
                             const char *output_sha256, struct error *error) {
    struct score_footer footer = {
        .magic = SCORE_FOOTER_MAGIC,
        .n_rows = log->n_rows,
        .run_rows = log->run_rows,
        .made_by = *made_by,
    };
    footer.made_by.n_labels = log->n_labels;
    memcpy(footer.output_sha256, output_sha256, sizeof footer.output_sha256);
    footer.crc = score_footer_crc(&footer);
    enum status status = end_run(log, error);
    if (status != STATUS_OK) return status;
    return output_write(log->output, (const char *)&footer, sizeof footer, error);
}

// ---- going on

// Takes the keys of the unfinished run from the file again.
static enum status read_run(struct score_log *log, uint64_t from, uint32_t n, struct error *error) {
    enum { PIECE_NBYTES = 1 << 20 };
    const size_t row_nbytes = log->row_nbytes;
    const uint32_t most = PIECE_NBYTES / row_nbytes > 0 ? (uint32_t)(PIECE_NBYTES / row_nbytes) : 1;
    void *piece;
    enum status status = alloc_array(&piece, most, row_nbytes, "kept scores", error);
    for (uint32_t i = 0; i < n && status == STATUS_OK;) {
        const uint32_t rows = n - i < most ? n - i : most;
        status = output_read_back(log->output, from + i * (uint64_t)row_nbytes, piece,
                                  rows * row_nbytes, error);
        for (uint32_t k = 0; k < rows && status == STATUS_OK; k++) {
            struct score_key key;
            uint64_t id;
            memcpy(&key, (const char *)piece + k * row_nbytes, sizeof key);
            memcpy(&id, (const char *)piece + k * row_nbytes + sizeof key, sizeof id);
            remember(log, &key, id);
        }
        i += rows;
    }
    free(piece);
    return status;
}

static enum status begin(struct score_log *log, struct error *error) {
    char header[SCORE_HEADER_NBYTES] = SCORE_HEADER_MAGIC;
    const uint64_t held = output_written(log->output);
    if (held == 0) return output_write(log->output, header, sizeof header, error);
    const uint64_t run_nbytes = score_run_nbytes(log->n_labels, log->run_rows);
    const uint64_t rest = held < sizeof header ? 0 : (held - sizeof header) % run_nbytes;
    if (held < sizeof header || rest % log->row_nbytes != 0 ||
        rest / log->row_nbytes >= log->run_rows) {
        return error_set(error, STATUS_INPUT, "its kept scores do not end with a row");
    }
    log->n_rows = (held - sizeof header) / run_nbytes * log->run_rows;
    return read_run(log, held - rest, (uint32_t)(rest / log->row_nbytes), error);
}

enum status score_log_create(struct output *output, int32_t n_labels, uint32_t run_rows,
                             struct score_log **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "kept scores", error);
    if (status != STATUS_OK) return status;
    struct score_log *log = memory;
    log->output = output;
    log->n_labels = n_labels;
    log->run_rows = run_rows;
    log->row_nbytes = score_row_nbytes(n_labels);
    status = make_arrays(log, error);
    if (status == STATUS_OK) status = begin(log, error);
    if (status != STATUS_OK) {
        score_log_destroy(log);
        return status;
    }
    *out = log;
    return STATUS_OK;
}

void score_log_destroy(struct score_log *log) {
    if (log == NULL) return;
    free(log->slots);
    free(log->keys);
    free(log->id_keys);
    free(log->row);
    free(log);
}

struct output *score_log_output(const struct score_log *log) {
    return log->output;
}

uint64_t score_log_rows(const struct score_log *log) {
    return log->n_rows;
}

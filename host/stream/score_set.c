// SPDX-License-Identifier: Apache-2.0
#include "host/stream/score_set.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

// Parts of a map.
struct run {
    const char *rows;
    const uint64_t *titles, *ids;  // [n_slots]
    size_t n_rows, n_slots;
};

struct score_set {
    struct score_identity wanted;
    size_t row_nbytes, crc_at;
    struct file_map *maps;  // [n_maps]
    size_t n_maps, maps_cap;
    struct run *runs;  // [n_runs]
    size_t n_runs, runs_cap;
    uint64_t n_rows;
    _Atomic uint64_t n_damaged;
};

enum status score_set_create(const struct score_identity *wanted, struct score_set **out,
                             struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "previous scores", error);
    if (status != STATUS_OK) return status;
    *out = memory;
    (*out)->wanted = *wanted;
    (*out)->row_nbytes = score_row_nbytes(wanted->n_labels);
    (*out)->crc_at = score_crc_at(wanted->n_labels);
    return STATUS_OK;
}

void score_set_destroy(struct score_set *set) {
    if (set == NULL) return;
    for (size_t i = 0; i < set->n_maps; i++) file_map_close(&set->maps[i]);
    free(set->maps);
    free(set->runs);
    free(set);
}

// ---- files

// A name goes into messages: what is none could be a terminal's orders.
static bool is_name(const char name[16]) {
    const size_t len = strnlen(name, 16);
    return len < 16 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") == len;
}

// NULL, or what is wrong with a file's beginning, end and size. `footer` is filled in then.
static const char *check_shape(const struct file_map *map, struct score_footer *footer) {
    if (map->nbytes < SCORE_HEADER_NBYTES + sizeof *footer ||
        memcmp(map->bytes, SCORE_HEADER_MAGIC, sizeof SCORE_HEADER_MAGIC) != 0) {
        return "they are damaged, or of another version of wader: no beginning of kept scores";
    }
    memcpy(footer, map->bytes + map->nbytes - sizeof *footer, sizeof *footer);
    const struct score_identity *made_by = &footer->made_by;
    if (memcmp(footer->magic, SCORE_FOOTER_MAGIC, sizeof footer->magic) != 0 ||
        score_footer_crc(footer) != footer->crc) {
        return "they are damaged, or cut: no end of kept scores";
    }
    if (!is_name(made_by->precision) || !is_name(made_by->device) || footer->run_rows == 0 ||
        footer->run_rows > SCORE_RUN_ROWS_MAX || made_by->n_labels < 1 ||
        made_by->n_labels > SCORE_LABELS_MAX || footer->n_rows > map->nbytes ||
        score_nbytes(made_by->n_labels, footer->n_rows, footer->run_rows) != map->nbytes) {
        return "they are damaged: another size than their end tells";
    }
    return NULL;
}

// NULL, or why scores of `made` are not those that would be computed now.
static const char *compare(const struct score_identity *made, const struct score_identity *wanted,
                           char text[160]) {
    if (memcmp(made->model, wanted->model, sizeof made->model) != 0 ||
        made->n_labels != wanted->n_labels) {
        return "they are of another model";
    }
    if (memcmp(made->tokenizer, wanted->tokenizer, sizeof made->tokenizer) != 0) {
        return "they are of another tokenizer";
    }
    if (memcmp(made->device, wanted->device, sizeof made->device) != 0 ||
        memcmp(made->precision, wanted->precision, sizeof made->precision) != 0) {
        snprintf(text, 160,
                 "they were computed in %.15s on %.15s, and this run computes in %s on %s",
                 made->precision, made->device, wanted->precision, wanted->device);
        return text;
    }
    if (made->max_length != wanted->max_length) {
        snprintf(text, 160, "they are of --max-length %d, and this run has %d",
                 (int)made->max_length, (int)wanted->max_length);
        return text;
    }
    if (memcmp(made->program, wanted->program, sizeof made->program) != 0) {
        return "they were computed by another version of wader or of its libraries, or on another "
               "kind of processor or device, which may give other last digits";
    }
    return NULL;
}

// Makes room for one more.
static enum status grow(void **array, size_t n, size_t *cap, size_t size, struct error *error) {
    if (n < *cap) return STATUS_OK;
    const size_t wanted = *cap > 0 ? 2 * *cap : 16;
    void *more = realloc(*array, wanted * size);
    if (more == NULL) return error_set(error, STATUS_IO, "out of memory for previous scores");
    *array = more;
    *cap = wanted;
    return STATUS_OK;
}

static enum status add_runs(struct score_set *set, const char *at, uint64_t n_rows,
                            uint64_t run_rows, struct error *error) {
    for (uint64_t left = n_rows; left > 0;) {
        void *memory = set->runs;
        enum status status = grow(&memory, set->n_runs, &set->runs_cap, sizeof *set->runs, error);
        set->runs = memory;
        if (status != STATUS_OK) return status;
        const size_t n = (size_t)(left < run_rows ? left : run_rows);
        const size_t n_slots = score_slots(n);
        const char *titles = at + n * set->row_nbytes;
        set->runs[set->n_runs++] =
            (struct run){.rows = at,
                         .titles = (const uint64_t *)(const void *)titles,
                         .ids = (const uint64_t *)(const void *)titles + n_slots,
                         .n_rows = n,
                         .n_slots = n_slots};
        at = titles + 2 * n_slots * sizeof(uint64_t);
        left -= n;
    }
    return STATUS_OK;
}

// STATUS_ROWS where it is missing or no regular file.
static enum status open_map(const char *path, struct file_map *map, struct error *error) {
    struct error reason;
    struct stat info;
    if (stat(path, &info) != 0) {
        if (errno != ENOENT) return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
        return error_set(error, STATUS_ROWS, "its scores were not kept (%s is not there)",
                         path_base(path));
    }
    if (!S_ISREG(info.st_mode)) {
        return error_set(error, STATUS_ROWS, "its scores (%s) are no regular file",
                         path_base(path));
    }
    if (file_map_open(path, map, &reason) == STATUS_OK) return STATUS_OK;
    return error_set(error, STATUS_IO, "%s", reason.text);
}

static const char *check_rows(const struct score_footer *footer, const char *output_sha256) {
    return memcmp(footer->output_sha256, output_sha256, SHA256_HEX_LEN) == 0
               ? NULL
               : "they were kept for other rows than stand there";
}

enum status score_file_check(const char *path, const char *output_sha256, struct error *error) {
    struct score_footer footer;
    struct file_map map;
    if (access(path, F_OK) != 0 && errno == ENOENT) return STATUS_OK;
    enum status status = open_map(path, &map, error);
    if (status != STATUS_OK) return status;
    const char *fault = check_shape(&map, &footer);
    if (fault == NULL) fault = check_rows(&footer, output_sha256);
    file_map_close(&map);
    return fault == NULL ? STATUS_OK : error_set(error, STATUS_ROWS, "its scores: %s", fault);
}

enum status score_set_add(struct score_set *set, const char *path, const char *output_sha256,
                          struct error *error) {
    struct score_footer footer;
    struct file_map map;
    char text[160];
    enum status status = open_map(path, &map, error);
    if (status != STATUS_OK) return status;
    const char *fault = check_shape(&map, &footer);
    if (fault == NULL) fault = compare(&footer.made_by, &set->wanted, text);
    if (fault == NULL) fault = check_rows(&footer, output_sha256);
    void *memory = set->maps;
    if (fault != NULL) status = error_set(error, STATUS_ROWS, "its scores: %s", fault);
    if (status == STATUS_OK) {
        status = grow(&memory, set->n_maps, &set->maps_cap, sizeof *set->maps, error);
        set->maps = memory;
    }
    if (status == STATUS_OK) {
        status =
            add_runs(set, map.bytes + SCORE_HEADER_NBYTES, footer.n_rows, footer.run_rows, error);
    }
    if (status != STATUS_OK) {
        file_map_close(&map);
        return status;
    }
    set->maps[set->n_maps++] = map;
    set->n_rows += footer.n_rows;
    return STATUS_OK;
}

// ---- looking up

// The row of this key in the run, or NULL.
static const char *find_row(const struct score_set *set, const struct run *run,
                            const struct score_key *key) {
    const uint64_t tag = score_tag(key), row_mask = ((uint64_t)1 << SCORE_ROW_BITS) - 1;
    size_t at = score_home(key->words[0], run->n_slots);
    for (size_t left = score_probes(run->n_slots); left > 0 && run->titles[at] != 0; left--) {
        const uint64_t slot = run->titles[at];
        if ((slot & ~row_mask) == tag) {
            const uint64_t row = (slot & row_mask) - 1;
            if (row >= run->n_rows) return NULL;  // damaged
            const char *found = run->rows + row * set->row_nbytes;
            return memcmp(found, key, sizeof *key) == 0 ? found : NULL;
        }
        if (++at == run->n_slots) at = 0;
    }
    return NULL;
}

const float *score_set_find(struct score_set *set, const struct score_key *key, uint64_t id,
                            size_t *hint, bool *same_id) {
    *same_id = false;
    for (size_t i = 0, at = *hint; i < set->n_runs; i++) {
        const char *row = find_row(set, &set->runs[at], key);
        if (row != NULL) {
            uint64_t row_id;
            uint32_t crc;
            memcpy(&crc, row + set->crc_at, sizeof crc);
            if ((uint32_t)crc32_z(0, (const Bytef *)row, set->crc_at) == crc) {
                memcpy(&row_id, row + sizeof *key, sizeof row_id);
                *same_id = row_id == id;
                *hint = at;
                return (const float *)(const void *)(row + sizeof *key + sizeof row_id);
            }
            atomic_fetch_add(&set->n_damaged, 1);
        }
        if (++at == set->n_runs) at = 0;
    }
    return NULL;
}

static bool run_has_id(const struct run *run, uint64_t id) {
    size_t at = score_home(id, run->n_slots);
    for (size_t left = score_probes(run->n_slots); left > 0 && run->ids[at] != 0; left--) {
        if (run->ids[at] == id) return true;
        if (++at == run->n_slots) at = 0;
    }
    return false;
}

bool score_set_has_id(const struct score_set *set, uint64_t id, size_t *hint) {
    for (size_t i = 0, at = *hint; i < set->n_runs; i++) {
        if (run_has_id(&set->runs[at], id)) {
            *hint = at;
            return true;
        }
        if (++at == set->n_runs) at = 0;
    }
    return false;
}

uint64_t score_set_rows(const struct score_set *set) {
    return set->n_rows;
}

uint64_t score_set_damaged(const struct score_set *set) {
    return set->n_damaged;
}

// SPDX-License-Identifier: Apache-2.0
#include "host/stream/shared_titles.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 4 };  // places that a title may have; the oldest of them makes room

struct set {
    struct score_key keys[WAYS];
    uint32_t n_used;
    uint32_t next;  // to make room, once all are used
};

struct shared_titles {
    size_t n_sets;  // a power of two
    size_t n_labels;
    struct set *sets;
    float *logits;  // [n_sets * WAYS * n_labels]
};

enum status shared_titles_create(int32_t n_labels, size_t nbytes, struct shared_titles **out,
                                 struct error *error) {
    void *memory;
    const size_t set_nbytes = sizeof(struct set) + WAYS * (size_t)n_labels * sizeof(float);
    size_t n_sets = 1;
    while (2 * n_sets * set_nbytes <= nbytes) n_sets *= 2;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "shared titles", error);
    if (status != STATUS_OK) return status;
    struct shared_titles *shared = memory;
    shared->n_sets = n_sets;
    shared->n_labels = (size_t)n_labels;
    status = alloc_zeroed(&memory, n_sets, sizeof *shared->sets, "shared titles", error);
    if (status == STATUS_OK) {
        shared->sets = memory;
        status = alloc_array(&memory, n_sets * WAYS, shared->n_labels * sizeof(float),
                             "logits of shared titles", error);
    }
    if (status != STATUS_OK) {
        shared_titles_destroy(shared);
        return status;
    }
    shared->logits = memory;
    *out = shared;
    return STATUS_OK;
}

void shared_titles_destroy(struct shared_titles *shared) {
    if (shared == NULL) return;
    free(shared->sets);
    free(shared->logits);
    free(shared);
}

uint32_t shared_titles_place(struct shared_titles *shared, const struct score_key *key,
                             bool *is_there) {
    const size_t at = (size_t)key->words[0] & (shared->n_sets - 1);
    struct set *set = &shared->sets[at];
    uint32_t way = 0;
    while (way < set->n_used && memcmp(&set->keys[way], key, sizeof *key) != 0) way++;
    *is_there = way < set->n_used;
    if (!*is_there && way < WAYS) {
        set->n_used++;
    } else if (!*is_there) {
        way = set->next;
        set->next = (way + 1) % WAYS;
    }
    set->keys[way] = *key;
    return (uint32_t)(at * WAYS + way) + 1;
}

float *shared_titles_logits(struct shared_titles *shared, uint32_t place) {
    return shared->logits + (size_t)(place - 1) * shared->n_labels;
}

void shared_titles_forget(struct shared_titles *shared) {
    memset(shared->sets, 0, shared->n_sets * sizeof *shared->sets);
}

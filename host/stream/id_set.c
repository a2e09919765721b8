// SPDX-License-Identifier: Apache-2.0
#include "host/stream/id_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PLACES_FIRST = 4096 };

struct id_set {
    uint64_t *places;  // [n_places], a power of two; 0 is a free one
    size_t n_places;
    size_t n_kept, most;
    uint64_t n_duplicates;
    bool left_out;  // one that was not kept
    uint64_t keys[2];
};

enum status id_set_create(size_t most, struct id_set **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a set of ids", error);
    if (status != STATUS_OK) return status;
    struct id_set *set = memory;
    status = alloc_zeroed(&memory, PLACES_FIRST, sizeof *set->places, "fingerprints of ids", error);
    if (status != STATUS_OK) {
        free(set);
        return status;
    }
    set->places = memory;
    set->n_places = PLACES_FIRST;
    set->most = most;
    *out = set;
    // Ids that were made to share a place would make the search slow: nobody knows the places.
    if (getrandom(set->keys, sizeof set->keys, 0) == (ssize_t)sizeof set->keys) return STATUS_OK;
    id_set_destroy(set);
    *out = NULL;
    return error_set(error, STATUS_IO, "the system gives no random numbers");
}

void id_set_destroy(struct id_set *set) {
    if (set == NULL) return;
    free(set->places);
    free(set);
}

__extension__ typedef unsigned __int128 wide;

// Both halves of a product of 128 bits, together: each bit of `a` and `b` reaches every bit of it.
static uint64_t fold(uint64_t a, uint64_t b) {
    const wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Never 0, which stands for a free place.
static uint64_t fingerprint(const struct id_set *set, struct span id) {
    const uint64_t first_key = set->keys[0] | 1, second_key = set->keys[1] | 1;
    uint64_t hash = fold(id.len ^ first_key, second_key);
    for (size_t at = 0; at < id.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, id.ptr + at, id.len - at < 8 ? id.len - at : 8);
        hash = fold(hash ^ word, first_key) + second_key;
    }
    hash = fold(hash, second_key);
    return hash != 0 ? hash : 1;
}

static uint64_t *place_of(uint64_t *places, size_t n_places, uint64_t key) {
    size_t i = (size_t)key & (n_places - 1);
    while (places[i] != 0 && places[i] != key) i = (i + 1) & (n_places - 1);
    return &places[i];
}

// Twice the places, at most seven eighths of them ever taken.
static enum status grow(struct id_set *set, struct error *error) {
    void *memory;
    const size_t n_places = 2 * set->n_places;
    enum status status =
        alloc_zeroed(&memory, n_places, sizeof *set->places, "fingerprints of ids", error);
    if (status != STATUS_OK) return status;
    uint64_t *places = memory;
    for (size_t i = 0; i < set->n_places; i++) {
        if (set->places[i] != 0) *place_of(places, n_places, set->places[i]) = set->places[i];
    }
    free(set->places);
    set->places = places;
    set->n_places = n_places;
    return STATUS_OK;
}

enum status id_set_add(struct id_set *set, struct span id, struct error *error) {
    const uint64_t key = fingerprint(set, id);
    uint64_t *place = place_of(set->places, set->n_places, key);
    if (*place == key) {
        set->n_duplicates++;
        return STATUS_OK;
    }
    if (set->n_kept == set->most) {
        set->left_out = true;
        return STATUS_OK;
    }
    *place = key;
    set->n_kept++;
    return set->n_kept < set->most && set->n_kept >= set->n_places / 8 * 7 ? grow(set, error)
                                                                           : STATUS_OK;
}

uint64_t id_set_duplicates(const struct id_set *set) {
    return set->n_duplicates;
}

bool id_set_is_exact(const struct id_set *set) {
    return !set->left_out;
}

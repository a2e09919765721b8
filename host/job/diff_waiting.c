// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_waiting.h"

#include <stdlib.h>

#include "host/job/diff_row.h"

// A hash table with linear probing. The upper 24 bits of `rest` belong to the fingerprint, the
// lower 40 are a row, or the number of a queue's head and QUEUE in the lowest four. All 0: empty.
struct waiting_slot {
    uint64_t low, rest;
};

// A queued row and the one behind it; or a queue's head: its first and its last row.
struct waiting_link {
    uint64_t value, next;
};

// Of a row: label, 16 bits; score, 20; status + 1, 4. So a row is never 0.
enum { ROW_BITS = 40, STATUS_BITS = 4, SCORE_BITS = 20, QUEUE = 15, FIRST_CAP = 1 << 10 };
_Static_assert((int)RECORD_STATUS_COUNT < (int)QUEUE,
               "a status and the mark of a queue fit four bits");
_Static_assert((int)SCORE_MAX + 1 < 1 << SCORE_BITS, "a score and its absence fit 20 bits");

static const uint64_t row_mask = ((uint64_t)1 << ROW_BITS) - 1;

static uint64_t pack(const struct diff_seen *seen) {
    return (uint64_t)seen->label << (SCORE_BITS + STATUS_BITS) |
           (uint64_t)(seen->score - SCORE_NONE) << STATUS_BITS | (seen->status + 1);
}

static struct diff_seen unpack(uint64_t row) {
    return (struct diff_seen){
        .label = (uint16_t)(row >> (SCORE_BITS + STATUS_BITS)),
        .score = (int32_t)(row >> STATUS_BITS & ((1 << SCORE_BITS) - 1)) + SCORE_NONE,
        .status = (unsigned)(row & ((1 << STATUS_BITS) - 1)) - 1,
    };
}

static bool is_queue(const struct waiting_slot *slot) {
    return (slot->rest & ((1 << STATUS_BITS) - 1)) == QUEUE;
}

static size_t head_of(const struct waiting_slot *slot) {
    return (size_t)((slot->rest & row_mask) >> STATUS_BITS);
}

// ---- slots

// Where the id is, or the empty slot where it would be.
static size_t find(const struct diff_waiting *waiting, uint64_t low, uint64_t rest) {
    const size_t mask = waiting->cap - 1;
    size_t i = (size_t)low & mask;
    while (waiting->slots[i].rest != 0) {
        if (waiting->slots[i].low == low && (waiting->slots[i].rest & ~row_mask) == rest) break;
        i = (i + 1) & mask;
    }
    return i;
}

static enum status grow(struct diff_waiting *waiting, struct error *error) {
    struct diff_waiting larger = *waiting;
    void *memory;
    larger.cap = waiting->cap > 0 ? 2 * waiting->cap : FIRST_CAP;
    enum status status = alloc_zeroed(&memory, larger.cap, sizeof *larger.slots,
                                      "ids that wait for their other half", error);
    if (status != STATUS_OK) return status;
    larger.slots = memory;
    for (size_t i = 0; i < waiting->cap; i++) {
        const struct waiting_slot slot = waiting->slots[i];
        if (slot.rest == 0) continue;
        larger.slots[find(&larger, slot.low, slot.rest & ~row_mask)] = slot;
    }
    free(waiting->slots);
    *waiting = larger;
    return STATUS_OK;
}

// Empties slot i and moves what stands behind it to where a search will find it.
static void empty(struct diff_waiting *waiting, size_t i) {
    const size_t mask = waiting->cap - 1;
    for (size_t j = (i + 1) & mask; waiting->slots[j].rest != 0; j = (j + 1) & mask) {
        const size_t home = (size_t)waiting->slots[j].low & mask;
        if (((j - home) & mask) < ((j - i) & mask)) continue;
        waiting->slots[i] = waiting->slots[j];
        i = j;
    }
    waiting->slots[i] = (struct waiting_slot){0};
    waiting->n_slots--;
}

// ---- queues

// The number of a link, from 1; 0 when memory is short.
static uint64_t new_link(struct diff_waiting *waiting) {
    const uint64_t unused = waiting->free_link;
    if (unused != 0) {
        waiting->free_link = waiting->links[unused].next;
        return unused;
    }
    if (waiting->n_links + 1 >= waiting->links_cap) {
        const size_t cap = waiting->links_cap > 0 ? 2 * waiting->links_cap : FIRST_CAP;
        struct waiting_link *links = realloc(waiting->links, cap * sizeof *links);
        if (links == NULL) return 0;
        waiting->links = links;
        waiting->links_cap = cap;
    }
    return ++waiting->n_links;
}

static void free_link(struct diff_waiting *waiting, uint64_t link) {
    waiting->links[link].next = waiting->free_link;
    waiting->free_link = link;
}

static enum status enqueue(struct diff_waiting *waiting, struct waiting_slot *slot, uint64_t row,
                           struct error *error) {
    uint64_t head = 0, first = 0;
    const bool is_first = !is_queue(slot);
    if (is_first) {
        head = new_link(waiting);
        first = head != 0 ? new_link(waiting) : 0;
    }
    const uint64_t last = !is_first || first != 0 ? new_link(waiting) : 0;
    if (last == 0) {
        if (first != 0) free_link(waiting, first);
        if (head != 0) free_link(waiting, head);
        return error_set(error, STATUS_IO, "out of memory for rows of one id");
    }
    struct waiting_link *links = waiting->links;
    if (is_first) {
        links[first] = (struct waiting_link){.value = slot->rest & row_mask, .next = last};
        links[head] = (struct waiting_link){.value = first, .next = last};
        slot->rest = (slot->rest & ~row_mask) | head << STATUS_BITS | QUEUE;
    } else {
        head = head_of(slot);
        links[links[head].next].next = last;
        links[head].next = last;
    }
    links[last] = (struct waiting_link){.value = row, .next = 0};
    return STATUS_OK;
}

// The first row of a queue; *empty is set where it was the last one.
static uint64_t dequeue(struct diff_waiting *waiting, const struct waiting_slot *slot,
                        bool *is_empty) {
    const size_t head = head_of(slot);
    const uint64_t first = waiting->links[head].value, next = waiting->links[first].next;
    const uint64_t row = waiting->links[first].value;
    waiting->links[head].value = next;
    free_link(waiting, first);
    *is_empty = next == 0;
    if (*is_empty) free_link(waiting, head);
    return row;
}

// ---- rows

enum status diff_waiting_put(struct diff_waiting *waiting, const struct fingerprint *id,
                             const struct diff_seen *seen, struct error *error) {
    const uint64_t rest = id->high & ~row_mask, row = pack(seen);
    enum status status = STATUS_OK;
    if (waiting->n_slots + 1 > waiting->cap - waiting->cap / 4) status = grow(waiting, error);
    if (status != STATUS_OK) return status;
    struct waiting_slot *slot = &waiting->slots[find(waiting, id->low, rest)];
    if (slot->rest == 0) {
        *slot = (struct waiting_slot){id->low, rest | row};
        waiting->n_slots++;
    } else {
        status = enqueue(waiting, slot, row, error);
    }
    if (status == STATUS_OK) waiting->n_rows++;
    return status;
}

bool diff_waiting_take(struct diff_waiting *waiting, const struct fingerprint *id,
                       struct diff_seen *seen) {
    if (waiting->n_rows == 0) return false;
    const size_t i = find(waiting, id->low, id->high & ~row_mask);
    struct waiting_slot *slot = &waiting->slots[i];
    if (slot->rest == 0) return false;
    bool is_empty = true;
    const uint64_t row = is_queue(slot) ? dequeue(waiting, slot, &is_empty) : slot->rest & row_mask;
    if (is_empty) empty(waiting, i);
    *seen = unpack(row);
    waiting->n_rows--;
    return true;
}

void diff_waiting_free(struct diff_waiting *waiting) {
    free(waiting->slots);
    free(waiting->links);
    *waiting = (struct diff_waiting){0};
}

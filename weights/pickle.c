// SPDX-License-Identifier: Apache-2.0
#include "weights/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "weights/pickle_machine.h"

enum status pickle_broken(const struct pickle_machine *machine, const char *what) {
    return error_set(machine->error, STATUS_MODEL,
                     "%s: byte %zu of its pickle: %s: the file is damaged, or torch did not "
                     "write it",
                     machine->path, machine->opcode_at, what);
}

enum status pickle_take(struct pickle_machine *machine, size_t n, struct span *out) {
    if (n <= machine->in.len - machine->at) {
        *out = (struct span){machine->in.ptr + machine->at, n};
        machine->at += n;
        return STATUS_OK;
    }
    if (machine->cut) {
        return error_set(machine->error, STATUS_MODEL,
                         "%s: its pickle is longer than %d MiB, which no model's is: the file is "
                         "damaged, or holds more than weights",
                         machine->path, PICKLE_NBYTES_MAX >> 20);
    }
    return pickle_broken(machine, "it ends in the middle");
}

enum status pickle_take_uint(struct pickle_machine *machine, size_t nbytes, uint64_t *out) {
    struct span bytes = {0};
    enum status status = pickle_take(machine, nbytes, &bytes);
    *out = 0;
    for (size_t i = 0; status == STATUS_OK && i < nbytes; i++) {
        *out |= (uint64_t)(unsigned char)bytes.ptr[i] << 8 * i;
    }
    return status;
}

enum status pickle_take_line(struct pickle_machine *machine, struct span *out) {
    const char *begin = machine->in.ptr + machine->at;
    const char *end = memchr(begin, '\n', machine->in.len - machine->at);
    // Without an end, one byte more than there are: the message is that of pickle_take.
    size_t n = end != NULL ? (size_t)(end - begin) + 1 : machine->in.len - machine->at + 1;
    enum status status = pickle_take(machine, n, out);
    if (status == STATUS_OK) out->len--;
    return status;
}

// Makes room for element `n` of an array of `*cap`.
static enum status grow(struct pickle_machine *machine, void *array, size_t n, size_t *cap,
                        size_t size) {
    if (n < *cap) return STATUS_OK;
    size_t more = *cap < 32 ? 64 : *cap * 2;
    if (more <= n) more = n + 1;
    void *old;
    memcpy(&old, array, sizeof old);
    void *memory = realloc(old, more * size);
    if (memory == NULL) {
        return error_set(machine->error, STATUS_IO, "%s: out of memory for its pickle",
                         machine->path);
    }
    memcpy(array, &memory, sizeof memory);
    *cap = more;
    return STATUS_OK;
}

enum status pickle_push(struct pickle_machine *machine, pickle_ref ref) {
    enum status status = grow(machine, &machine->stack, machine->n_stack, &machine->stack_cap,
                              sizeof *machine->stack);
    if (status == STATUS_OK) machine->stack[machine->n_stack++] = ref;
    return status;
}

static enum status check_count(const struct pickle_machine *machine, size_t n) {
    if (n < PICKLE_VALUES_MAX) return STATUS_OK;
    return error_set(machine->error, STATUS_MODEL,
                     "%s: its pickle describes more than %d values, which no model's does: the "
                     "file is damaged, or holds more than weights",
                     machine->path, PICKLE_VALUES_MAX);
}

enum status pickle_new(struct pickle_machine *machine, struct pickle_node node, pickle_ref *ref) {
    struct pickle *out = machine->out;
    enum status status = check_count(machine, out->n_nodes);
    if (status == STATUS_OK) {
        status = grow(machine, &out->nodes, out->n_nodes, &out->nodes_cap, sizeof *out->nodes);
    }
    if (status != STATUS_OK) return status;
    *ref = (pickle_ref)out->n_nodes++;
    out->nodes[*ref] = node;
    return STATUS_OK;
}

enum status pickle_push_node(struct pickle_machine *machine, struct pickle_node node) {
    pickle_ref ref = 0;
    enum status status = pickle_new(machine, node, &ref);
    return status == STATUS_OK ? pickle_push(machine, ref) : status;
}

enum status pickle_top(const struct pickle_machine *machine, pickle_ref *out) {
    if (machine->n_stack == 0 || machine->stack[machine->n_stack - 1] == PICKLE_NOTHING) {
        return pickle_broken(machine, "a value is missing on the stack");
    }
    *out = machine->stack[machine->n_stack - 1];
    return STATUS_OK;
}

enum status pickle_pop(struct pickle_machine *machine, pickle_ref *out) {
    enum status status = pickle_top(machine, out);
    if (status == STATUS_OK) machine->n_stack--;
    return status;
}

enum status pickle_pop_mark(struct pickle_machine *machine, size_t *first, size_t *n) {
    size_t end = machine->n_stack;
    for (size_t at = end; at > 0; at--) {
        if (machine->stack[at - 1] != PICKLE_NOTHING) continue;
        *first = at;
        *n = end - at;
        machine->n_stack = at - 1;
        return STATUS_OK;
    }
    return pickle_broken(machine, "a mark is missing on the stack");
}

// Whoever writes a memo counts up from 0 or 1 and spends bytes on each, so that no good index is
// larger than its place in the pickle: a rule that bounds the memory too.
enum status pickle_put(struct pickle_machine *machine, uint64_t index) {
    pickle_ref top = 0;
    enum status status = pickle_top(machine, &top);
    if (status != STATUS_OK) return status;
    if (index > machine->at) return pickle_broken(machine, "an index into the memo is too large");
    size_t cap = machine->memo_cap;
    status =
        grow(machine, &machine->memo, (size_t)index, &machine->memo_cap, sizeof *machine->memo);
    if (status != STATUS_OK) return status;
    for (; cap < machine->memo_cap; cap++) machine->memo[cap] = PICKLE_NOTHING;
    if (machine->memo[index] == PICKLE_NOTHING) machine->n_memo++;
    machine->memo[index] = top;
    return STATUS_OK;
}

enum status pickle_get(struct pickle_machine *machine, uint64_t index) {
    if (index >= machine->memo_cap || machine->memo[index] == PICKLE_NOTHING) {
        return pickle_broken(machine, "the memo does not hold what is asked of it");
    }
    return pickle_push(machine, machine->memo[index]);
}

enum status pickle_append(struct pickle_machine *machine, pickle_ref container, pickle_ref item) {
    struct pickle *out = machine->out;
    enum status status = check_count(machine, out->n_cells);
    if (status == STATUS_OK) {
        status = grow(machine, &out->cells, out->n_cells, &out->cells_cap, sizeof *out->cells);
    }
    if (status != STATUS_OK) return status;
    uint32_t cell = (uint32_t)out->n_cells++;
    out->cells[cell] = (struct pickle_cell){.item = item};
    struct pickle_node *node = &out->nodes[container];
    if (node->n_items == 0) {
        node->as.items.first = cell;
    } else {
        out->cells[node->as.items.last].next = cell;
    }
    node->as.items.last = cell;
    node->n_items++;
    return STATUS_OK;
}

enum status pickle_read(struct span bytes, pickle_find *find, const char *path,
                        struct pickle *pickle, struct error *error) {
    *pickle = (struct pickle){0};
    struct pickle_machine machine = {
        .in = bytes, .find = find, .path = path, .out = pickle, .error = error};
    if (bytes.len > PICKLE_NBYTES_MAX) {
        machine.in.len = PICKLE_NBYTES_MAX;
        machine.cut = true;
    }
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !machine.stopped) {
        struct span code = {0};
        machine.opcode_at = machine.at;
        status = pickle_take(&machine, 1, &code);
        if (status == STATUS_OK) status = pickle_run(&machine, (uint8_t)code.ptr[0]);
    }
    if (status == STATUS_OK) status = pickle_pop(&machine, &pickle->root);
    if (status == STATUS_OK && machine.n_stack > 0) {
        status = pickle_broken(&machine, "values are left on the stack");
    }
    pickle->nbytes = machine.at;
    free(machine.stack);
    free(machine.memo);
    if (status != STATUS_OK) pickle_free(pickle);
    return status;
}

void pickle_free(struct pickle *pickle) {
    free(pickle->nodes);
    free(pickle->cells);
    *pickle = (struct pickle){0};
}

struct pickle_walk pickle_walk(const struct pickle *pickle, pickle_ref ref) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    struct pickle_walk walk = {.pickle = pickle};
    if (node->kind == PICKLE_TUPLE || node->kind == PICKLE_LIST || node->kind == PICKLE_DICT) {
        walk.cell = node->as.items.first;
        walk.n_left = node->n_items;
    }
    return walk;
}

bool pickle_next(struct pickle_walk *walk) {
    if (walk->n_left == 0) return false;
    const struct pickle_cell *cell = &walk->pickle->cells[walk->cell];
    walk->item = cell->item;
    walk->cell = cell->next;
    walk->n_left--;
    return true;
}

void pickle_items(const struct pickle *pickle, pickle_ref ref, pickle_ref *items, size_t n) {
    struct pickle_walk walk = pickle_walk(pickle, ref);
    for (size_t i = 0; i < n && pickle_next(&walk); i++) items[i] = walk.item;
}

bool pickle_is_text(const struct pickle *pickle, pickle_ref ref, const char *text) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    return node->kind == PICKLE_TEXT && span_equal(node->as.text, text);
}

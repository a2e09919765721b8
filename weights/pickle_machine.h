// SPDX-License-Identifier: Apache-2.0
//
// The state of a pickle being read, for the two files that read one.
#ifndef WADER_WEIGHTS_PICKLE_MACHINE_H
#define WADER_WEIGHTS_PICKLE_MACHINE_H

#include "weights/pickle.h"

enum { PICKLE_NOTHING = UINT32_MAX };  // a mark on the stack, an empty place of the memo

struct pickle_cell {
    pickle_ref item;
    uint32_t next;
};

struct pickle_machine {
    struct span in;  // cut to PICKLE_NBYTES_MAX
    bool cut;
    size_t at, opcode_at;
    pickle_find *find;
    const char *path;
    struct pickle *out;
    pickle_ref *stack;
    size_t n_stack, stack_cap;
    pickle_ref *memo;
    size_t n_memo, memo_cap;  // n_memo: what the memo holds, for MEMOIZE
    bool stopped;
    struct error *error;
};

// Runs the opcode `code`, which stands before machine->at.
typedef enum status pickle_opcode(struct pickle_machine *machine, uint8_t code);
pickle_opcode pickle_run;

// Those that push plain values and build containers.
pickle_opcode pickle_none, pickle_boolean, pickle_binary_int, pickle_text_int, pickle_binary_long;
pickle_opcode pickle_binary_float, pickle_text, pickle_empty, pickle_collect, pickle_extend;

// STATUS_MODEL, saying where.
enum status pickle_broken(const struct pickle_machine *machine, const char *what);

// Input.
enum status pickle_take(struct pickle_machine *machine, size_t n, struct span *out);
enum status pickle_take_uint(struct pickle_machine *machine, size_t nbytes, uint64_t *out);
enum status pickle_take_line(struct pickle_machine *machine, struct span *out);

// The stack. A mark is popped by pickle_pop_mark alone, which gives the place of the first item
// that stood above it: those items stay in memory until something is pushed.
enum status pickle_new(struct pickle_machine *machine, struct pickle_node node, pickle_ref *out);
enum status pickle_push(struct pickle_machine *machine, pickle_ref ref);
enum status pickle_push_node(struct pickle_machine *machine, struct pickle_node node);
enum status pickle_top(const struct pickle_machine *machine, pickle_ref *out);
enum status pickle_pop(struct pickle_machine *machine, pickle_ref *out);
enum status pickle_pop_mark(struct pickle_machine *machine, size_t *first, size_t *n);

// The memo.
enum status pickle_put(struct pickle_machine *machine, uint64_t index);
enum status pickle_get(struct pickle_machine *machine, uint64_t index);

// Adds an item to a tuple, list or dict.
enum status pickle_append(struct pickle_machine *machine, pickle_ref container, pickle_ref item);

#endif

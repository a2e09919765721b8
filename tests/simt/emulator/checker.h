// SPDX-License-Identifier: Apache-2.0
//
// The checker of the check flavour: kernel files are compiled with -fsanitize=thread but linked
// without its library, so that each access of theirs comes to tsan_calls.cpp. Two parts look at it:
// the contents (is this byte there, and written?) and the races (who touched it, ordered how?).
//
// Addresses become indices: those of the arena, then those of the program's variables, where the
// static shared arrays are. One array by index holds a byte of content for each byte; another a
// cell for each two bytes.
#ifndef WADER_TESTS_SIMT_CHECKER_H
#define WADER_TESTS_SIMT_CHECKER_H

#include "internal.h"

namespace simt {

extern uintptr_t arena_start;
static const size_t CHECKED_ARENA_NBYTES = (size_t)16 << 30;

// ---- variables.cpp

// Bounds of the program's variables.
uintptr_t variables_start(void);
size_t variables_nbytes(void);
// Marks the bytes of static shared arrays, which are those of the symbol table's objects that a
// C++ function owns. Ends the program when there is no symbol table.
void mark_static_shared(content *bytes);  // those of all variables
// What the program's symbol table says of an address among the variables.
void describe_variable(const void *at, char *out, size_t cap);
bool is_constant(const void *at);  // within the program, but none of its variables

// ---- contents.cpp

extern content *contents;  // by index
void contents_open(void);
// Tells and returns false where the access is to bytes that it must not touch.
bool check_contents(size_t index, size_t nbytes, access kind, const void *pc);
void contents_begin_launch(void);
void contents_begin_block(void);
void set_contents(size_t index, size_t nbytes, content now);
void describe_index(size_t index, char *out, size_t cap);

static inline bool is_shared_index(size_t index) {
    return index < WINDOW_NBYTES || index >= CHECKED_ARENA_NBYTES;
}

// ---- races.cpp

void races_open(size_t n_bytes);
void check_races(size_t index, size_t nbytes, access kind, const void *pc);
void races_forget(size_t index, size_t nbytes);  // gives memory back, where that is possible
void races_begin_launch(void);
void races_begin_block(void);
void races_block_barrier(void);
void races_warp_barrier(unsigned warp, uint32_t lanes);

// ---- checker.cpp

void check_access(const void *at, size_t nbytes, access kind, const void *pc);
void *reserve(size_t nbytes);  // zeros that cost nothing until they are touched

}  // namespace simt

#endif
